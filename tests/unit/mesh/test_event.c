/* Events: log records, output, ends; the limit of records and one past it; the descriptor. */
#include "core/cbor.h"
#include "mesh/event.h"
#include "mesh_support.h"

static bool readable(ectx_mesh *m)
{
	struct pollfd p = {.fd = ectx_event_fd(m), .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

static void shout(ectx_mesh *m, const char *name, int n)
{
	char args[32];
	ectx_error err = {0};
	(void)snprintf(args, sizeof args, "[%d]", n);
	cr_assert(call(get(m, name), "work:shout", args, NULL, &err) == ECTX_OK, "%s", err.saw);
}

Test(event, records_and_printed_lines)
{
	struct world w = world_open();
	ectx_error err = {0};
	shout(w.mesh, "c", 1);
	cr_assert(call(get(w.mesh, "c"), "work:say", "[2]", NULL, &err) == ECTX_OK);
	static const struct {
		const char *logger, *text;
		int level;
	} want[] = {{"w", "00000 y", 30}, {"stdout", "line 0", 20}, {"stdout", "line 1", 20}};
	for (size_t i = 0; i < 3; i++) { /* all of it was there before the call's answer */
		cr_expect(readable(w.mesh));
		ectx_event *e = ectx_event_next(w.mesh, 0);
		cr_assert(e && e->kind == ECTX_EVENT_LOG);
		cr_expect_str_eq(e->logger, want[i].logger);
		cr_expect_str_eq(e->text, want[i].text);
		cr_expect(e->level == want[i].level && e->len == strlen(e->text));
		cr_expect_str_eq(ectx_context_name(e->context), "c");
		ectx_event_free(e);
	}
	cr_expect(!readable(w.mesh) && ectx_event_next(w.mesh, 0) == NULL);
	struct timespec from = now();
	cr_expect(ectx_event_next(w.mesh, 100) == NULL && ms_since(&from) >= 99);
	ectx_event_free(NULL);
	world_close(&w);
}

static void at_limit(int n, uint64_t dropped)
{
	struct world w = world_open();
	ectx_mesh *m = mesh_over(&w, 5);
	shout(m, "a", n);
	uint64_t lost = 0;
	int got = 0;
	ectx_event *e;
	for (; (e = ectx_event_next(m, 0)); ectx_event_free(e)) {
		char text[32];
		if (e->kind == ECTX_EVENT_DROPPED) {
			cr_expect(got == 0 && lost == 0, "once, and before what is left");
			lost = e->dropped;
			continue;
		}
		(void)snprintf(text, sizeof text, "%05d y", got++ + (int)dropped);
		cr_expect_str_eq(e->text, text);
	}
	cr_expect(got == 5 && lost == dropped, "%d events, %d dropped", got, (int)lost);
	shout(m, "a", 1);
	e = ectx_event_next(m, 0);
	cr_expect(e && e->kind == ECTX_EVENT_LOG, "what was dropped is said once");
	ectx_event_free(e);
	ectx_mesh_free(m);
	world_close(&w);
}

Test(event, as_many_records_as_the_limit)
{
	at_limit(5, 0);
}

Test(event, one_record_past_the_limit)
{
	at_limit(6, 1);
}

Test(event, many_records_past_the_limit)
{
	at_limit(200, 195);
}

static void *take_one(void *arg)
{
	return ectx_event_next(arg, WITHIN);
}

Test(event, a_thread_that_waits_is_woken)
{
	struct world w = world_open();
	pthread_t id;
	void *got = NULL;
	cr_assert(pthread_create(&id, NULL, take_one, w.mesh) == 0);
	shout(w.mesh, "a", 1);
	cr_assert(pthread_join(id, &got) == 0);
	cr_assert(got && ((ectx_event *)got)->kind == ECTX_EVENT_LOG);
	ectx_event_free(got);
	world_close(&w);
}

/* As an agent's records come, without the agent. */
static void records(ectx_mesh *m, int n, size_t len)
{
	static char text[65536];
	ectx_context *a = get(m, "a");
	eci_lock(m);
	for (int i = 0; i < n; i++)
		eci_event_log(m, a, 30, "w", 1, text, len);
	eci_unlock(m);
}

/* So many are kept, after so many were dropped. */
static void are_kept(ectx_mesh *m, unsigned kept, uint64_t dropped, size_t bytes)
{
	eci_lock(m);
	cr_expect(m->log_events == kept && m->dropped == dropped && m->log_bytes == bytes, "%u records, %d dropped",
		  m->log_events, (int)m->dropped);
	eci_unlock(m);
}

Test(event, sixteen_mebibytes_of_records_and_no_more)
{
	struct world w = world_open();
	records(w.mesh, 256, 65536);
	are_kept(w.mesh, 256, 0, 16u << 20);
	records(w.mesh, 1, 1);
	are_kept(w.mesh, 256, 1, (16u << 20) - 65536 + 1);
	world_close(&w);
}

Test(event, sixty_five_thousand_records_where_nothing_is_said)
{
	struct world w = world_open();
	records(w.mesh, 65536, 1);
	are_kept(w.mesh, 65536, 0, 65536);
	records(w.mesh, 1, 2);
	are_kept(w.mesh, 65536, 1, 65537);
	world_close(&w);
}

static void lost_at(ectx_mesh *m, const char *name, uint64_t lines)
{
	ectx_context *c = name ? get(m, name) : NULL;
	eci_lock(m);
	eci_event_dropped(m, c, lines);
	eci_unlock(m);
}

static void says_dropped(ectx_mesh *m, const char *name, uint64_t lines)
{
	ectx_event *e = ectx_event_next(m, 0);
	cr_assert(e && e->kind == ECTX_EVENT_DROPPED);
	cr_expect_eq(e->dropped, lines);
	cr_expect_str_eq(e->context ? ectx_context_name(e->context) : "", name);
	ectx_event_free(e);
}

/* However often a context says that it has lost something: one event waits of each, where its first one stood. */
Test(event, what_was_lost_elsewhere_is_added_up_by_context)
{
	struct world w = world_open();
	lost_at(w.mesh, "a", 3);
	records(w.mesh, 1, 1);
	lost_at(w.mesh, "b", 1);
	lost_at(w.mesh, NULL, 2);
	lost_at(w.mesh, "a", (uint64_t)1 << 32);
	cr_expect(readable(w.mesh));
	says_dropped(w.mesh, "", 2);
	says_dropped(w.mesh, "a", ((uint64_t)1 << 32) + 3);
	lost_at(w.mesh, "a", 5);
	ectx_event *e = ectx_event_next(w.mesh, 0);
	cr_expect(e && e->kind == ECTX_EVENT_LOG);
	ectx_event_free(e);
	says_dropped(w.mesh, "b", 1);
	says_dropped(w.mesh, "a", 5);
	cr_expect(!readable(w.mesh) && ectx_event_next(w.mesh, 0) == NULL);
	lost_at(w.mesh, "b", 1); /* waits when the mesh goes */
	world_close(&w);
}

/* A LOG of that context, or one that says only what it has lost. */
static void says(ectx_mesh *m, const char *name, const char *logger, const char *text, uint64_t lost)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 4);
	eci_cbor_put_uint(&b, 20);
	eci_cbor_put_str(&b, logger);
	eci_cbor_put_str(&b, text);
	eci_cbor_put_uint(&b, lost);
	ectx_context *c = get(m, name);
	eci_lock(m);
	cr_expect(eci_serve(m, NULL,
			    &(struct eci_frame){.handle = ECI_H_LOG,
						.src = c->id,
						.body = eci_buf_data(&b),
						.len = (uint32_t)eci_buf_len(&b)}));
	eci_unlock(m);
	eci_buf_deinit(&b);
}

