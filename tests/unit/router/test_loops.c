/* The two credit loops and PAUSE, all at once: a model over the real routers. Seed by seed another tree of two to four
 * of them, with streams in both directions between a router and one above it, of sizes around the window; readers stop
 * and go on, whole routers stop and go on, ends are reset in the middle, and what acts next is drawn.
 *
 * After every step (loops_checks.h): no router holds more than its bounds, no more is in flight than a window. What is
 * received is what was sent, byte by byte, and no more of it waits for its reader than the stream's window.
 *
 * Then some readers and some routers stop for good: every direction whose reader and whose way are not among them must
 * come to its end, and ECHO be answered, or there is a deadlock. Then all go on, and in the end nothing is left
 * anywhere.
 *
 * LOOPS_SEED=n runs one seed. */
#include "loops_checks.h"

#if defined __SANITIZE_ADDRESS__
#define SEEDS 200u
#else
#define SEEDS 5000u
#endif
#define STREAMS_MAX_HERE 24
#define ROUNDS_MAX 40000
#define PIECE 65536u /* a writer's */

struct end {
	struct eci_stream *s;
	struct end *other;
	int node, lowest; /* lowest: the end further from the master, for the way between */
	size_t total, sent, got, took, shift;
	bool waits, done; /* waits: for room(); done: END was sent */
	bool ended, dead, over, did_reset;
	const char *reason;  /* what the other end is told of the reset */
	bool eager, stopped; /* eager: gives back in data() */
};

static struct end ends[2 * STREAMS_MAX_HERE];
static int nends;
static uint8_t pattern[8 * W];
static struct echo {
	uint32_t slot;
	bool answered;
} echoes[NODES_MAX];

/* ---- an end's owner ---- */
static void give_back(struct end *e, size_t n)
{
	e->took += n;
	eci_stream_took(e->s, n, now);
}

static void finish(struct end *e, const char *reason)
{
	e->did_reset = reason && !eci_stream_over(e->s) && !e->dead;
	seen.reset += e->did_reset;
	e->reason = eci_stream_far(e->s) ? "reset" : "no-handle";        /* whose first frame then finds nobody */
	eci_stream_free(e->s, reason ? reason : "cancelled", NULL, now); /* of which nothing is heard, if it is over */
	e->s = NULL;
	e->over = true;
}

static void on_data(void *arg, const uint8_t *p, size_t n)
{
	struct end *e = arg;
	CHECK(n && n <= ECI_BULK_BODY_MAX && !e->ended && !e->over);
	CHECK(e->got + n <= e->other->sent, "%zu + %zu of %zu", e->got, n, e->other->sent);
	CHECK(!memcmp(p, pattern + e->other->shift + e->got, n), "other bytes at %zu", e->got);
	e->got += n;
	CHECK(e->got - e->took <= W + nodes[e->node].r->widened, "%zu wait for their reader", e->got - e->took);
	if (e->eager && !e->stopped)
		give_back(e, n);
	if (!below(20000))
		finish(e, "reset");
}

static void on_end(void *arg)
{
	struct end *e = arg;
	CHECK(!e->ended && !e->over && e->other->done && e->got == e->other->total, "%zu of %zu", e->got,
	      e->other->total);
	e->ended = true;
}

static void on_room(void *arg)
{
	((struct end *)arg)->waits = false;
}

static void on_dead(void *arg, const struct eci_answer *a)
{
	struct end *e = arg;
	CHECK(!e->dead && !e->over && e->other->did_reset && !strcmp(a->reason, e->other->reason), "%s", a->reason);
	e->dead = true;
	finish(e, NULL);
}

static const struct eci_stream_ops ops = {.data = on_data, .ended = on_end, .room = on_room, .dead = on_dead};

static void write_some(struct end *e)
{
	if (!e->s || e->done || e->waits || !eci_stream_far(e->s))
		return;
	size_t room = eci_stream_room(e->s), n = e->total - e->sent;
	if (n && !room) { /* nothing but room() makes it try again */
		e->waits = true;
		return;
	}
	n = n < room ? n : room;
	n = n < PIECE ? n : PIECE;
	if (n && !below(4))
		n = 1 + below((uint32_t)n);
	e->sent += n;
	e->done = e->sent == e->total;
	if (n)
		CHECK(!eci_stream_send(e->s, pattern + e->shift + e->sent - n, n, now));
	struct eci_link *up = eci_router_parent(nodes[e->node].r);
	size_t most = 2 * ECI_STREAM_BACKLOG + PIECE + 4096 + (size_t)nends / 2 * ECI_QUANTUM; /* a frame of each */
	CHECK(!up || up->local_bulk <= most, "%zu of its own wait at an agent", up->local_bulk);
	if (e->done)
		CHECK(!eci_stream_end(e->s, now));
}

