/* conformance_host: a context made of router/ and service/spawn, as a child is: its parent's link is stdin and stdout.
 *
 * It is what a relay in C will be, without what is not C yet: no calls, no parts, no modules (a vector that needs those
 * says so and is skipped for it). poll(2) and no library, so that a vector's failure is the router's: everything that
 * decides is in router/ and service/, this file moves bytes.
 *
 * When the parent link ends it says why on stderr ("ended: REASON"), which the runner compares where a vector names a
 * reason, kills its children and exits 0. */
#include "host.h"

#include "core/cbor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

uint64_t host_now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- HELLO ---- */

struct greeting {
	uint64_t version, lo, size, idle;
	bool has_version, has_block;
};

/* True if the next item is the integer 0, 1 or 2, which is then consumed. */
static bool take_key(struct eci_cbor *c, uint64_t *key)
{
	struct eci_cbor at = *c;
	struct eci_cbor_item it;
	if (!eci_cbor_next(&at, &it) || it.type != ECI_CBOR_UINT || it.u64 > 2)
		return false;
	*key = it.u64;
	*c = at;
	return true;
}

/* The version of either HELLO; block and idle are in a parent's only. */
static bool read_greeting(const struct eci_frame *f, bool parent, struct greeting *g)
{
	struct eci_cbor c = eci_cbor_open(f->body, f->len);
	*g = (struct greeting){0};
	if (eci_cbor_check(f->body, f->len, ECI_CBOR_ITEMS_MAX))
		return false;
	size_t pairs = eci_cbor_get_map(&c);
	for (size_t i = 0; i < pairs && !c.bad; i++) {
		uint64_t key = 3;
		if (!take_key(&c, &key))
			(void)eci_cbor_skip(&c);
		if (key == 0) {
			g->version = eci_cbor_get_uint(&c);
			g->has_version = true;
		} else if (key == 1 && parent) {
			size_t items = eci_cbor_get_array(&c);
			g->lo = eci_cbor_get_uint(&c);
			g->size = eci_cbor_get_uint(&c);
			g->has_block = true;
			for (; items > 2; items--)
				(void)eci_cbor_skip(&c);
		} else if (key == 2 && parent) {
			g->idle = eci_cbor_get_uint(&c);
		} else {
			(void)eci_cbor_skip(&c);
		}
	}
	return !c.bad && g->has_version;
}

static void put_text(struct eci_buf *b, uint64_t key, const char *text)
{
	eci_cbor_put_uint(b, key);
	eci_cbor_put_str(b, text);
}

static void answer(struct host *h, uint32_t parent)
{
	struct utsname u;
	struct eci_buf b = ECI_BUF_NULL;
	(void)uname(&u);
	eci_cbor_put_map(&b, 7);
	eci_cbor_put_uint(&b, 0);
	eci_cbor_put_uint(&b, ECI_PROTOCOL_VERSION);
	put_text(&b, 1, "native");
	put_text(&b, 2, "0");
	put_text(&b, 3, u.machine);
	eci_cbor_put_uint(&b, 4);
	eci_cbor_put_uint(&b, (uint64_t)getpid());
	eci_cbor_put_uint(&b, 5);
	eci_cbor_put_uint(&b, getuid());
	put_text(&b, 6, u.nodename);
	(void)eci_router_send(h->router, ECI_CONTROL, 0, parent, ECI_H_HELLO, 0, eci_buf_data(&b), eci_buf_len(&b),
			      host_now());
	eci_buf_deinit(&b);
}

static const char *on_hello(void *ctx, struct eci_link *link, const struct eci_frame *f)
{
	struct host *h = ctx;
	struct greeting g;
	bool parent = eci_link_is_parent(link), good = read_greeting(f, parent, &g);
	if (!parent) {
		if (!good)
			return "bad-body";
		if (g.version != ECI_PROTOCOL_VERSION)
			return "version";
		eci_spawn_up(eci_link_user(link), f->body, f->len, host_now());
		return NULL;
	}
	if (!good || !g.has_block || g.lo > UINT32_MAX || g.size > UINT32_MAX || g.idle > UINT32_MAX)
		return "bad-body";
	eci_router_set_block(h->router, (uint32_t)g.lo, (uint32_t)g.size);
	if (eci_router_id(h->router) != f->dst)
		return "bad-hello";
	answer(h, f->src);
	eci_link_set_idle(link, (uint32_t)g.idle);
	return g.version == ECI_PROTOCOL_VERSION ? NULL : "version";
}