static void comes(ectx_mesh *m, const char *name, const char *logger, const char *text)
{
	ectx_event *e = ectx_event_next(m, 0);
	cr_assert(e && e->kind == ECTX_EVENT_LOG, "no %s", text);
	cr_expect_str_eq(ectx_context_name(e->context), name);
	cr_expect_str_eq(e->logger, logger);
	cr_expect_str_eq(e->text, text);
	ectx_event_free(e);
}

/* Python 2's surrogates cost three characters each and not the record; what nobody can read is said to be lost. */
Test(event, a_record_that_is_no_utf8)
{
	struct world w = world_open();
	(void)call_int(get(w.mesh, "c"), "work:add", "[1]");
	says(w.mesh, "c", "stdout", "a\xED\xA0\x80\xED\xBF\xBFz\xED\x9F\xBF\n", 0);
	comes(w.mesh, "c", "stdout", "a??????z\xED\x9F\xBF");
	says(w.mesh, "c", "stdout", "a\xED\n", 0);
	says_dropped(w.mesh, "c", 1);
	says(w.mesh, "c", "stdout", "a\xED\xA0", 0);
	says_dropped(w.mesh, "c", 1);
	cr_expect(ectx_event_next(w.mesh, 0) == NULL);
	world_close(&w);
}

/* What a relay has lost is somebody's below it: the beginning of a line is joined to nothing that came after. */
Test(event, a_line_that_a_hole_cuts_ends_there)
{
	struct world w = world_open();
	(void)call_int(get(w.mesh, "c"), "work:add", "[1]");
	(void)call_int(get(w.mesh, "d"), "work:add", "[1]");
	says(w.mesh, "c", "stdout", "one", 0);
	says(w.mesh, "c", "stderr", "two", 0);
	says(w.mesh, "d", "stdout", "elsewhere ", 0);
	says(w.mesh, "a", "", "", 7);
	says(w.mesh, "c", "stdout", "the end\n", 0);
	says(w.mesh, "d", "stdout", "goes on\n", 0);
	comes(w.mesh, "c", "stdout", "one");
	comes(w.mesh, "c", "stderr", "two");
	says_dropped(w.mesh, "a", 7);
	comes(w.mesh, "c", "stdout", "the end");
	comes(w.mesh, "d", "stdout", "elsewhere goes on");
	says(w.mesh, "c", "stdout", "one", 0);
	says(w.mesh, "c", "stdout", "the end\n", 1); /* its own loss, in front of what it says with it */
	comes(w.mesh, "c", "stdout", "one");
	says_dropped(w.mesh, "c", 1);
	comes(w.mesh, "c", "stdout", "the end");
	cr_expect(ectx_event_next(w.mesh, 0) == NULL);
	world_close(&w);
}

