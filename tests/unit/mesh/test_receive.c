/* What those get who wait for the next value of a channel: in order, each value once, and at its end the reason. What
 * comes is given to the channel's stream by hand, as its link would. */
#include "mesh/channel.h"
#include "mesh_support.h"

enum { SAW = sizeof((ectx_error *)0)->saw };

static struct world w;
static ectx_channel *ch;

static void begin(void)
{
	w = world_open();
	ch = ectx_channel_new(w.mesh);
	cr_assert_not_null(ch);
}

static void end(void)
{
	ectx_channel_free(ch);
	world_close(&w);
}

static void come(const void *bytes, size_t n)
{
	eci_lock(w.mesh);
	eci_outside_ops.data(ch->x, bytes, n);
	eci_unlock(w.mesh);
}

/* A number below 24. */
static void number(int n)
{
	const uint8_t value[] = {0, 0, 0, 1, (uint8_t)n};
	come(value, sizeof value);
}

static void far_end(void)
{
	eci_lock(w.mesh);
	eci_outside_ops.ended(ch->x);
	eci_unlock(w.mesh);
}

static void reset(const char *reason, const char *evidence)
{
	eci_lock(w.mesh);
	eci_outside_ops.dead(ch->x, &(struct eci_answer){.dead = true, .reason = reason, .evidence = evidence});
	eci_unlock(w.mesh);
}

static ectx_future *waiter(long timeout_ms)
{
	ectx_future *f = ectx_channel_receive_start(ch, timeout_ms);
	cr_assert_not_null(f);
	return f;
}

/* Of a future that is done; -1: another outcome, or none. */
static int64_t got(ectx_future *f)
{
	int64_t n = -1;
	bool good = ectx_future_done(f) && ectx_future_error(f)->status == ECTX_OK;
	(void)(good && ectx_value_int(ectx_future_value(f), &n));
	ectx_future_free(f);
	return n;
}

/* The blocking form's outcome; the number, if it was one. */
static enum ectx_code receive(long timeout_ms, int64_t *n, char saw[SAW])
{
	ectx_value *v = NULL;
	ectx_error err = {0};
	enum ectx_status status = ectx_channel_receive(ch, &v, timeout_ms, &err);
	cr_expect(status == err.status && (status == ECTX_OK || !v));
	*n = -1;
	if (v)
		(void)ectx_value_int(v, n);
	(void)snprintf(saw, SAW, "%s", err.saw);
	ectx_value_free(v);
	enum ectx_code code = err.code;
	ectx_error_clear(&err);
	return code;
}

static void expect_now(long timeout_ms, enum ectx_code code, int64_t n, const char *saw)
{
	int64_t have;
	char text[SAW];
	enum ectx_code is = receive(timeout_ms, &have, text);
	cr_expect(is == code && have == n && !strcmp(text, saw), "%ld ms: %s, %lld, %s", timeout_ms, ectx_code_name(is),
		  (long long)have, text);
}

/* Once it ended with a deadline, "still connecting", whatever had come. */
Test(receive, what_has_come_is_had_with_no_time)
{
	begin();
	number(7);
	ectx_future *one = waiter(0), *two = waiter(0);
	cr_expect_eq(got(one), 7);
	cr_expect(ectx_future_wait(two, WITHIN) && ectx_future_error(two)->code == ECTX_E_DEADLINE);
	cr_expect_str_eq(ectx_future_error(two)->saw, "");
	ectx_future_free(two);
	number(8);
	expect_now(0, ECTX_E_NONE, 8, "");
	end();
}

Test(receive, several_wait_in_order)
{
	begin();
	ectx_future *one = waiter(-1), *two = waiter(-1), *three = waiter(-1), *four = waiter(-1);
	ectx_future_cancel(two);
	come("\0\0\0", 3); /* the beginning of one */
	cr_expect(!ectx_future_done(one));
	come("\1", 1);
	cr_expect(!ectx_future_done(one));
	come("\1\0\0\0\1\2", 6); /* its end, and one more */
	cr_expect(ectx_future_wait_any((ectx_future *[]){four, one, three, one}, 4, 0) == 1);
	cr_expect(!ectx_future_done(four));
	number(3);
	cr_expect_eq(got(one), 1);
	cr_expect_eq(ectx_future_error(two)->code, ECTX_E_CANCELLED);
	cr_expect_eq(got(three), 2);
	cr_expect_eq(got(four), 3);
	number(4); /* nobody waits: it is kept */
	number(5);
	cr_expect_eq(got(waiter(-1)), 4);
	expect_now(0, ECTX_E_NONE, 5, "");
	expect_now(0, ECTX_E_DEADLINE, -1, "");
	ectx_future_free(two);
	end();
}

