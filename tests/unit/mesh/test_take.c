/* What a copy from a context makes here of what the other end says: names, refusals, modes, parts and what they go on
 * from. No context says it: the values are given by hand. */
#include "mesh/copy_take.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* An allocation of more than there is fails, as without a sanitizer. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static bool locked(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(fd >= 0, "%s", path);
	bool is = flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
	(void)close(fd);
	return is;
}

/* In place of the C library's: who has the lock and finds the name gone must not have been let in before. */
static bool watched;
static int unlinked_free;
int unlink(const char *path)
{
	unlinked_free += watched && !locked(path);
	return unlinkat(AT_FDCWD, path, 0);
}

struct world {
	struct eci_fetch f;
	ectx_copy_options o;
	char dir[64], dest[96];
	int told;
	char path[ECI_PLACE_LONGEST + 64], saw[2048], hint[512]; /* of what failed last */
};

static void on_failed(void *arg, ectx_context *c, const char *path, const ectx_error *e)
{
	struct world *w = arg;
	(void)c;
	w->told++;
	(void)snprintf(w->path, sizeof w->path, "%s", path);
	(void)snprintf(w->saw, sizeof w->saw, "%s", e->saw);
	(void)snprintf(w->hint, sizeof w->hint, "%s", e->hint);
}

