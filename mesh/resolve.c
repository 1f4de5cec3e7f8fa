/* Names at a native context: `getent ahosts NAME` there, its output read.
 *
 * That is the host's own resolver with all its rules (nsswitch.conf(5), its search list, its /etc/hosts), which is what
 * "resolved at the exit" promises. A host without getent (musl has one too) has no names here, and says that it could
 * not be started. The command is an EXEC as any other, but for its output, which nobody sees.
 *
 * A context has 128 commands and not one more, and they are the user's: so one name is asked once, however many want
 * it (nothing is kept: who comes later asks anew), ECI_NAMES_MAX are asked at once, and more wait for those. Invariant:
 * those that are asked stand first in the list of their context. A question that nobody waits for any more is taken
 * back, or a getent that hangs would keep its place for as long as its host runs. */
#include "mesh/stream.h"

#include "core/cbor.h"

#include <stdlib.h>
#include <string.h>

#define OUTPUT_MAX 16384u /* a name has few addresses */

struct eci_name {
	ectx_context *at;
	struct eci_name *prev, *next; /* at->names */
	struct eci_lookup *askers;
	struct eci_stream *out, *err;
	uint32_t slot;
	bool asked, answered, out_open;
	int error; /* why it could not be started */
	struct eci_buf text;
	char name[];
};

struct eci_lookup {
	struct eci_name *of; /* NULL: it is done */
	struct eci_lookup *prev, *next;
	eci_lookup_fn *done;
	void *arg;
};

/* The first word of each line, once. */
static void addresses_of(char *text, struct eci_buf *to)
{
	const char *last = "";
	for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		line[strcspn(line, " \t\n")] = 0;
		if (*line && strcmp(line, last)) {
			(void)eci_buf_puts(to, line);
			(void)eci_buf_puts(to, "\n");
			last = line;
		}
	}
}

/* It stands in its context's list no longer. */
static void name_free(struct eci_name *n)
{
	uint64_t now = eci_now_ms();
	eci_stream_free(n->out, n->out_open ? "cancelled" : NULL, NULL, now);
	eci_stream_free(n->err, n->answered ? NULL : "cancelled", NULL, now);
	if (n->slot)
		eci_slot_close(n->at->mesh->router, n->slot);
	eci_buf_deinit(&n->text);
	free(n);
}

/* Tells all who asked; n is gone. Who asks again while it is told asks a question of his own. */
static void tell(struct eci_name *n, const struct eci_answer *dead)
{
	struct eci_buf to = ECI_BUF_NULL;
	DL_DELETE(n->at->names, n);
	if (!dead && !n->error && eci_buf_append(&n->text, "", 1) == 0) {
		addresses_of((char *)n->text.mem + n->text.head, &to);
		(void)eci_buf_append(&to, "", 1);
	}
	const char *addresses = eci_buf_len(&to) && !to.failed ? (const char *)eci_buf_data(&to) : "";
	while (n->askers) {
		struct eci_lookup *l = n->askers;
		DL_DELETE(n->askers, l);
		l->of = NULL;
		l->done(l->arg, addresses, n->error, dead);
	}
	eci_buf_deinit(&to);
	name_free(n);
}

static void ask_next(ectx_context *at);

static void look(struct eci_name *n, const struct eci_answer *dead)
{
	ectx_context *at = n->at;
	if (!dead && (!n->answered || n->out_open))
		return;
	tell(n, dead);
	ask_next(at);
}

static void on_data(void *arg, const uint8_t *p, size_t n)
{
	struct eci_name *x = arg;
	if (eci_buf_len(&x->text) + n <= OUTPUT_MAX)
		(void)eci_buf_append(&x->text, p, n);
	eci_stream_took(x->out, n, eci_now_ms());
}

static void on_end(void *arg)
{
	struct eci_name *n = arg;
	n->out_open = false;
	look(n, NULL);
}

static void on_dead(void *arg, const struct eci_answer *a)
{
	(void)a;
	on_end(arg);
}

static void on_err(void *arg, const uint8_t *p, size_t n)
{
	(void)p;
	eci_stream_took(((struct eci_name *)arg)->err, n, eci_now_ms());
}

