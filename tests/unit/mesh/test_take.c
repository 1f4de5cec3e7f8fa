/* What a copy from a context makes here of what the other end says: names, refusals, modes, folders, files. No context
 * says it: the values are given by hand. */
#include "take_support.h"

/* An allocation of more than there is fails, as without a sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

/* ---- names ---- */

Test(take, a_path_that_leads_elsewhere_is_refused_by_its_name)
{
	static const char *const bad[] = {"",     ".",    "..",     "/",    "/x", "./x",
					  "../x", "a/..", "a/../x", "a//x", "a/", "a/."};
	struct world *w = open_world(true);
	cr_assert(mkdir(in(w, "a"), 0755) == 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char said[64];
		w->told = 0;
		file(w, "good", "x"); /* whose place is not said in its stead */
		file(w, bad[i], "x");
		(void)snprintf(said, sizeof said, "%s: Invalid argument", bad[i]);
		cr_expect(w->told == 1 && !strcmp(w->path, bad[i]) && !strcmp(w->saw, said), "%s: %d, %s", bad[i],
			  w->told, w->saw);
		w->told = 0;
		folder(w, bad[i], 0755);
		cr_expect(w->told == 1 && !strcmp(w->saw, said), "%s: %s", bad[i], w->saw);
		free(w->f.missing);
		w->f.missing = NULL;
	}
	static const char *const good[] = {"...", "..x", ".x", "a/...", "a/.x"};
	w->told = 0;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		file(w, good[i], "x");
		cr_expect(holds(in(w, good[i]), "x"), "%s", good[i]);
	}
	cr_expect_eq(w->told, 0);
	close_world(w);
}

Test(take, a_path_that_is_cut_or_none_is_refused)
{
	struct world *w = open_world(true);
	say(w, entry("file", "a\0b", 3, 0644, 0, false));
	done(w);
	cr_expect(w->told == 1 && !strcmp(w->saw, "a: Invalid argument"), "%s", w->saw);
	char path[ECI_PLACE_LONGEST];
	memset(path, 'x', sizeof path);
	say(w, entry("file", path, sizeof path, 0644, 0, false)); /* with its NUL one byte too long */
	done(w);
	cr_expect(w->told == 2 && strlen(w->path) == sizeof path - 1 && !strncmp(w->path, path, sizeof path - 1));
	cr_expect(!strncmp(w->f.path, path, sizeof path - 1));
	ectx_value *v = ectx_array();
	cr_assert(v && ectx_array_push(v, ectx_text("file")));
	say(w, v);
	done(w);
	cr_expect(w->told == 3 && !strcmp(w->saw, ": File name too long"), "%s", w->saw);
	close_world(w);
}

/* Nothing is followed but what was there before: not what the other end has just made. */
Test(take, no_way_through_a_link)
{
	struct world *w = open_world(true);
	link_to(w, "l", "..");
	file(w, "l/x", "x");
	cr_expect(w->told == 1 && strstr(w->saw, "Too many levels of symbolic links"), "%s", w->saw);
	cr_expect(access(in(w, "../x"), F_OK));
	folder(w, "d", 0700);
	link_to(w, "d/l", "../..");
	file(w, "d/l/x", "x");
	cr_expect(w->told == 2 && access(in(w, "../x"), F_OK));
	folder(w, "l", 0700); /* nor is a link a folder */
	cr_expect(w->told == 3 && strstr(w->saw, "Not a directory"), "%s", w->saw);
	close_world(w);
	w = open_world(false);
	link_to(w, "l", "."); /* which is dest itself */
	file(w, "l/x", "x");
	cr_expect(w->told == 1 && strstr(w->saw, "Too many levels of symbolic links"), "%s", w->saw);
	close_world(w);
}

static const char *beside(const struct world *w, const char *name)
{
	static char path[2][256];
	static int at;
	at = !at;
	(void)snprintf(path[at], sizeof path[at], "%s/%s", w->dir, name);
	return path[at];
}

/* What another user does who may write there: in the place of a folder that things come into, a link to one that is not
 * his. */
static void exchange(struct world *w, const char *name)
{
	char at[256], aside[300];
	(void)snprintf(at, sizeof at, "%s", in(w, name));
	(void)snprintf(aside, sizeof aside, "%s.aside", at);
	cr_assert(rename(at, aside) == 0 && symlink(beside(w, "outside"), at) == 0);
}

static struct world *beside_another(bool into)
{
	struct world *w = open_world(into);
	cr_assert(mkdir(beside(w, "outside"), 0755) == 0 && mkdir(beside(w, "outside/e"), 0755) == 0);
	return w;
}

static void is_as_it_was(struct world *w)
{
	cr_expect(mode_of(beside(w, "outside/e")) == 0755);
	cr_expect(rmdir(beside(w, "outside/e")) == 0 && rmdir(beside(w, "outside")) == 0, "something else is there");
}