static void read_some(struct end *e)
{
	if (!e->s || e->stopped)
		return;
	size_t n = e->got - e->took;
	if (n)
		give_back(e, below(2) ? n : 1 + below((uint32_t)n));
	if (e->s && eci_stream_over(e->s) && e->got == e->took)
		finish(e, NULL);
}

/* ---- a seed's streams ---- */
static size_t some_size(void)
{
	static const size_t around[] = {0, 1, W - 1, W, W + 1, 0, 1};
	uint32_t k = below(16);
	if (k < 7)
		return around[k];
	return k < 12 ? below(50000) : k < 15 ? W / 2 + below(2 * W) : W + below(6 * W);
}

static void streams_new(void)
{
	bool heavy = !below(10); /* windows enough to one router that more than one above it has to say PAUSE */
	nends = 2 * (1 + (int)below(below(3) ? 8 : STREAMS_MAX_HERE));
	if (heavy)
		nends = 2 * (8 + (int)below(STREAMS_MAX_HERE - 7));
	memset(ends, 0, sizeof ends);
	for (int i = 0; i < nends; i += 2) {
		int low = 1 + (int)below((uint32_t)nnodes - 1), high = nodes[low].parent;
		if (heavy)
			low = nnodes - 1 - (int)below(2) % (nnodes - 1);
		while (high && (heavy || !below(3)))
			high = nodes[high].parent;
		for (int k = 0; k < 2; k++) {
			struct end *e = &ends[i + k], *other = &ends[i + !k];
			*e = (struct end){.other = other, .node = k ? low : high, .lowest = low};
			e->total = heavy && !k ? W / 2 + below(W) : heavy ? below(3) : some_size();
			e->shift = below((uint32_t)(sizeof pattern - e->total) + 1);
			e->eager = !below(4);
			e->s = eci_stream_new(nodes[e->node].r, nodes[k ? high : low].id,
					      k ? eci_stream_handle(other->s) : 0, &ops, e);
		}
		if (below(4)) /* else it is learned from the other end's first frame, as EXEC's is */
			eci_stream_set_far(ends[i].s, eci_stream_handle(ends[i + 1].s));
		else
			CHECK(!eci_stream_send(ends[i + 1].s, NULL, 0, now));
	}
}

/* Upward the whole way to the master counts: a link's hop credit is one for all that goes up, and comes back when a
 * frame was written on. */
static bool way_stopped(const struct end *reader)
{
	int top = reader->node == reader->lowest ? reader->other->node : 0;
	for (int i = reader->lowest;; i = nodes[i].parent) {
		if (nodes[i].stopped)
			return true;
		if (i == top)
			return false;
	}
}

/* This direction has come to its end: the reader has all, or one of both has reset it and both know. */
static bool direction_over(const struct end *reader)
{
	const struct end *writer = reader->other;
	if (reader->did_reset || writer->did_reset)
		return reader->over && writer->over;
	return reader->ended && reader->got == writer->total && (reader->took == reader->got || reader->over);
}

/* ---- what acts, and when ---- */
static void act_links(struct node *n, bool hurry)
{
	struct node *p = &nodes[n->parent];
	if (!p->stopped && (hurry || below(4)))
		pour(&n->down);
	if (!n->stopped && (hurry || below(4)))
		drink(&n->down);
	if (!n->stopped && (hurry || below(4)))
		pour(&n->up);
	if (!p->stopped && (hurry || below(4)))
		drink(&n->up);
}

/* A window doubles, and not again before all that was granted was used: so many bytes must have come for so large a
 * one. */
static size_t widest(size_t got)
{
	size_t window = W;
	for (size_t needs = 0; window < ECI_STREAM_WINDOW_MAX && got >= needs; window *= 2)
		needs += window;
	return window;
}

static void check_windows(void)
{
	size_t most[NODES_MAX] = {0};
	for (int i = 0; i < nends; i++)
		if (ends[i].s)
			most[ends[i].node] += widest(ends[i].got) - W;
	for (int i = 0; i < nnodes; i++)
		CHECK(nodes[i].r->widened <= most[i], "%u, not %zu", nodes[i].r->widened, most[i]);
}

static void round_(bool hurry)
{
	now += 1 + below(6);
	for (int i = 0; i < nnodes; i++)
		if (!nodes[i].stopped)
			(void)eci_router_tick(nodes[i].r, now);
	for (int i = 1; i < nnodes; i++) {
		act_links(&nodes[i], hurry);
		check();
	}
	for (int i = 0; i < nends; i++) {
		struct end *e = &ends[i];
		if (nodes[e->node].stopped || (!hurry && below(2)))
			continue;
		write_some(e);
		read_some(e);
	}
	check();
	check_windows();
}