/* Nobody takes the records: what is kept is bounded in bytes too. */
Test(event, large_records_are_bounded_by_their_bytes)
{
	struct world w = world_open();
	ectx_error err = {0};
	cr_assert(call(get(w.mesh, "d"), "work:shout", "[2000, 30000]", NULL, &err) == ECTX_OK, "%s", err.saw);
	size_t bytes = 0;
	uint64_t dropped = 0, n = 0;
	for (ectx_event *e; (e = ectx_event_next(w.mesh, 0)); ectx_event_free(e)) {
		dropped += e->dropped;
		n += e->kind == ECTX_EVENT_LOG;
		bytes += e->len;
	}
	cr_expect(bytes <= 16u << 20, "%zu bytes in %d records, %d dropped", bytes, (int)n, (int)dropped);
	cr_expect(n + dropped == 2000, "%d + %d: no record goes uncounted", (int)n, (int)dropped);
	world_close(&w);
}

/* As above, where much waits that is no record: what is pushed out is not looked for among that. */
Test(event, records_past_the_limit_behind_many_other_events)
{
	enum { OTHERS = 16384, RECORDS = 30000 };
	struct world w = world_open();
	ectx_mesh *m = mesh_over(&w, 100);
	ectx_context *c = get(m, "d");
	static ectx_future *f[OTHERS];
	for (int i = 0; i < OTHERS; i++) {
		f[i] = ectx_connect_start(c, WITHIN);
		ectx_future_set_user(f[i], m);
	}
	cr_assert(ectx_future_wait(f[OTHERS - 1], WITHIN));
	struct timespec cpu, end;
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	eci_lock(m);
	for (int i = 0; i < RECORDS; i++)
		eci_event_log(m, c, 30, "w", 1, "text", 4);
	eci_unlock(m);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	long ms = (end.tv_sec - cpu.tv_sec) * 1000 + (end.tv_nsec - cpu.tv_nsec) / 1000000;
	cr_expect(ms < 400, "%ld ms of processor for %d records", ms, RECORDS);
	for (int i = 0; i < OTHERS; i++)
		ectx_future_free(f[i]);
	int left = 0;
	for (ectx_event *e; (e = ectx_event_next(m, 0)); ectx_event_free(e))
		left += e->kind == ECTX_EVENT_LOG ? 1 : e->kind == ECTX_EVENT_DONE ? 1000 : 0;
	cr_expect(left == 100, "%d", left);
	ectx_mesh_free(m);
	world_close(&w);
}