static void on_answer(void *arg, const struct eci_answer *a)
{
	struct eci_name *n = arg;
	const char *text;
	size_t len;
	n->slot = 0;
	n->answered = true;
	if (a->dead) {
		look(n, a);
		return;
	}
	struct eci_cbor c = eci_cbor_open(a->f->body, a->f->len);
	if (eci_cbor_get_array(&c) == 0 || eci_cbor_get_uint(&c) != 0 || c.bad) {
		(void)eci_cbor_get_text(&c, &text, &len);
		n->error = (int)(eci_cbor_get_uint(&c) & 4095);
		if (c.bad || !n->error)
			n->error = -1;
		n->out_open = false; /* it could not be started, and so ends no stream */
	}
	look(n, NULL);
}

static const struct eci_stream_ops out_ops = {.data = on_data, .ended = on_end, .dead = on_dead};
static const struct eci_stream_ops err_ops = {.data = on_err};

/* 0, or one of enum eci_refusal. */
static int ask(struct eci_name *n)
{
	ectx_context *at = n->at;
	struct eci_router *r = at->mesh->router;
	struct eci_buf b = ECI_BUF_NULL;
	n->asked = true;
	n->out_open = true;
	n->out = eci_stream_new(r, at->id, 0, &out_ops, n);
	n->err = eci_stream_new(r, at->id, 0, &err_ops, n);
	n->slot = eci_slot_open(r, at->id, ECI_SLOT_ONCE, on_answer, n);
	if (!n->out || !n->err || !n->slot)
		return ECI_R_NO_MEMORY;
	eci_cbor_put_map(&b, 3);
	eci_cbor_put_uint(&b, 0);
	eci_cbor_put_array(&b, 3);
	eci_cbor_put_str(&b, "getent");
	eci_cbor_put_str(&b, "ahosts");
	eci_cbor_put_bytes(&b, n->name, strlen(n->name));
	eci_cbor_put_uint(&b, 3);
	eci_cbor_put_uint(&b, eci_stream_handle(n->out));
	eci_cbor_put_uint(&b, 4);
	eci_cbor_put_uint(&b, eci_stream_handle(n->err));
	int r2 = eci_send(at->mesh, ECI_CALL, at->id, ECI_H_EXEC, n->slot, &b);
	eci_buf_deinit(&b);
	return r2;
}

/* Those that wait, as far as there is a place for them. Who waits at a context that is lost fails with it. */
static void ask_next(ectx_context *at)
{
	int r = 0;
	do {
		unsigned asked = 0;
		struct eci_name *n = at->names;
		for (; n && n->asked; n = n->next)
			asked++;
		if (!n || asked >= ECI_NAMES_MAX || at->mesh->closing || !eci_context_reachable(at))
			return;
		r = ask(n);
		if (r)
			tell(n, &(struct eci_answer){.dead = true,
						     .reason = r == ECI_R_NO_MEMORY  ? ECI_REASON_NO_MEMORY
							       : r == ECI_R_NO_ROUTE ? "no-route"
										     : "busy",
						     .evidence = r == ECI_R_NO_MEMORY ? "" : "the queue is full"});
	} while (true);
}

int eci_lookup_start(struct eci_lookup **out, ectx_context *at, const char *name, eci_lookup_fn *done, void *arg)
{
	size_t len = strlen(name) + 1;
	unsigned waiting = 0;
	struct eci_name *n = at->names;
	for (; n && strcmp(n->name, name) != 0; n = n->next)
		waiting += !n->asked;
	if (!n && waiting >= ECI_NAMES_WAIT_MAX)
		return ECI_R_BUSY;
	struct eci_lookup *l = calloc(1, sizeof *l);
	if (l && !n && (n = calloc(1, sizeof *n + len)) != NULL) {
		n->at = at;
		memcpy(n->name, name, len);
		DL_APPEND(at->names, n);
	}
	if (!l || !n) {
		free(l);
		return ECI_R_NO_MEMORY;
	}
	*l = (struct eci_lookup){.of = n, .done = done, .arg = arg};
	DL_APPEND(n->askers, l);
	*out = l;
	ask_next(at);
	return 0;
}

void eci_lookup_free(struct eci_lookup *l)
{
	struct eci_name *n = l ? l->of : NULL;
	if (n) {
		ectx_context *at = n->at;
		DL_DELETE(n->askers, l);
		if (!n->askers) {
			DL_DELETE(at->names, n);
			if (n->slot)
				eci_cancel(at, n->slot);
			name_free(n);
			ask_next(at);
		}
	}
	free(l);
}