Test(take, a_folder_that_becomes_a_link_is_not_followed)
{
	struct world *w = beside_another(true);
	folder(w, "d", 0700);
	folder(w, "d/e", 0711);
	begin(w, "d/e/x", 1);
	say(w, ectx_bytes("x", 1));
	exchange(w, "d"); /* while a file is written there: it is where its folder is by now */
	done(w);
	cr_expect(!w->told && holds(in(w, "d.aside/e/x"), "x"), "%s", w->saw);
	file(w, "z", "z");
	file(w, "d/e/y", "y"); /* and before one is */
	cr_expect(w->told == 1 && !strcmp(w->path, in(w, "d/e/y")) && strstr(w->saw, strerror(ELOOP)), "%s", w->saw);
	link_to(w, "d/l", "x");
	folder(w, "d/f", 0700);
	cr_expect(w->told == 3 && strstr(w->saw, strerror(ELOOP)), "%s", w->saw);
	eci_fetch_settle(&w->f); /* nor has what is there another mode */
	w->f.folders = NULL;
	w->f.missing = NULL;
	is_as_it_was(w);
	close_world(w);
}

/* Of one that comes under a name of its own, that name is below what the user has said, too. */
Test(take, nor_is_the_one_that_was_asked_for)
{
	struct world *w = beside_another(false);
	folder(w, "src", 0700);
	begin(w, "src/x", 1);
	say(w, ectx_bytes("x", 1));
	cr_assert(rename(w->dest, beside(w, "aside")) == 0 && symlink("outside", w->dest) == 0);
	done(w);
	cr_expect(!w->told && holds(beside(w, "aside/x"), "x"), "%s", w->saw);
	folder(w, "src", 0700);
	cr_expect(w->told == 1 && strstr(w->saw, strerror(ENOTDIR)), "%s", w->saw);
	is_as_it_was(w);
	close_world(w);
}

/* Its part, which has a name from the start, is not looked for, nor removed, behind the link. */
Test(take, a_part_in_a_folder_that_becomes_a_link)
{
	struct world *w = beside_another(true);
	char part[ECI_PLACE_LONGEST], theirs[ECI_PLACE_LONGEST];
	w->o.resume = true;
	cr_assert(eci_incoming_part(theirs, beside(w, "outside/x"), "part") == 0);
	cr_assert(eci_incoming_part(part, in(w, "d.aside/x"), "part") == 0);
	folder(w, "d", 0700);
	begin(w, "d/x", 1);
	exchange(w, "d");
	cr_assert(close(open(theirs, O_CREAT | O_EXCL | O_CLOEXEC | O_WRONLY, 0600)) == 0);
	cr_expect(access(part, F_OK) == 0);
	say(w, ectx_bytes("xx", 2));
	cr_expect(access(part, F_OK) != 0 && access(theirs, F_OK) == 0);
	done(w);
	cr_expect(w->told == 1 && strstr(w->saw, "more came than was announced"), "%s", w->saw);
	cr_expect(unlink(theirs) == 0);
	is_as_it_was(w);
	close_world(w);
}

