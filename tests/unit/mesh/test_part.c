/* A file that comes here with resume: its part, whose it is, when it goes, and what is gone on from. */
#include "take_support.h"

#include "io/digest.h"
#include "mesh/copy_target.h"

#include <sys/file.h>
#include <sys/syscall.h>

static bool locked(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	cr_assert(fd >= 0, "%s", path);
	bool is = flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
	(void)close(fd);
	return is;
}

/* In place of the C library's: who has the lock and finds the name gone must not have been let in before. */
static bool watched;
static int unlinked_free;
int unlinkat(int dir, const char *name, int flags)
{
	unlinked_free += watched && !locked(dir, name);
	return (int)syscall(SYS_unlinkat, dir, name, flags);
}

static struct world *resuming(void)
{
	struct world *w = open_world(true);
	w->o.resume = true;
	w->f.algorithm = "sha256";
	return w;
}

Test(part, a_part_goes_while_it_is_locked)
{
	struct world *w = resuming();
	begin(w, "x", 3);
	char part[ECI_PLACE_LONGEST];
	cr_assert(eci_incoming_part(part, in(w, "x"), "part") == 0);
	cr_expect(locked(AT_FDCWD, part));
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
	cr_expect(holds(part, "xx") && !locked(AT_FDCWD, part));
	cr_expect(truncate(part, 0) == 0);
	begin(w, "x", 3);
	eci_fetch_not_ended(&w->f);
	cr_expect(access(part, F_OK));
	close_world(w);
}

Test(part, a_part_is_one_copys_and_ones_own)
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

/* The kernel's clock of files is coarse. */
static void newer(const char *path)
{
	const struct timespec t = {.tv_nsec = 50000000};
	(void)nanosleep(&t, NULL);
	cr_assert(chmod(path, 0640) == 0);
}

Test(part, a_part_is_gone_on_from)
{
	struct world *w = resuming();
	char part[ECI_PLACE_LONGEST];
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
	newer(in(w, "x"));
	begin(w, "x", 3); /* the file in its place comes first, and stays where it is the same */
	cr_expect_eq(eci_incoming_have(&w->f.file, sum), 3);
	number(w, "from", 3);
	done_as(w, "def");
	cr_expect(holds(in(w, "x"), "def") && w->told == 3, "%s", w->saw);
	leave_part(w, "q");
	cr_assert(eci_incoming_part(part, in(w, "x"), "part") == 0);
	newer(part);
	begin(w, "x", 3); /* unless the part is newer: it was to be replaced by that */
	cr_expect_eq(eci_incoming_have(&w->f.file, sum), 1);
	number(w, "from", 1);
	say(w, ectx_bytes("ed", 2));
	done_as(w, "qed");
	cr_expect(holds(in(w, "x"), "qed") && w->told == 4, "%s", w->saw);
	begin(w, "x", 3); /* from elsewhere than what was said to be here: from the start */
	cr_expect_eq(eci_incoming_have(&w->f.file, sum), 3);
	number(w, "from", 2);
	say(w, ectx_bytes("ghi", 3));
	done_as(w, "ghi");
	cr_expect(holds(in(w, "x"), "ghi") && w->told == 4, "%s", w->saw);
	close_world(w);
}

Test(part, another_digest_leaves_nothing)
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

/* A large one takes long, and is not counted for who has given up; what has come stays. */
Test(part, what_is_here_is_not_counted_for_who_gives_up)
{
	struct world *w = resuming();
	uint8_t sum[ECI_DIGEST_SIZE];
	for (int stop = 0; stop <= 1; stop++) {
		begin(w, "x", 3);
		if (!stop)
			say(w, ectx_bytes("ab", 2));
		eci_incoming_drop(&w->f.file);
		w->f.begun = false;
		begin(w, "x", 3);
		w->f.k.stop = stop;
		uint64_t n = eci_incoming_have(&w->f.file, sum);
		cr_expect(n == (stop ? 0 : 2), "%d: %llu", stop, (unsigned long long)n);
		eci_incoming_drop(&w->f.file);
		w->f.begun = false;
	}
	close_world(w);
}

/* The other way round: what the far end says it has. */
Test(part, nor_is_what_goes_there)
{
	struct world *w = resuming();
	const char *full = in(w, "source");
	FILE *f = fopen(full, "we");
	cr_assert(f && fputs("abc", f) >= 0 && fclose(f) == 0);
	struct eci_entry_here e = {.kind = ECI_ENTRY_FILE, .full = strdup(full)};
	cr_assert(stat(full, &e.st) == 0);
	struct eci_copy_job job = {.k = {.o = &w->o}, .s = {.v = &e, .n = 1}};
	struct eci_copy_target t = {.job = &job, .algorithm = "sha256"};
	uint8_t sum[ECI_DIGEST_SIZE];
	struct eci_digest *d = eci_digest_new("sha256");
	cr_assert(d);
	eci_digest_add(d, "ab", 2);
	eci_digest_end(d, sum);
	for (int stop = 0; stop <= 1; stop++) {
		uint64_t offset = 0;
		job.k.stop = stop;
		eci_target_had(&t, &offset, 0, 2, sum);
		cr_expect(offset == (stop ? 0 : 2), "%d: %llu", stop, (unsigned long long)offset);
	}
	free(e.full);
	(void)unlink(full);
	close_world(w);
}

/* One whose far end asks what is here, over a channel that no call has: it never has room. */
static ectx_mesh *asked(struct world *w, ectx_topology **t)
{
	static const char text[] = "econtext: 1\nnodes: {a: {local: {}}}\n";
	ectx_error err = {0};
	ectx_mesh *m;
	*t = ectx_topology_parse(text, strlen(text), "test", &err);
	cr_assert(*t && ectx_mesh_new(&m, &(ectx_options){.topology = *t}, &err) == ECTX_OK, "%s", err.saw);
	w->f.ch = ectx_channel_new(m);
	cr_assert_not_null(w->f.ch);
	return m;
}

static void end_asked(struct world *w, ectx_mesh *m, ectx_topology *t)
{
	ectx_channel_free(w->f.ch);
	ectx_mesh_free(m);
	ectx_topology_free(t);
	close_world(w);
}

Test(part, what_cannot_be_said_to_be_here_ends_all)
{
	struct world *w = resuming();
	ectx_topology *t;
	ectx_mesh *m = asked(w, &t);
	ectx_channel_end(w->f.ch); /* nothing more can be said */
	say(w, entry("file", "x", 1, 0644, 3, true));
	cr_expect(w->told == 1 && w->f.refused && !strcmp(w->saw, "x: what is here already could not be said"), "%s",
		  w->saw);
	end_asked(w, m, t);
}

static int enough(void *arg, uint64_t done, uint64_t total)
{
	(void)arg, (void)done, (void)total;
	return 1;
}

/* Neither is then told as a failure of what was asked for. */
Test(part, who_gives_up_does_not_wait_until_it_can_be_said)
{
	for (int late = 0; late <= 1; late++) {
		struct world *w = resuming();
		ectx_topology *t;
		ectx_mesh *m = asked(w, &t);
		w->f.k.caller = pthread_self(); /* who looks at both, as it waits */
		if (late) {
			w->o.timeout_ms = 1;
			w->f.k.connected_ms = eci_now_ms();
		} else {
			w->o.progress = enough;
		}
		say(w, entry("file", "x", 1, 0644, 3, true));
		cr_expect(w->f.k.stop && w->f.k.late == late && !w->told && !w->f.refused, "%d: %s", late, w->saw);
		end_asked(w, m, t);
	}
}