/* ---- the rest of the router's hooks ---- */

static bool on_frame(void *ctx, enum eci_origin from, struct eci_link *link, const struct eci_frame *f)
{
	struct host *h = ctx;
	(void)from, (void)link;
	if (f->handle == ECI_H_SHUTDOWN) {
		h->end = "shutdown";
		return true;
	}
	return eci_spawns_deliver(h->spawns, f, host_now());
}

static void on_wake(void *ctx, struct eci_link *link)
{
	(void)link;
	((struct host *)ctx)->dirty = true;
}

static void on_broken(void *ctx, struct eci_link *link, const char *reason, const char *detail)
{
	struct host *h = ctx;
	if (!eci_link_is_parent(link))
		eci_spawn_broken(eci_link_user(link), reason, detail);
	else if (!h->end)
		h->end = reason;
}

static const struct eci_router_ops ops = {.deliver = on_frame, .hello = on_hello, .wake = on_wake, .broken = on_broken};

/* ---- the loop ---- */

static bool flush_up(struct host *h)
{
	const uint8_t *p;
	size_t n;
	while ((n = eci_link_output(h->up, &p, 65536)) > 0) {
		ssize_t w = write(1, p, n);
		if (w < 0 && errno == EAGAIN)
			return false;
		if (w < 0) {
			h->end = "eof";
			return true;
		}
		eci_link_wrote(h->up, (size_t)w, host_now());
	}
	return true;
}

static void read_up(struct host *h)
{
	uint8_t buf[65536];
	ssize_t n = read(0, buf, sizeof buf);
	if (n > 0)
		eci_link_feed(h->up, buf, (size_t)n, host_now());
	else if (n == 0 || errno != EAGAIN)
		h->end = h->end ? h->end : "eof";
}

static void turn(struct host *h)
{
	/* Writing may make something due (an ACK for the link that the bytes came from), and what is due may be to
	 * write. */
	uint64_t until;
	bool done;
	do {
		h->dirty = false;
		host_children_flush(h);
		done = flush_up(h);
		until = eci_router_tick(h->router, host_now());
	} while (h->dirty && !h->end);
	if (h->end)
		return;
	h->npoll = 2;
	h->poll[0] = (struct pollfd){.fd = 0, .events = POLLIN};
	h->poll[1] = (struct pollfd){.fd = done ? -1 : 1, .events = POLLOUT};
	host_children_watch(h, &until);
	uint64_t now = host_now();
	int wait = until == UINT64_MAX ? -1 : until <= now ? 0 : until - now > 60000 ? 60000 : (int)(until - now);
	if (poll(h->poll, h->npoll, wait) < 0)
		return;
	host_children_serve(h);
	if (h->poll[0].revents)
		read_up(h);
}

int main(void)
{
	struct host h = {0};
	(void)signal(SIGPIPE, SIG_IGN);
	(void)fcntl(0, F_SETFL, O_NONBLOCK);
	(void)fcntl(1, F_SETFL, O_NONBLOCK);
	h.router = eci_router_new(1, 0, &ops, &h);
	h.up = h.router ? eci_router_add_parent(h.router, NULL) : NULL;
	h.spawns = h.router ? eci_spawns_new(h.router, &host_children, &h) : NULL;
	while (h.up && h.spawns && !h.end)
		turn(&h);
	if (h.up && h.end)
		(void)flush_up(&h); /* a version's answer, a notice that was made before the end */
	(void)fprintf(stderr, "ended: %s\n", h.end ? h.end : "no memory");
	host_children_kill(&h);
	eci_spawns_free(h.spawns);
	eci_router_free(h.router);
	return 0;
}
