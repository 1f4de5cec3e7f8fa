/* Modules that contexts ask for (GET_MODULE), and when they are answered.
 *
 * The responder finds, compresses and remembers; answers go to the child link that asked, which is always one of the
 * master's own children: relays ask on behalf of what is below them. Reading a root's files happens in the loop's
 * thread, as an import is waited for anyway.
 *
 * A question is a few bytes, and its answer may be 16 MiB to compress and to hold; who asks is not trusted. So a link's
 * questions wait, in order, once answering has taken TURN_MS of a turn of the loop, which then answers one of each
 * link, as far as that time goes, and does its other work between; while the answer to the first of them is compressed,
 * which may take several turns; and while QUEUED_MAX of what was answered is still to be written to that link, for what
 * waits there is held from everybody's (ECI_LOCAL_MAX). Past ASKED_MAX a question is answered `busy`. */
#include "mesh/asked.h"
#include "core/mem.h"
#include "io/folder.h"
#include "io/roots.h"
#include "mesh/event.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define TURN_MS 20u            /* no more than a heartbeat would notice; a module takes a fraction of one */
#define QUEUED_MAX (16u << 20) /* bytes: the largest entry, and the next is made while it is written */
#define ASKED_MAX 4096u        /* of a link: a relay asks once for all below it, whatever is imported there */

struct eci_asked {
	struct eci_asked *next;
	uint32_t src, reply_to;
	size_t n;
	char name[];
};

/* What is beyond the limit is missing, by chance: whoever misses it is told where to look. */
static void say_cut(ectx_mesh *m)
{
	static const char logger[] = "econtext.modules";
	char text[PATH_MAX + 100];
	for (const char *path; (path = eci_roots_cut(m->roots)) != NULL; m->cut_folder = path) {
		int n = snprintf(text, sizeof text,
				 "%s: more than %u files and folders, the rest of them is not served", path,
				 ECI_FOLDER_ITEMS_MAX);
		size_t len = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
		eci_event_log(m, NULL, 30, logger, sizeof logger - 1, text, len);
	}
}

/* What the roots are guarded against is of no interest until somebody misses it. A missing entry has two items. */
static void say_strange(ectx_mesh *m, const char *name, size_t n, const struct eci_buf *answer)
{
	static const char logger[] = "econtext.modules";
	char asked[ECI_MODULE_NAME_MAX + 1], text[2 * PATH_MAX + 200];
	struct eci_cbor c = eci_cbor_open(eci_buf_data(answer), eci_buf_len(answer));
	size_t entries = eci_cbor_get_array(&c), items = eci_cbor_get_array(&c);
	if (entries != 1 || items != 2)
		return;
	memcpy(asked, name, n);
	asked[n] = 0;
	if (eci_roots_strange(m->roots, asked, true, text, sizeof text))
		eci_event_log(m, NULL, 30, logger, sizeof logger - 1, text, strlen(text));
}

static void refuse(ectx_mesh *m, uint32_t src, uint32_t reply_to, const char *reason)
{
	struct eci_frame f = {.cls = ECI_CALL, .src = src, .dst = 0, .handle = ECI_H_GET_MODULE, .reply_to = reply_to};
	eci_router_dead(m->router, &f, reason, "GET_MODULE", eci_now_ms());
}

/* A large answer is queued on src's link: full() wants to know when it has been written. */
static void count(ectx_mesh *m, uint32_t src, size_t n)
{
	struct eci_link *link = n > ECI_FRAME_BODY_MAX ? eci_router_link_to(m->router, src) : NULL;
	ectx_context *c = link ? eci_context_of_id(m, src) : NULL;
	struct eci_link_stats s;
	if (!c)
		return;
	eci_link_get_stats(link, &s);
	c->asked_from = c->asked_bytes ? c->asked_from : s.bytes_out;
	c->asked_bytes += n;
}

