/* The three verbs of a relay, and KILL, for contexts written in C.
 *
 * One eci_spawn is a process from SPAWN to its final event. It is known by the first id of the block that its context
 * will own, which the master chose. Its life:
 *
 *     RAW ──PROMOTE──> LINK ──> over
 *
 * The link exists from PROMOTE on, so that frames for the new context have a way at once; the host writes the RAW bytes
 * that came before it first. In RAW, output goes to the event slot and RAW frames go to stdin; in LINK, stdin and
 * stdout belong to a router link, and only stderr still makes events. Exactly one final event (5, 7 or 8) is sent,
 * always.
 *
 * The master runs this for its own children and addresses itself, so that a child of the master and one ten hops away
 * are made by the same frames. Windows: 64 KiB of output that was not acknowledged stops the reading (the kernel's pipe
 * does the rest); a sender that ignores our window is cut off, as memory is ours to protect.
 *
 * The native agent runs this file as it is, so it is freestanding; the table of spawns is a few chains, as a context
 * has some hundreds of children and a RAW frame is no hot path.
 *
 * Body layouts are in docs/protocol.md; a body that does not decode is answered `bad-body`. */
#include "service/spawn.h"

#include "core/cbor.h"
#include "core/mem.h"
#include "service/hello.h"
#include "service/words.h"

#define CHAINS 256u /* by id: short for some thousands of processes that boot at once */
#define REASON_MAX 32u
#define DETAIL_MAX 256u

struct eci_spawn {
	struct eci_spawns *all;
	struct eci_spawn *next; /* same chain */
	uint32_t id, size;
	uint32_t owner, slot; /* where events go */
	void *proc;
	struct eci_link *link;   /* once promoted */
	size_t unwritten;        /* RAW bytes taken and not yet written */
	size_t unacked;          /* event bytes sent and not yet acknowledged */
	bool paused, listed;     /* listed: in by_id */
	bool heard;              /* the link's first bytes have come */
	bool promoted;           /* it was a link at some time: the final event is 8 */
	char reason[REASON_MAX]; /* of the link's end, if we know it before the process is gone */
	char detail[DETAIL_MAX];
};

struct eci_spawns {
	struct eci_router *router;
	const struct eci_spawn_host *host;
	void *ctx;
	struct eci_spawn *by_id[CHAINS];
	uint64_t dials;
};

struct eci_spawns *eci_spawns_new(struct eci_router *r, const struct eci_spawn_host *host, void *ctx)
{
	struct eci_spawns *s = eci_mem_alloc(sizeof *s);
	if (s)
		*s = (struct eci_spawns){.router = r, .host = host, .ctx = ctx};
	return s;
}

/* Blocks begin at multiples of 8. */
static struct eci_spawn **chain(struct eci_spawns *all, uint32_t id)
{
	return &all->by_id[id / 8 % CHAINS];
}

/* Before the event that ends it: its owner may be in this process and dial the same id again within that event. */
static void unlist(struct eci_spawn *s)
{
	if (!s->listed)
		return;
	struct eci_spawn **at = chain(s->all, s->id);
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->listed = false;
}

static void forget(struct eci_spawn *s)
{
	struct eci_spawns *all = s->all;
	unlist(s);
	if (s->proc)
		all->host->free(all->ctx, s->proc);
	eci_mem_free(s);
}

void eci_spawns_free(struct eci_spawns *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < CHAINS; i++)
		while (s->by_id[i])
			forget(s->by_id[i]);
	eci_mem_free(s);
}

uint64_t eci_spawns_dials(const struct eci_spawns *s)
{
	return s->dials;
}

uint32_t eci_spawn_child(const struct eci_spawn *s)
{
	return s->id;
}

void *eci_spawn_proc(const struct eci_spawn *s)
{
	return s->proc;
}

/* Copies as much of a text as there is room for. */
static void set_text(char *to, size_t cap, const char *from)
{
	size_t n = 0;
	for (; from && from[n] && n < cap - 1; n++)
		to[n] = from[n];
	to[n] = 0;
}

/* ---- events ---- */

static void send_event(struct eci_spawn *s, struct eci_buf *body, uint64_t now_ms)
{
	(void)eci_router_send_buf(s->all->router, s->owner, s->slot, 0, body, now_ms);
}

static struct eci_buf event(uint64_t code, uint64_t items)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, items);
	eci_cbor_put_uint(&b, code);
	return b;
}

void eci_spawn_output(struct eci_spawn *s, int which, const uint8_t *p, size_t n, uint64_t now_ms)
{
	if (s->link) { /* of a traceback the first lines, rather than nothing */
		size_t room = s->unacked < ECI_STDERR_AFTER ? ECI_STDERR_AFTER - s->unacked : 0;
		n = n < room ? n : room;
	}
	while (n) {
		size_t piece = n < ECI_BULK_BODY_MAX ? n : ECI_BULK_BODY_MAX;
		struct eci_buf b = event((uint64_t)which, 2);
		eci_cbor_put_bytes(&b, p, piece);
		send_event(s, &b, now_ms);
		p += piece, n -= piece, s->unacked += piece;
	}
	if (!s->link && !s->paused && s->unacked >= ECI_RAW_WINDOW) {
		s->paused = true;
		s->all->host->pause(s->all->ctx, s->proc, true);
	}
}