static void disturb(void)
{
	struct end *e = &ends[below((uint32_t)nends)];
	struct node *n = &nodes[below((uint32_t)nnodes)];
	switch (below(40)) {
	case 0: /* its program ends */
		if (e->s && !nodes[e->node].stopped && !below(4))
			finish(e, "reset");
		break;
	case 1:
	case 2:
		n->stopped = true;
		break;
	case 3:
	case 4:
	case 5:
		n->stopped = false;
		break;
	case 6:
	case 7:
		e->stopped = true;
		break;
	case 8:
	case 9:
		e->stopped = false;
		break;
	default:
		break;
	}
}

static void on_echo(void *arg, const struct eci_answer *a)
{
	CHECK(!a->dead, "%s", a->reason);
	((struct echo *)arg)->answered = true;
	seen.echoes++;
}

/* Calls go by, whatever bulk stands. */
static void echo_all(void)
{
	for (int i = 1; i < nnodes; i++) {
		echoes[i].answered = false;
		echoes[i].slot = eci_slot_open(nodes[0].r, nodes[i].id, ECI_SLOT_ONCE, on_echo, &echoes[i]);
		CHECK(!eci_router_send(nodes[0].r, ECI_CALL, 0, nodes[i].id, ECI_H_ECHO, echoes[i].slot, "\x01", 1,
				       now));
	}
}

static bool all_live_over(void)
{
	for (int i = 0; i < nends; i++)
		if (!ends[i].stopped && !way_stopped(&ends[i]) && !direction_over(&ends[i]))
			return false;
	for (int i = 1; i < nnodes; i++) {
		bool on = !echoes[i].answered && !nodes[0].stopped;
		for (int k = i; k && on; k = nodes[k].parent)
			on = !nodes[k].stopped;
		if (on)
			return false;
	}
	return true;
}

static void until_over(const char *what)
{
	int rounds = 0;
	for (; rounds < ROUNDS_MAX && !all_live_over(); rounds++)
		round_(rounds > 200);
	if (rounds < ROUNDS_MAX)
		return;
	for (int i = 0; i < nends; i++)
		fprintf(stderr, "%d at %d: sent %zu/%zu%s, got %zu took %zu%s%s%s%s\n", i, ends[i].node, ends[i].sent,
			ends[i].total, ends[i].waits ? " waits" : "", ends[i].got, ends[i].took,
			ends[i].ended ? " ended" : "", ends[i].over ? " over" : "", ends[i].stopped ? " stopped" : "",
			way_stopped(&ends[i]) ? " (its way)" : "");
	CHECK(false, "%s: something stands still", what);
}

static void run(void)
{
	rnd = (struct eci_random){(uint64_t)seed * UINT64_C(0x9E3779B97F4A7C15) | 1};
	now = 1000;
	tree_new();
	streams_new();
	for (uint32_t rounds = below(400); rounds; rounds--) {
		disturb();
		round_(false);
	}
	for (int i = 0; i < nnodes; i++) /* some for good */
		nodes[i].stopped = nodes[i].stopped && i;
	for (int i = 0; i < nends; i++)
		ends[i].stopped = ends[i].stopped || !below(8);
	if (nnodes > 2 && below(2))
		nodes[nnodes - 1].stopped = true;
	echo_all();
	until_over("beside what has stopped");
	for (int i = 0; i < nnodes; i++)
		nodes[i].stopped = false;
	for (int i = 0; i < nends; i++)
		ends[i].stopped = false;
	until_over("after all went on");
	for (int i = 0; i < ROUNDS_MAX && (i < 60 || !all_drained());
	     i++) /* what a reset left in queues goes its way */
		round_(true);
	for (int i = 0; i < nends; i++)
		CHECK(ends[i].over, "all ends know");
	check_empty();
	tree_free();
}

Test(loops, many_seeds)
{
	const char *one = getenv("LOOPS_SEED");
	uint32_t first = one ? (uint32_t)strtoul(one, NULL, 10) : 1, last = one ? first : SEEDS;
	rnd = (struct eci_random){12345};
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (uint8_t)eci_random_u64(&rnd);
	for (seed = first; seed <= last; seed++)
		run();
	printf("%u seeds; rounds with a link paused %u, a pause passed on %u, lingering %u, a hop's window grown %u, a "
	       "stream's %u; %u resets, %u echoes; %u bytes held at most\n",
	       last - first + 1, seen.paused, seen.passed_on, seen.lingering, seen.grown, seen.widened, seen.reset,
	       seen.echoes, seen.most_held);
	if (!one) /* a model in which nothing happens proves nothing */
		CHECK(seen.paused > SEEDS && seen.passed_on > SEEDS && seen.lingering > SEEDS / 10 &&
		      seen.grown > SEEDS && seen.widened > SEEDS / 10 && seen.reset > SEEDS / 4);
}