/* False: it is still being compressed, and is asked again in a later turn. */
static bool answer(ectx_mesh *m, uint32_t src, uint32_t reply_to, const char *name, size_t n)
{
	struct eci_buf out = ECI_BUF_NULL;
	uint64_t began = eci_now_ms();
	int r = eci_responder_answer(m->responder, src, name, n, &out);
	say_cut(m);
	say_strange(m, name, n, &out);
	size_t size = eci_buf_len(&out);
	m->asked_ms += eci_now_ms() - began;
	if (r > 0)
		return false;
	if (r < 0)
		refuse(m, src, reply_to, r == -2 ? "bad-body" : "busy");
	else if (eci_router_send_buf(m->router, src, reply_to, 0, &out, eci_now_ms()) == 0)
		count(m, src, size);
	eci_buf_deinit(&out);
	return true;
}

/* ---- those that wait ---- */

/* Is too much that was answered not written yet? Only what is large counts, as calls pass what else waits there. */
static bool full(ectx_mesh *m, ectx_context *c)
{
	struct eci_link *link = eci_router_link_to(m->router, c->id);
	struct eci_link_stats s = {0};
	if (link)
		eci_link_get_stats(link, &s);
	if (!s.queued_bytes || s.bytes_out - c->asked_from >= c->asked_bytes)
		c->asked_bytes = 0;
	return c->asked_bytes >= QUEUED_MAX;
}

static void wait_turn(ectx_context *c, uint32_t src, uint32_t reply_to, const char *name, size_t n)
{
	struct eci_asked *q = c->nasked < ASKED_MAX ? eci_mem_alloc(sizeof *q + n) : NULL;
	if (!q) {
		if (!c->asked) /* what is half compressed for it would keep other links' data waiting until it asks
				  again */
			eci_responder_forget_link(c->mesh->responder, src);
		refuse(c->mesh, src, reply_to, "busy");
		return;
	}
	*q = (struct eci_asked){.src = src, .reply_to = reply_to, .n = n};
	memcpy(q->name, name, n);
	struct eci_asked **at = c->asked ? &c->asked_last->next : &c->asked;
	*at = c->asked_last = q;
	c->nasked++;
	eci_mesh_wake(c->mesh); /* it may be another thread that reads the link */
}

void eci_asked_forget(ectx_context *c)
{
	if (c->id && !c->parent)
		eci_responder_forget_link(c->mesh->responder, c->id);
	while (c->asked) {
		struct eci_asked *q = c->asked;
		c->asked = q->next;
		eci_mem_free(q);
	}
	c->nasked = 0;
	c->asked_bytes = 0;
}

uint64_t eci_asked_turn(ectx_mesh *m, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	m->asked_ms = 0;
	ectx_context *first = m->asked_next ? m->asked_next : m->roots_of_tree, *c = first, *last = NULL;
	for (; c && c != last; c = c->next_sibling ? c->next_sibling : m->roots_of_tree) {
		struct eci_asked *q = c->asked;
		last = first;
		if (!q)
			continue;
		if (m->asked_ms >= TURN_MS) { /* it is the first of the next turn */
			m->asked_next = c;
			return now;
		}
		if (full(m, c)) { /* it may be another thread that writes */
			next = next < now + TURN_MS ? next : now + TURN_MS;
			continue;
		}
		if (answer(m, q->src, q->reply_to, q->name, q->n)) {
			c->asked = q->next;
			c->nasked--;
			eci_mem_free(q);
		}
		if (c->asked)
			next = now;
	}
	return next;
}

void eci_asked_take(ectx_mesh *m, struct eci_link *link, const struct eci_frame *f)
{
	struct eci_cbor b = eci_cbor_open(f->body, f->len);
	const char *name;
	size_t n;
	if (eci_cbor_check(f->body, f->len, ECI_CBOR_ITEMS_MAX) != 0 || eci_cbor_get_array(&b) < 1 ||
	    !eci_cbor_get_text(&b, &name, &n) || !eci_module_name_valid(name, n)) {
		refuse(m, f->src, f->reply_to, "bad-body");
		return;
	}
	ectx_context *c = eci_context_of_id(m, eci_link_peer(link));
	if (!f->reply_to)
		return;
	if (!c)
		refuse(m, f->src, f->reply_to, "busy");
	else if (c->asked || m->asked_ms >= TURN_MS || full(m, c) || !answer(m, f->src, f->reply_to, name, n))
		wait_turn(c, f->src, f->reply_to, name, n);
}