Test(receive, who_waits_no_more_takes_no_value)
{
	begin();
	expect_now(20, ECTX_E_DEADLINE, -1, "");
	ectx_future *late = waiter(1), *freed = waiter(-1), *next = waiter(-1);
	cr_expect(error_of(late)->code == ECTX_E_DEADLINE && !ectx_future_value(late));
	ectx_future_free(freed);
	number(1);
	cr_expect_eq(got(next), 1);
	ectx_future_free(late);
	end();
}

Test(receive, what_is_no_value_is_the_failure_of_one)
{
	begin();
	ectx_future *f = waiter(-1), *next = waiter(-1);
	come("\0\0\0\1\xff", 5);
	cr_expect(error_of(f)->code == ECTX_E_CANNOT_TRAVEL, "%s", ectx_code_name(error_of(f)->code));
	come("\0\0\0\2\1\1", 6); /* two */
	cr_expect(error_of(next)->code == ECTX_E_CANNOT_TRAVEL, "%s", ectx_code_name(error_of(next)->code));
	come("\0\0\0\0", 4); /* none */
	expect_now(0, ECTX_E_CANNOT_TRAVEL, -1, "what came over the channel is no value");
	number(7);
	expect_now(WITHIN, ECTX_E_NONE, 7, "");
	ectx_future_free(f);
	ectx_future_free(next);
	end();
}

/* What had come is had first, whole; then the end, as often as it is asked for. */
Test(receive, the_end_is_behind_what_came)
{
	begin();
	ectx_future *f = waiter(-1), *g = waiter(-1), *h = waiter(-1);
	number(1);
	far_end();
	cr_expect_eq(got(f), 1);
	for (int i = 0; i < 2; i++) {
		ectx_future *x = i ? h : g;
		cr_expect(error_of(x)->status == ECTX_OK && !ectx_future_value(x), "%s", error_of(x)->saw);
		ectx_future_free(x);
		expect_now(i ? WITHIN : 0, ECTX_E_NONE, -1, "");
	}
	reset("reset", "another reason");
	expect_now(0, ECTX_E_NONE, -1, ""); /* it had ended well */
	end();
}

Test(receive, an_end_within_a_value_is_none)
{
	begin();
	ectx_future *f = waiter(-1), *g = waiter(-1);
	number(1);
	come("\0\0\0\2\1", 5);
	far_end();
	cr_expect_eq(got(f), 1);
	cr_expect(error_of(g)->code == ECTX_E_CHANNEL_CLOSED &&
			  !strcmp(error_of(g)->saw, "it ended in the middle of a value"),
		  "%s", error_of(g)->saw);
	ectx_future_free(g);
	expect_now(WITHIN, ECTX_E_CHANNEL_CLOSED, -1, "it ended in the middle of a value");
	expect_now(0, ECTX_E_CHANNEL_CLOSED, -1, "it ended in the middle of a value");
	end();
}

Test(receive, a_reset_is_behind_what_came_with_its_reason)
{
	begin();
	number(1);
	number(2);
	reset("reset", "as it was said");
	cr_expect_eq(got(waiter(-1)), 1);
	expect_now(0, ECTX_E_NONE, 2, "");
	ectx_future *f = waiter(-1);
	cr_expect(error_of(f)->code == ECTX_E_CHANNEL_CLOSED && !strcmp(error_of(f)->saw, "as it was said"), "%s",
		  error_of(f)->saw);
	ectx_future_free(f);
	expect_now(0, ECTX_E_CHANNEL_CLOSED, -1, "as it was said");
	expect_now(WITHIN, ECTX_E_CHANNEL_CLOSED, -1, "as it was said");
	end();
}