void eci_spawn_hears(struct eci_spawn *s, const uint8_t *p, size_t n, uint64_t now_ms)
{
	if (!s->heard && *p != ECI_FRAME_MAGIC)
		eci_spawn_output(s, 1, p, n, now_ms);
	s->heard = true;
}

/* The silence that ends the link, as the child is told it: both ends go by the same. */
static uint32_t idle_of(const uint8_t *hello, size_t n)
{
	struct eci_frame f = {.body = hello, .len = (uint32_t)n};
	struct eci_hello h;
	return eci_hello_read(&h, &f, true) ? h.idle_ms : 0;
}

static void promote(struct eci_spawn *s, const uint8_t *hello, size_t n, uint64_t now_ms)
{
	struct eci_spawns *all = s->all;
	s->promoted = true;
	s->link = eci_router_add_child(all->router, s->id, s->size, s);
	if (!s->link || eci_link_start(s->link, hello, n, now_ms) < 0) {
		eci_spawn_broken(s, "block-exhausted", "the block is not free in this router");
		return;
	}
	eci_link_set_idle(s->link, idle_of(hello, n));
	all->host->attach(all->ctx, s->proc, s->link);
}

void eci_spawn_written(struct eci_spawn *s, size_t n, uint64_t now_ms)
{
	s->unwritten -= n;
	if (s->reason[0]) /* broken: what is thrown away is not reported as written */
		return;
	struct eci_buf b = event(4, 2);
	eci_cbor_put_uint(&b, n);
	send_event(s, &b, now_ms);
}

static void drop_link(struct eci_spawn *s, const char *reason, const char *evidence, uint64_t now_ms)
{
	struct eci_link *link = s->link;
	if (!link)
		return;
	s->link = NULL;
	s->all->host->attach(s->all->ctx, s->proc, NULL);
	eci_link_lost(link, reason, evidence, now_ms);
}

/* With its last event. reason: of the end of its link; NULL: it has never begun, though PROMOTE may have come before
 * that was known. */
static void end(struct eci_spawn *s, struct eci_buf *b, const char *reason, uint64_t now_ms)
{
	unlist(s);
	send_event(s, b, now_ms); /* before the router fails what was under way, so that the master knows why */
	drop_link(s, reason, s->detail, now_ms);
	forget(s);
}

void eci_spawn_exited(struct eci_spawn *s, int wait_status, uint64_t now_ms)
{
	struct eci_buf b;
	/* A process that was killed while it was none yet has simply ended. */
	bool was_link = s->promoted || (s->reason[0] && s->reason[0] != 'k');
	if (was_link) {
		if (!s->reason[0])
			set_text(s->reason, REASON_MAX, "eof");
		b = event(8, 4);
		eci_cbor_put_str(&b, s->reason);
		eci_cbor_put_int(&b, wait_status);
		eci_cbor_put_str(&b, s->detail);
	} else {
		b = event(5, 2);
		eci_cbor_put_int(&b, wait_status);
	}
	end(s, &b, s->reason, now_ms);
}

void eci_spawn_broken(struct eci_spawn *s, const char *reason, const char *detail)
{
	if (!s->reason[0]) {
		set_text(s->reason, REASON_MAX, reason);
		set_text(s->detail, DETAIL_MAX, detail);
	}
	s->all->host->kill(s->all->ctx, s->proc); /* its end brings the final event and takes the link away */
}

void eci_spawn_up(struct eci_spawn *s, const uint8_t *hello, size_t n, uint64_t now_ms)
{
	struct eci_buf b = event(6, 2);
	(void)eci_buf_append(&b, hello, n); /* is CBOR already */
	send_event(s, &b, now_ms);
}

/* ---- requests ---- */

struct request {
	char **argv, **env;
	uint32_t id, size, mode;
};

static const struct eci_word spawn_words[] = {
	{ECI_FIELD_U32, offsetof(struct request, id)},    {ECI_FIELD_U32, offsetof(struct request, size)},
	{ECI_FIELD_ARGV, offsetof(struct request, argv)}, {ECI_FIELD_ENV, offsetof(struct request, env)},
	{ECI_FIELD_U32, offsetof(struct request, mode)},
};

/* False when it does not decode. */
static bool parse_spawn(struct request *q, struct eci_cbor *c)
{
	return eci_words_read(c, q, spawn_words, sizeof spawn_words / sizeof *spawn_words) && q->argv && q->mode <= 2;
}

bool eci_spawn_begun(struct eci_spawn *s, int pid, const uint8_t *why, size_t n, uint64_t now_ms)
{
	struct eci_buf b = n ? event(7, 3) : event(0, 2);
	if (n) {
		(void)eci_buf_append(&b, why, n);
		end(s, &b, NULL, now_ms);
		return false;
	}
	eci_cbor_put_uint(&b, (uint64_t)pid);
	send_event(s, &b, now_ms);
	return true;
}

