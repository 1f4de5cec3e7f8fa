/* SPAWN, RAW, PROMOTE, KILL with a host that only writes down what it is asked for: the master's router addresses
 * itself. */
#include "core/cbor.h"
#include "service/spawn.h"
#include "service/words.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ID 8u
#define SIZE 8u

static struct eci_router *router;
static struct eci_spawns *spawns;
static struct eci_spawn *one; /* what was started last, NULL: it was freed */
static struct eci_link *link_of_one;
static char asked[1024], events[1024]; /* what the host was asked, what the owner was told */
static char last_detail[512];          /* of the last end of a link */
static int64_t last_status;            /* of the last end; -1: not known */
static size_t output;                  /* bytes of output that the owner was told */
static uint64_t now;
static int start_errno, start_pid;

static void *host_start(void *ctx, struct eci_spawn *s, const char *const *argv, const char *const *env, int mode,
			int *err, int *pid)
{
	(void)ctx;
	sprintf(asked + strlen(asked), "start %s %s %d;", argv[0], env && env[0] ? env[0] : "-", mode);
	*err = start_errno;
	*pid = start_pid;
	one = start_errno ? NULL : s;
	return one;
}
static void host_write(void *ctx, void *proc, bool tty, const uint8_t *p, size_t n)
{
	(void)ctx, (void)proc, (void)p;
	sprintf(asked + strlen(asked), "write%s %zu;", tty ? " tty" : "", n);
}
static void host_close(void *ctx, void *proc)
{
	(void)ctx, (void)proc;
	strcat(asked, "close;");
}
static void host_pause(void *ctx, void *proc, bool on)
{
	(void)ctx, (void)proc;
	strcat(asked, on ? "pause;" : "go on;");
}
static void host_kill(void *ctx, void *proc)
{
	(void)ctx, (void)proc;
	strcat(asked, "kill;");
}
static void host_attach(void *ctx, void *proc, struct eci_link *link)
{
	(void)ctx, (void)proc;
	link_of_one = link;
	strcat(asked, link ? "attach;" : "detach;");
}
static void host_free(void *ctx, void *proc)
{
	(void)ctx, (void)proc;
	one = NULL;
	strcat(asked, "free;");
}
static const char *host_explain(void *ctx, int err)
{
	(void)ctx;
	return strerror(err);
}
static const struct eci_spawn_host host = {host_start, host_write,  host_close, host_pause,
					   host_kill,  host_attach, host_free,  host_explain};

static bool deliver(void *ctx, enum eci_origin from, struct eci_link *l, const struct eci_frame *f)
{
	(void)ctx, (void)from, (void)l;
	return eci_spawns_deliver(spawns, f, now);
}
static const char *hello(void *ctx, struct eci_link *l, const struct eci_frame *f)
{
	(void)ctx;
	eci_spawn_up(eci_link_user(l), f->body, f->len, now);
	return NULL;
}
static void wake(void *ctx, struct eci_link *l)
{
	(void)ctx, (void)l;
}
static void broken(void *ctx, struct eci_link *l, const char *reason, const char *detail)
{
	(void)ctx;
	eci_spawn_broken(eci_link_user(l), reason, detail);
}
static const struct eci_router_ops ops = {deliver, hello, wake, broken};

static void on_event(void *arg, const struct eci_answer *a)
{
	(void)arg;
	if (a->dead) {
		sprintf(events + strlen(events), "dead %s;", a->reason);
		return;
	}
	struct eci_cbor c = eci_cbor_open(a->f->body, a->f->len);
	(void)eci_cbor_get_array(&c);
	uint64_t code = eci_cbor_get_uint(&c);
	const char *text = "";
	size_t n = 0;
	if (code == 8)
		(void)eci_cbor_get_text(&c, &text, &n);
	if (code == 5 || code == 8)
		last_status = eci_cbor_get_int(&c);
	cr_assert(!c.bad);
	const uint8_t *p;
	if ((code == 1 || code == 2) && eci_cbor_get_bytes(&c, &p, &n)) {
		output += n;
		n = 0;
	}
	sprintf(events + strlen(events), "%u%s%.*s;", (unsigned)code, n ? " " : "", (int)n, text);
	if (code == 8 && eci_cbor_get_text(&c, &text, &n))
		sprintf(last_detail, "%.*s", (int)n, text);
}