Test(receive, a_channel_that_is_freed_is_closed_for_all_who_wait)
{
	begin();
	ectx_future *f = waiter(-1), *g = waiter(WITHIN);
	come("\0\0\0\2\1", 5);
	ectx_channel_free(ch);
	ch = ectx_channel_new(w.mesh);
	for (int i = 0; i < 2; i++) {
		ectx_future *x = i ? g : f;
		cr_expect(ectx_future_done(x) && ectx_future_error(x)->code == ECTX_E_CHANNEL_CLOSED);
		cr_expect(!strcmp(ectx_future_error(x)->saw, "it was freed"), "%s", ectx_future_error(x)->saw);
		ectx_future_free(x);
	}
	end();
}

/* Its call never begins, so nothing can be sent over it, nor comes: that is said to both. */
static void never_begins(const char *node, const char *function, long timeout_ms, const char *why)
{
	begin();
	ectx_value *args = json("[null]"), *one = ectx_int(1);
	ectx_error err = {0};
	cr_expect(ectx_channel_send(ch, one, 0, &err) == ECTX_DEADLINE); /* it is no call's yet */
	ectx_error_clear(&err);
	const ectx_channel_arg arg = {.channel = ch};
	ectx_future *g = waiter(-1);
	ectx_future *f = ectx_call_with_start(get(w.mesh, node), function, args, NULL, &arg, 1, timeout_ms);
	cr_expect(ectx_channel_send(ch, one, WITHIN, &err) != ECTX_OK && err.code == ECTX_E_CHANNEL_CLOSED);
	cr_expect(why ? !strcmp(err.saw, why) : *err.saw, "%s", err.saw);
	cr_expect(error_of(g)->code == ECTX_E_CHANNEL_CLOSED && !strcmp(error_of(g)->saw, err.saw), "%s",
		  error_of(g)->saw);
	cr_expect(error_of(f)->status != ECTX_OK);
	ectx_error_clear(&err);
	ectx_future *again = ectx_call_with_start(get(w.mesh, "d"), "work:echo", args, NULL, &arg, 1, WITHIN);
	cr_expect(error_of(again)->code == ECTX_E_BAD_ARGUMENT, "%s", ectx_code_name(error_of(again)->code));
	ectx_future_free(again);
	ectx_future_free(g);
	ectx_future_free(f);
	ectx_value_free(one);
	ectx_value_free(args);
	end();
}

Test(receive, a_channel_of_a_call_that_never_began)
{
	never_begins("d", "work", WITHIN, "the call is malformed");
	never_begins("d", "work:echo", 0, "deadline");
	never_begins("dumb", "work:echo", WITHIN, NULL); /* it was sent ahead, and lost */
}

Test(receive, a_channel_that_is_freed_before_its_call_begins)
{
	begin();
	ectx_value *args = json("[null]");
	ectx_future *f = ectx_call_with_start(get(w.mesh, "silent"), "work:echo", args, NULL,
					      &(ectx_channel_arg){.channel = ch}, 1, WITHIN);
	ectx_channel_free(ch);
	ch = NULL;
	cr_expect(error_of(f)->status != ECTX_OK);
	ectx_future_free(f);
	ectx_value_free(args);
	end();
}

static void *say_nine(void *arg)
{
	bool waits = false;
	for (struct timespec from = now(); !waits && ms_since(&from) < WITHIN;) {
		eci_lock(w.mesh);
		waits = ch->receives != NULL;
		eci_unlock(w.mesh);
		(void)usleep(1000);
	}
	cr_expect(waits, "nobody waits for it");
	number(9);
	return arg;
}

Test(receive, a_value_that_comes_while_it_is_waited_for)
{
	begin();
	pthread_t thread;
	for (int i = 0; i < 2; i++) {
		cr_assert(pthread_create(&thread, NULL, say_nine, NULL) == 0);
		expect_now(i ? WITHIN : -1, ECTX_E_NONE, 9, "");
		(void)pthread_join(thread, NULL);
	}
	end();
}

Test(receive, what_was_ended_here_takes_no_more)
{
	begin();
	ectx_value *one = ectx_int(1);
	ectx_error err = {0};
	ectx_channel_end(ch);
	cr_expect(ectx_channel_send(ch, one, WITHIN, &err) != ECTX_OK && err.code == ECTX_E_CHANNEL_CLOSED &&
			  !strcmp(err.saw, "it was ended here"),
		  "%s", err.saw);
	ectx_error_clear(&err);
	number(1); /* the other side may go on */
	expect_now(0, ECTX_E_NONE, 1, "");
	ectx_value_free(one);
	end();
}