/* The block must be this router's to give: no link's, and promised to no other process. */
static bool is_free(const struct eci_spawns *all, const struct request *q)
{
	if (!eci_router_is_free(all->router, q->id, q->size))
		return false;
	for (uint32_t i = 0; i < CHAINS; i++)
		for (const struct eci_spawn *s = all->by_id[i]; s; s = s->next)
			if (q->id < (uint64_t)s->id + s->size && s->id < (uint64_t)q->id + q->size)
				return false;
	return true;
}

static void spawn(struct eci_spawns *all, const struct eci_frame *f, struct eci_cbor *c, uint64_t now_ms)
{
	struct request q = {0};
	bool good = parse_spawn(&q, c);
	struct eci_spawn *s = NULL;
	if (!good || !f->reply_to || !is_free(all, &q)) {
		eci_router_dead(all->router, f, "bad-body", "SPAWN", now_ms);
	} else if ((s = eci_mem_alloc(sizeof *s)) == NULL) {
		eci_router_dead(all->router, f, "busy", "no memory", now_ms);
	} else {
		*s = (struct eci_spawn){.all = all, .id = q.id, .size = q.size, .owner = f->src, .slot = f->reply_to};
		s->next = *chain(all, q.id);
		*chain(all, q.id) = s;
		s->listed = true;
		int err = 0, pid = 0;
		all->dials++;
		s->proc = all->host->start(all->ctx, s, (const char *const *)q.argv, (const char *const *)q.env,
					   (int)q.mode, &err, &pid);
		if (!s->proc) {
			struct eci_buf b = event(7, 3);
			eci_words_why(&b, q.argv[0], all->host->explain, all->ctx, err);
			end(s, &b, NULL, now_ms);
		} else if (pid) {
			(void)eci_spawn_begun(s, pid, NULL, 0, now_ms);
		}
	}
	eci_mem_free(q.argv);
	eci_mem_free(q.env);
}

static struct eci_spawn *find(struct eci_spawns *all, struct eci_cbor *c)
{
	(void)eci_cbor_get_array(c);
	uint32_t id = (uint32_t)eci_cbor_get_uint(c);
	struct eci_spawn *s = c->bad ? NULL : *chain(all, id);
	while (s && s->id != id)
		s = s->next;
	return s;
}

static void raw_write(struct eci_spawn *s, bool tty, struct eci_cbor *c)
{
	const uint8_t *p;
	size_t n;
	if (!eci_cbor_get_bytes(c, &p, &n) || s->link)
		return;
	if (s->unwritten + n > ECI_RAW_WINDOW) {
		eci_spawn_broken(s, "raw-overflow", "more than the window");
		return;
	}
	s->unwritten += n;
	s->all->host->write(s->all->ctx, s->proc, tty, p, n);
}

static void raw(struct eci_spawns *all, struct eci_cbor *c)
{
	struct eci_spawn *s = find(all, c);
	uint64_t op = eci_cbor_get_uint(c);
	if (!s || c->bad) /* it may just have ended: the final event is on its way */
		return;
	if (op <= 1) {
		raw_write(s, op == 1, c);
	} else if (op == 2) {
		uint64_t n = eci_cbor_get_uint(c);
		s->unacked = n < s->unacked ? s->unacked - (size_t)n : 0;
		if (s->paused && s->unacked < ECI_RAW_WINDOW / 2) {
			s->paused = false;
			all->host->pause(all->ctx, s->proc, false);
		}
	} else if (op == 3 && !s->link) {
		all->host->close_stdin(all->ctx, s->proc);
	}
}

static void promote_request(struct eci_spawns *all, struct eci_cbor *c, uint64_t now_ms)
{
	struct eci_spawn *s = find(all, c);
	const uint8_t *p;
	size_t n;
	if (!s || !eci_cbor_get_bytes(c, &p, &n) || s->link)
		return;
	if (n > ECI_HELLO_MAX)
		eci_spawn_broken(s, "bad-body", "PROMOTE");
	else
		promote(s, p, n, now_ms);
}

bool eci_spawns_deliver(struct eci_spawns *all, const struct eci_frame *f, uint64_t now_ms)
{
	if (f->handle < ECI_H_SPAWN || f->handle > ECI_H_KILL)
		return false;
	struct eci_cbor c = eci_cbor_of(f);
	if (f->handle == ECI_H_SPAWN) {
		spawn(all, f, &c, now_ms);
		return true;
	}
	if (f->handle == ECI_H_RAW) {
		raw(all, &c);
	} else if (f->handle == ECI_H_PROMOTE) {
		promote_request(all, &c, now_ms);
	} else {
		struct eci_spawn *s = find(all, &c);
		if (s)
			eci_spawn_broken(s, "killed", "");
	}
	if (c.bad)
		eci_router_dead(all->router, f, "bad-body", "", now_ms);
	return true;
}