static void setup(void)
{
	router = eci_router_new(0, 0, &ops, NULL);
	spawns = eci_spawns_new(router, &host, NULL);
	now = 1000;
	start_errno = 0;
	start_pid = 77;
	*asked = *events = '\0';
	output = 0;
}
static void teardown(void)
{
	eci_spawns_free(spawns);
	eci_router_free(router);
}
TestSuite(spawn, .init = setup, .fini = teardown);

static void send(uint32_t handle, uint32_t reply_to, struct eci_buf *b)
{
	cr_assert_eq(eci_router_send(router, handle == ECI_H_KILL ? ECI_CONTROL : ECI_CALL, 0, 0, handle, reply_to,
				     eci_buf_data(b), eci_buf_len(b), now),
		     0);
	eci_buf_deinit(b);
	eci_router_tick(router, now);
}

static void spawn(uint64_t mode)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_map(&b, 5);
	eci_cbor_put_uint(&b, 0);
	eci_cbor_put_uint(&b, ID);
	eci_cbor_put_uint(&b, 1);
	eci_cbor_put_uint(&b, SIZE);
	eci_cbor_put_uint(&b, 2);
	eci_cbor_put_array(&b, 1);
	eci_cbor_put_bytes(&b, "ssh", 3);
	eci_cbor_put_uint(&b, 3);
	eci_cbor_put_map(&b, 1);
	eci_cbor_put_str(&b, "K");
	eci_cbor_put_str(&b, "V");
	eci_cbor_put_uint(&b, 4);
	eci_cbor_put_uint(&b, mode);
	send(ECI_H_SPAWN, eci_slot_open(router, 0, ECI_SLOT_MANY, on_event, NULL), &b);
}

static void raw(uint64_t op, size_t n)
{
	static uint8_t bytes[ECI_FRAME_BODY_MAX];
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 3);
	eci_cbor_put_uint(&b, ID);
	eci_cbor_put_uint(&b, op);
	if (op == 2)
		eci_cbor_put_uint(&b, n);
	else
		eci_cbor_put_bytes(&b, bytes, n);
	send(ECI_H_RAW, 0, &b);
}

static void promote(uint64_t idle_ms)
{
	struct eci_buf h = ECI_BUF_NULL, b = ECI_BUF_NULL;
	eci_cbor_put_map(&h, 3);
	eci_cbor_put_uint(&h, 0);
	eci_cbor_put_uint(&h, ECI_PROTOCOL_VERSION);
	eci_cbor_put_uint(&h, 1);
	eci_cbor_put_array(&h, 2);
	eci_cbor_put_uint(&h, ID);
	eci_cbor_put_uint(&h, SIZE);
	eci_cbor_put_uint(&h, 2);
	eci_cbor_put_uint(&h, idle_ms);
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_uint(&b, ID);
	eci_cbor_put_bytes(&b, eci_buf_data(&h), eci_buf_len(&h));
	eci_buf_deinit(&h);
	send(ECI_H_PROMOTE, 0, &b);
}

static void kill_it(void)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 1);
	eci_cbor_put_uint(&b, ID);
	send(ECI_H_KILL, 0, &b);
}

static void told(const char *want_asked, const char *want_events)
{
	eci_router_tick(router, now);
	cr_assert_str_eq(asked, want_asked);
	cr_assert_str_eq(events, want_events);
	*asked = *events = '\0';
}

/* What was written to the link, as handles: "1;2;" is HELLO and PING. */
static void link_says(const char *want)
{
	char got[128] = "";
	const uint8_t *p;
	size_t n;
	while ((n = eci_link_output(link_of_one, &p, 65536)) > 0) {
		for (size_t at = 0; at < n;) {
			struct eci_frame f;
			long used = eci_frame_unpack(p + at, n - at, &f);
			cr_assert_gt(used, 0);
			sprintf(got + strlen(got), "%u;", f.handle);
			at += (size_t)used;
		}
		eci_link_wrote(link_of_one, n, now);
	}
	cr_assert_str_eq(got, want);
}