static size_t descriptors(void)
{
	size_t n = 0;
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* As many are held for a folder far down as for the first. */
Test(take, a_folder_far_down)
{
	struct world *w = open_world(true);
	char path[2 * 400 + 16] = "d";
	size_t before = descriptors(), deep;
	for (size_t i = 1; i <= 400; i++) {
		folder(w, path, 0711);
		deep = descriptors();
		cr_expect(deep <= before + 2, "%zu: %zu, %zu", i, before, deep);
		memcpy(path + 2 * i - 1, "/d", 3);
	}
	file(w, path, "x");
	cr_expect(!w->told && holds(in(w, path), "x"), "%s", w->saw);
	file(w, "y", "y"); /* from there to the first again */
	cr_expect(!w->told && holds(in(w, "y"), "y"), "%s", w->saw);
	eci_fetch_settle(&w->f);
	w->f.folders = NULL;
	w->f.missing = NULL;
	cr_expect_eq(descriptors(), before);
	path[2 * 400 - 1] = 0;
	cr_expect(mode_of(in(w, "d")) == 0711 && mode_of(in(w, path)) == 0711);
	close_world(w);
}

Test(take, a_link_that_cannot_be_made_leaves_no_part)
{
	struct world *w = open_world(true);
	folder(w, "d", 0700);
	link_to(w, "d", "x");
	cr_expect(w->told == 1 && !strcmp(w->path, in(w, "d")) && strstr(w->saw, "Is a directory"), "%s", w->saw);
	cr_expect_eq(w->f.k.result.entries, 1);
	link_to(w, "l", "x");
	cr_expect_eq(w->f.k.result.entries, 2);
	cr_expect(unlink(in(w, "l")) == 0 && rmdir(in(w, "d")) == 0 && rmdir(w->dest) == 0, "something else is there");
	close_world(w);
}

/* ---- folders ---- */

Test(take, a_folder_that_cannot_be_made_is_told_once)
{
	struct world *w = open_world(true);
	file(w, "d", "x");
	folder(w, "d", 0755);
	cr_expect(w->told == 1 && !strcmp(w->path, in(w, "d")) && strstr(w->saw, "Not a directory"), "%s", w->saw);
	cr_expect_str_eq(w->hint, "nothing below it was copied");
	file(w, "d/x", "x");
	folder(w, "d/e", 0755);
	link_to(w, "d/l", "x");
	unreadable(w, "d/y", "Permission denied");
	cr_expect_eq(w->told, 1);
	unreadable(w, "e/y", "Permission denied");
	cr_expect(w->told == 2 && !strcmp(w->saw, "e/y: Permission denied"), "%s", w->saw);
	cr_expect_str_eq(w->hint, "look at the source: nothing was sent of it");
	file(w, "dx", "x");
	cr_expect(holds(in(w, "dx"), "x"));
	folder(w, "dx", 0755); /* that is another */
	cr_expect_eq(w->told, 3);
	cr_expect_eq(w->f.k.result.entries, 2);
	close_world(w);
}

Test(take, modes_and_times_come_last_and_without_set_user_id)
{
	struct world *w = open_world(true);
	struct stat st;
	folder(w, "d", 07555);
	cr_expect_eq(mode_of(in(w, "d")), 0700);
	say(w, entry("file", "d/x", 3, 07751, 0, false));
	done(w);
	cr_expect_eq(mode_of(in(w, "d/x")), 0751);
	cr_expect(stat(in(w, "d/x"), &st) == 0 && st.st_mtime == 1000000000);
	for (int i = 0; i < 40; i++) { /* more than the first room for them */
		char name[16];
		(void)snprintf(name, sizeof name, "d/%d", i);
		folder(w, name, 0711);
	}
	eci_fetch_settle(&w->f);
	w->f.folders = NULL;
	w->f.missing = NULL;
	cr_expect_eq(mode_of(in(w, "d")), 0555);
	cr_expect_eq(mode_of(in(w, "d/0")), 0711);
	cr_expect_eq(mode_of(in(w, "d/39")), 0711);
	cr_expect(stat(in(w, "d"), &st) == 0 && st.st_mtime == 1000000000);
	cr_expect_eq(w->told, 0);
	cr_expect_eq(w->f.k.result.entries, 42);
	close_world(w);
}

#ifndef __SANITIZE_THREAD__ /* whose allocator ends the program */
/* There is no memory for its mode and time: it is said, and what comes into it is not in vain. */
Test(take, a_folder_without_memory_stays_the_owners)
{
	struct world *w = open_world(true);
	w->f.nfolders = w->f.cap = (size_t)1 << 58;
	folder(w, "d", 0755);
	cr_expect(w->told == 1 && !strcmp(w->path, in(w, "d")) && strstr(w->saw, strerror(ENOMEM)), "%s", w->saw);
	cr_expect_eq(w->f.k.result.entries, 0);
	file(w, "d/x", "x");
	cr_expect(holds(in(w, "d/x"), "x") && w->told == 1);
	cr_expect_eq(mode_of(in(w, "d")), 0700);
	w->f.nfolders = w->f.cap = 0;
	close_world(w);
}
#endif

Test(take, the_target_itself)
{
	struct world *w = open_world(true);
	folder(w, ".", 0750); /* not asked for: no name */
	cr_expect(w->told == 1 && !strcmp(w->saw, ".: Invalid argument"), "%s", w->saw);
	cr_expect_eq(mode_of(w->dest), 0755);
	w->f.contents = true;
	folder(w, ".x", 0700); /* another */
	folder(w, ".", 0750);
	cr_expect_eq(w->told, 1);
	eci_fetch_settle(&w->f);
	w->f.folders = NULL;
	w->f.missing = NULL;
	cr_expect(mode_of(w->dest) == 0750 && mode_of(in(w, ".x")) == 0700);
	close_world(w);
	w = open_world(false);
	file(w, "x", "x");
	w->f.contents = true;
	folder(w, ".", 0750);
	cr_expect(w->f.refused && w->told == 1 && strstr(w->saw, "Not a directory"), "%s", w->saw);
	cr_expect_str_eq(w->hint, "nothing was copied there");
	close_world(w);
}

Test(take, several_need_a_folder)
{
	struct world *w = open_world(false);
	file(w, "x", "x"); /* as dest */
	cr_expect(holds(w->dest, "x"));
	ectx_value *v = ectx_array();
	cr_assert(v && ectx_array_push(v, ectx_text("several")));
	eci_fetch_take(&w->f, v);
	cr_expect(w->f.refused && w->told == 1 && !strcmp(w->path, w->dest));
	cr_expect(strstr(w->saw, "the pattern stands for several, and this is not a folder"), "%s", w->saw);
	eci_fetch_take(&w->f, v); /* said once */
	cr_expect_eq(w->told, 1);
	close_world(w);
	w = open_world(false);
	eci_fetch_take(&w->f, v);
	file(w, "x", "x");
	cr_expect(!w->f.refused && holds(in(w, "x"), "x"));
	ectx_value_free(v);
	close_world(w);
}

/* ---- files ---- */

Test(take, as_many_bytes_as_were_said)
{
	struct world *w = open_world(true);
	begin(w, "x", 3);
	say(w, ectx_bytes("xx", 2));
	done(w);
	cr_expect(w->told == 1 && strstr(w->saw, "it became shorter"), "%s", w->saw);
	begin(w, "x", 3);
	say(w, ectx_bytes("xxxx", 4));
	done(w);
	cr_expect(w->told == 2 && strstr(w->saw, "more came than was announced"), "%s", w->saw);
	begin(w, "x", -1);
	done(w);
	cr_expect(w->told == 3 && strstr(w->saw, "Invalid argument"), "%s", w->saw);
	cr_expect(access(in(w, "x"), F_OK));
	begin(w, "x", 3);
	begin(w, "y", 0); /* without an end of the other */
	cr_expect(w->told == 4 && !strcmp(w->path, in(w, "x")) && strstr(w->saw, "its end was not said"), "%s", w->saw);
	done(w);
	done(w);
	cr_expect(w->told == 5 && strstr(w->saw, "an end of what was not begun"), "%s", w->saw);
	cr_expect(holds(in(w, "y"), ""));
	cr_expect_eq(w->f.k.result.entries, 1);
	cr_expect_eq(w->f.k.done, 2 + 4);
	begin(w, "z", 3);
	w->f.refused = true; /* that was said */
	eci_fetch_not_ended(&w->f);
	cr_expect_eq(w->told, 5);
	close_world(w);
}

Test(take, a_hole_of_the_longest_and_one_more)
{
	struct world *w = open_world(true);
	struct stat st;
	for (int64_t more = 0; more < 2; more++) {
		int64_t n = ECI_COPY_HOLE_MOST + more;
		ectx_value *v = ectx_array();
		cr_assert(v && ectx_array_push(v, ectx_text("hole")) && ectx_array_push(v, ectx_int(n)));
		begin(w, "x", n);
		say(w, v);
		done(w);
		cr_expect(w->told == more && (int64_t)w->f.k.done == n * (more + 1) - more);
	}
	cr_expect(strstr(w->saw, "more came than was announced"), "%s", w->saw);
	cr_expect(stat(in(w, "x"), &st) == 0 && st.st_size == ECI_COPY_HOLE_MOST && st.st_blocks == 0);
	close_world(w);
}

/* A shell has made up for what it could not read. */
Test(take, a_file_that_was_cut_is_none)
{
	struct world *w = open_world(true);
	ectx_value *v = ectx_array();
	cr_assert(v && ectx_array_push(v, ectx_text("cut")));
	begin(w, "x", 1);
	say(w, ectx_bytes("", 1));
	say(w, v);
	cr_expect(w->told == 1 && strstr(w->saw, "could not be read to its end"), "%s", w->saw);
	cr_expect(access(in(w, "x"), F_OK));
	close_world(w);
}

/* One that is under way when all is over: without resume nothing is left of it, neither a name nor a descriptor. */
Test(take, what_is_under_way_at_the_end_is_dropped)
{
	struct world *w = open_world(true);
	begin(w, "x", 2);
	int fd = w->f.file.fd;
	cr_assert_geq(fd, 0);
	eci_fetch_settle(&w->f);
	w->f.folders = NULL;
	w->f.missing = NULL;
	cr_expect(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
	cr_expect(rmdir(w->dest) == 0, "something is left");
	close_world(w);
}

Test(take, what_is_there_and_no_file_stays)
{
	struct world *w = open_world(true);
	cr_assert(mkfifo(in(w, "p"), 0600) == 0 && mkdir(in(w, "d"), 0700) == 0);
	file(w, "p", "x");
	cr_expect(w->told == 1 && strstr(w->saw, "neither a file nor a link"), "%s", w->saw);
	file(w, "d", "x");
	cr_expect(w->told == 2 && strstr(w->saw, "Is a directory"), "%s", w->saw);
	close_world(w);
}