/* Into a folder DIR/to, or (one) as DIR/to. */
static struct world *open_world(bool into)
{
	struct world *w = calloc(1, sizeof *w);
	cr_assert_not_null(w);
	const char *tmp = getenv("TMPDIR");
	(void)snprintf(w->dir, sizeof w->dir, "%s/take-test-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	cr_assert(mkdtemp(w->dir));
	(void)snprintf(w->dest, sizeof w->dest, "%s/to", w->dir);
	cr_assert(!into || mkdir(w->dest, 0755) == 0);
	w->o = (ectx_copy_options){.failed = on_failed, .arg = w};
	w->f.k.o = &w->o;
	w->f.dest = w->dest;
	w->f.into = w->f.folder = into;
	w->f.file.fd = -1;
	cr_assert(pthread_mutex_init(&w->f.k.lock, NULL) == 0);
	return w;
}

static void close_world(struct world *w)
{
	char command[256];
	eci_fetch_settle(&w->f);
	(void)pthread_mutex_destroy(&w->f.k.lock);
	(void)snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -r %s", w->dir, w->dir);
	cr_expect(system(command) == 0);
	free(w);
}

static const char *in(const struct world *w, const char *name)
{
	static char path[4][256];
	static int at;
	at = (at + 1) % 4;
	(void)snprintf(path[at], sizeof path[at], "%s/%s", w->dest, name);
	return path[at];
}

static void say(struct world *w, ectx_value *v)
{
	cr_assert_not_null(v);
	eci_fetch_take(&w->f, v);
	ectx_value_free(v);
}

/* [WORD, path, mode, mtime, size, 0, asks] */
static ectx_value *entry(const char *word, const void *path, size_t n, int64_t mode, int64_t size, bool asks)
{
	ectx_value *v = ectx_array();
	cr_assert(v && ectx_array_push(v, ectx_text(word)) && ectx_array_push(v, ectx_bytes(path, n)) &&
		  ectx_array_push(v, ectx_int(mode)) && ectx_array_push(v, ectx_float(1e9)) &&
		  ectx_array_push(v, ectx_int(size)) && ectx_array_push(v, ectx_int(0)) &&
		  ectx_array_push(v, ectx_bool(asks)));
	return v;
}

static void begin(struct world *w, const char *path, int64_t size)
{
	say(w, entry("file", path, strlen(path), 0644, size, false));
}

static void done(struct world *w)
{
	ectx_value *v = ectx_array();
	cr_assert(v && ectx_array_push(v, ectx_text("done")) && ectx_array_push(v, ectx_null()));
	say(w, v);
}

static void file(struct world *w, const char *path, const char *bytes)
{
	begin(w, path, (int64_t)strlen(bytes));
	say(w, ectx_bytes(bytes, strlen(bytes)));
	done(w);
}

static void folder(struct world *w, const char *path, int64_t mode)
{
	say(w, entry("dir", path, strlen(path), mode, 0, false));
}

static void link_to(struct world *w, const char *path, const char *target)
{
	ectx_value *v = ectx_array();
	cr_assert(v && ectx_array_push(v, ectx_text("link")) && ectx_array_push(v, ectx_bytes(path, strlen(path))) &&
		  ectx_array_push(v, ectx_bytes(target, strlen(target))));
	say(w, v);
}

static bool holds(const char *path, const char *bytes)
{
	char got[256];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(got, 1, sizeof got, f) : 0;
	return f && fclose(f) == 0 && n == strlen(bytes) && !memcmp(got, bytes, n);
}

static mode_t mode_of(const char *path)
{
	struct stat st;
	return lstat(path, &st) ? 0 : st.st_mode & 07777;
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
	folder(w, "l", 0700); /* nor is a link a folder */
	cr_expect(w->told == 2 && strstr(w->saw, "Not a directory"), "%s", w->saw);
	close_world(w);
	w = open_world(false);
	link_to(w, "l", "."); /* which is dest itself */
	file(w, "l/x", "x");
	cr_expect(w->told == 1 && strstr(w->saw, "Too many levels of symbolic links"), "%s", w->saw);
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
	cr_expect_eq(w->told, 1);
	file(w, "dx", "x");
	cr_expect(holds(in(w, "dx"), "x"));
	folder(w, "dx", 0755); /* that is another */
	cr_expect_eq(w->told, 2);
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

Test(take, the_target_itself)
{
	struct world *w = open_world(true);
	folder(w, ".", 0750); /* not asked for: no name */
	cr_expect(w->told == 1 && !strcmp(w->saw, ".: Invalid argument"), "%s", w->saw);
	cr_expect_eq(mode_of(w->dest), 0755);
	w->f.contents = true;
	folder(w, ".", 0750);
	cr_expect_eq(w->told, 1);
	eci_fetch_settle(&w->f);
	w->f.folders = NULL;
	w->f.missing = NULL;
	cr_expect_eq(mode_of(w->dest), 0750);
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
		cr_expect(w->told == more);
	}
	cr_expect(strstr(w->saw, "more came than was announced"), "%s", w->saw);
	cr_expect(stat(in(w, "x"), &st) == 0 && st.st_size == ECI_COPY_HOLE_MOST && st.st_blocks == 0);
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

/* ---- resume ---- */

/* What is here already, of size bytes, as eci_fetch_take would say it. */
static struct world *resuming(void)
{
	struct world *w = open_world(true);
	w->o.resume = true;
	w->f.algorithm = "sha256";
	return w;
}

Test(take, a_part_goes_while_it_is_locked)
{
	struct world *w = resuming();
	begin(w, "x", 3);
	char part[ECI_PLACE_LONGEST];
	cr_assert(eci_incoming_part(part, in(w, "x"), "part") == 0);
	cr_expect(locked(part));
	watched = true;
	say(w, ectx_bytes("xxxx", 4)); /* nothing to go on from */
	watched = false;
	cr_expect_eq(unlinked_free, 0);
	cr_expect(access(part, F_OK));
	done(w);
	cr_expect(strstr(w->saw, "more came than was announced"), "%s", w->saw);
	begin(w, "x", 3); /* kept, as something has come; not, as nothing has */
	say(w, ectx_bytes("xx", 2));
	eci_fetch_not_ended(&w->f);
	cr_expect(holds(part, "xx") && !locked(part));
	cr_expect(truncate(part, 0) == 0);
	begin(w, "x", 3);
	eci_fetch_not_ended(&w->f);
	cr_expect(access(part, F_OK));
	close_world(w);
}

Test(take, a_part_is_one_copys_and_ones_own)
{
	struct world *w = resuming();
	char part[ECI_PLACE_LONGEST];
	cr_assert(eci_incoming_part(part, in(w, "x"), "part") == 0);
	int fd = open(part, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	cr_assert(fd >= 0 && write(fd, "xx", 2) == 2 && flock(fd, LOCK_EX) == 0);
	file(w, "x", "xxx");
	cr_expect(w->told == 1 && strstr(w->saw, "another copy to this name is under way"), "%s", w->saw);
	cr_expect(close(fd) == 0 && holds(part, "xx"));
	cr_assert(link(part, in(w, "also")) == 0);
	file(w, "x", "xxx");
	cr_expect(w->told == 2 && strstr(w->saw, "not a file of your own"), "%s", w->saw);
	cr_expect(holds(part, "xx") && access(in(w, "x"), F_OK));
	cr_expect_str_eq(w->hint, "nothing of it was left there but what the next --resume goes on from");
	close_world(w);
}

static void number(struct world *w, const char *word, uint64_t n)
{
	ectx_value *v = ectx_array();
	cr_assert(v && ectx_array_push(v, ectx_text(word)) && ectx_array_push(v, ectx_int((int64_t)n)));
	say(w, v);
}

static void done_as(struct world *w, const char *bytes)
{
	uint8_t sum[ECI_DIGEST_SIZE];
	struct eci_digest *d = eci_digest_new("sha256");
	ectx_value *v = ectx_array();
	eci_digest_add(d, bytes, strlen(bytes));
	eci_digest_end(d, sum);
	cr_assert(v && ectx_array_push(v, ectx_text("done")) && ectx_array_push(v, ectx_bytes(sum, sizeof sum)));
	say(w, v);
}

static void leave_part(struct world *w, const char *bytes)
{
	begin(w, "x", (int64_t)strlen(bytes) + 1);
	say(w, ectx_bytes(bytes, strlen(bytes)));
	eci_fetch_not_ended(&w->f);
}

Test(take, a_part_is_gone_on_from)
{
	struct world *w = resuming();
	uint8_t sum[ECI_DIGEST_SIZE];
	leave_part(w, "ab");
	begin(w, "x", 3);
	cr_expect_eq(eci_incoming_have(&w->f.file, sum), 2);
	number(w, "from", 2);
	say(w, ectx_bytes("c", 1));
	done_as(w, "abc");
	cr_expect(holds(in(w, "x"), "abc") && w->told == 1, "%s", w->saw); /* told: of leave_part() */
	leave_part(w, "zzzz");
	begin(w, "x", 3); /* that is longer: no beginning, and cut */
	cr_expect_eq(eci_incoming_have(&w->f.file, sum), 3);
	number(w, "from", 0);
	say(w, ectx_bytes("def", 3));
	done_as(w, "def");
	cr_expect(holds(in(w, "x"), "def") && w->told == 2, "%s", w->saw);
	leave_part(w, "q");
	begin(w, "x", 3); /* the file in its place comes first, and stays where it is the same */
	cr_expect_eq(eci_incoming_have(&w->f.file, sum), 3);
	number(w, "from", 3);
	done_as(w, "def");
	cr_expect(holds(in(w, "x"), "def") && w->told == 3, "%s", w->saw);
	begin(w, "x", 3); /* from elsewhere than what was said to be here: from the start */
	cr_expect_eq(eci_incoming_have(&w->f.file, sum), 3);
	number(w, "from", 2);
	say(w, ectx_bytes("ghi", 3));
	done_as(w, "ghi");
	cr_expect(holds(in(w, "x"), "ghi") && w->told == 3, "%s", w->saw);
	close_world(w);
}

Test(take, another_digest_leaves_nothing)
{
	struct world *w = resuming();
	char part[ECI_PLACE_LONGEST];
	cr_assert(eci_incoming_part(part, in(w, "x"), "part") == 0);
	begin(w, "x", 3);
	say(w, ectx_bytes("abc", 3));
	done_as(w, "abd");
	cr_expect(w->told == 1 && strstr(w->saw, "the digest is wrong"), "%s", w->saw);
	cr_expect(access(part, F_OK) && access(in(w, "x"), F_OK));
	close_world(w);
}