static void answer_hello(void)
{
	uint8_t head[ECI_FRAME_HEADER];
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_map(&b, 1);
	eci_cbor_put_uint(&b, 0);
	eci_cbor_put_uint(&b, ECI_PROTOCOL_VERSION);
	struct eci_frame f = {.cls = ECI_CONTROL,
			      .hops = ECI_HOPS,
			      .src = ID,
			      .auth = ID,
			      .handle = ECI_H_HELLO,
			      .len = (uint32_t)eci_buf_len(&b)};
	eci_frame_pack(head, &f);
	eci_link_feed(link_of_one, head, sizeof head, now);
	eci_link_feed(link_of_one, eci_buf_data(&b), eci_buf_len(&b), now);
	eci_buf_deinit(&b);
}

Test(spawn, a_process_that_ends_before_it_is_a_link)
{
	spawn(2);
	told("start ssh K=V 2;", "0;");
	raw(0, 10);
	raw(1, 5);
	told("write 10;write tty 5;", "");
	eci_spawn_exited(one, 256, now);
	told("free;", "5;");
	raw(0, 1); /* its final event crossed this */
	told("", "");
	cr_assert_eq(eci_spawns_dials(spawns), 1);
}

/* By whoever took it: before it is a link, and then. */
Test(spawn, whose_exit_status_is_taken)
{
	static const int statuses[] = {0, 256, 65280, 9, -1};
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		spawn(0);
		told("start ssh K=V 0;", "0;");
		eci_spawn_exited(one, statuses[i], now);
		told("free;", "5;");
		cr_expect_eq(last_status, statuses[i], "%ld", (long)last_status);
		spawn(0);
		promote(3000);
		told("start ssh K=V 0;attach;", "0;");
		eci_spawn_exited(one, statuses[i], now);
		told("detach;free;", "8 eof;");
		cr_expect_eq(last_status, statuses[i], "%ld", (long)last_status);
	}
}

Test(spawn, could_not_be_started)
{
	start_errno = 2;
	spawn(0);
	told("start ssh K=V 0;", "7;");
}

/* PROMOTE came before it was known: the link goes with it, and never was one. */
Test(spawn, could_not_be_started_and_was_promoted)
{
	struct eci_buf b = ECI_BUF_NULL;
	start_pid = 0;
	spawn(0);
	promote(3000);
	told("start ssh K=V 0;attach;", "");
	eci_words_why(&b, "ssh", host_explain, NULL, 2);
	cr_assert(!eci_spawn_begun(one, 0, eci_buf_data(&b), eci_buf_len(&b), now));
	eci_buf_deinit(&b);
	told("detach;free;", "7;");
	cr_assert(eci_router_is_free(router, ID, SIZE));
	now += 3000; /* no silence of it is noticed */
	told("", "");
	cr_assert_eq(eci_router_send(router, ECI_CALL, 0, ID, 5000, 0, NULL, 0, now), -3);
}

Test(spawn, the_mode_is_at_most_2)
{
	spawn(3);
	told("", "dead bad-body;");
}

Test(spawn, the_window_of_raw_is_64_kib_and_not_one_more)
{
	spawn(0);
	for (int i = 0; i < 4; i++)
		raw(0, ECI_RAW_WINDOW / 4);
	told("start ssh K=V 0;write 16384;write 16384;write 16384;write 16384;", "0;");
	raw(0, 1);
	told("kill;", "");
	eci_spawn_exited(one, 9, now);
	told("free;", "8 raw-overflow;");
}

Test(spawn, output_that_is_not_acknowledged_is_not_read_on)
{
	static uint8_t bytes[ECI_RAW_WINDOW];
	spawn(0);
	told("start ssh K=V 0;", "0;");
	eci_spawn_output(one, 1, bytes, ECI_RAW_WINDOW - 1, now);
	told("", "1;1;1;1;");
	eci_spawn_output(one, 2, bytes, 1, now);
	told("pause;", "2;");
	raw(2, ECI_RAW_WINDOW / 2);
	told("", "");
	raw(2, 1);
	told("go on;", "");
	/* Again; and who acknowledges more than there was is owed nothing. */
	eci_spawn_output(one, 1, bytes, ECI_RAW_WINDOW / 2, now);
	told("", "1;1;");
	eci_spawn_output(one, 1, bytes, 1, now);
	told("pause;", "1;");
	raw(2, ECI_RAW_WINDOW + 1);
	told("go on;", "");
	eci_spawn_output(one, 1, bytes, ECI_RAW_WINDOW - 1, now);
	told("", "1;1;1;1;");
}

Test(spawn, a_silent_link_ends_after_the_idle_time_of_its_hello)
{
	spawn(0);
	promote(3000);
	told("start ssh K=V 0;attach;", "0;");
	link_says("1;");
	answer_hello();
	told("", "6;");
	now += 999;
	eci_router_tick(router, now);
	link_says("");
	now += 1;
	eci_router_tick(router, now);
	link_says("2;");
	now += 1999;
	eci_router_tick(router, now);
	told("", "");
	now += 1;
	eci_router_tick(router, now);
	told("kill;", "");
	eci_spawn_exited(one, 9, now);
	told("detach;free;", "8 silent;");
}

Test(spawn, idle_0_has_no_heartbeat)
{
	spawn(0);
	promote(0);
	link_says("1;");
	answer_hello();
	told("start ssh K=V 0;attach;", "0;6;");
	now += 3600u * 1000u;
	cr_assert_eq(eci_router_tick(router, now), UINT64_MAX);
	link_says("");
	kill_it();
	told("kill;", "");
	eci_spawn_exited(one, 9, now);
	told("detach;free;", "8 killed;");
}

/* One byte of each is its end here, so that 31 and 255 are told. */
Test(spawn, why_it_ended_is_cut)
{
	char reason[40], text[300], want[64];
	for (int past = 0; past <= 1; past++) {
		snprintf(reason, sizeof reason, "%0*d", 31 + past, 1);
		snprintf(text, sizeof text, "%0*d", 255 + past, 1);
		spawn(0);
		eci_spawn_broken(one, reason, text);
		told("start ssh K=V 0;kill;", "0;");
		eci_spawn_exited(one, 9, now);
		snprintf(want, sizeof want, "8 %.31s;", reason);
		told("free;", want);
		text[255] = 0;
		cr_assert_str_eq(last_detail, text);
	}
}

Test(spawn, what_a_link_says_on_stderr_is_4_kib_at_once)
{
	static uint8_t bytes[ECI_STDERR_AFTER + 1];
	spawn(0);
	promote(3000);
	told("start ssh K=V 0;attach;", "0;");
	eci_spawn_output(one, 2, bytes, sizeof bytes, now);
	told("", "2;");
	cr_assert_eq(output, ECI_STDERR_AFTER);
	eci_spawn_output(one, 2, bytes, 1, now);
	told("", "");
	raw(2, 1);
	eci_spawn_output(one, 2, bytes, 2, now);
	told("", "2;");
	cr_assert_eq(output, ECI_STDERR_AFTER + 1);
}

Test(spawn, what_is_no_frame_is_told_once)
{
	spawn(0);
	promote(3000);
	told("start ssh K=V 0;attach;", "0;");
	eci_spawn_hears(one, (const uint8_t *)"bash: no such file", 18, now);
	told("", "1;");
	cr_assert_eq(output, 18);
	eci_spawn_hears(one, (const uint8_t *)"bash", 4, now);
	told("", "");
	eci_spawn_exited(one, 256, now);
	told("detach;free;", "8 eof;");
	spawn(0);
	promote(3000);
	told("start ssh K=V 0;attach;", "0;");
	eci_spawn_hears(one, (const uint8_t *)"\xEC", 1, now);
	told("", "");
}

Test(spawn, the_first_reason_stays)
{
	spawn(0);
	promote(3000);
	kill_it();
	eci_spawn_broken(one, "silent", "no byte came");
	told("start ssh K=V 0;attach;kill;kill;", "0;");
	eci_spawn_exited(one, 9, now);
	told("detach;free;", "8 killed;");
}

Test(spawn, what_was_thrown_away_was_not_written)
{
	spawn(0);
	raw(0, 10);
	eci_spawn_written(one, 4, now);
	told("start ssh K=V 0;write 10;", "0;4;");
	kill_it();
	eci_spawn_written(one, 6, now);
	told("kill;", "");
	eci_spawn_exited(one, 9, now);
	told("free;", "5;");
}

Test(spawn, a_block_that_another_has_taken)
{
	spawn(0);
	cr_assert_not_null(eci_router_add_child(router, ID + SIZE - 1, 1, NULL));
	promote(3000);
	told("start ssh K=V 0;kill;", "0;");
	eci_spawn_exited(one, 9, now);
	told("free;", "8 block-exhausted;");
}
