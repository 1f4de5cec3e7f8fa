/* Names at a native context: `getent ahosts NAME` there, its output read.
 *
 * That is the host's own resolver with all its rules (nsswitch.conf(5), its search list, its /etc/hosts), which is what
 * "resolved at the exit" promises. A host without getent (musl has one too) has no names here, and says so as a name
 * that is not known. The command is an EXEC as any other, but for its output, which nobody sees. */
#include "mesh/stream.h"

#include "core/cbor.h"

#include <stdlib.h>
#include <string.h>

#define OUTPUT_MAX 16384u /* a name has few addresses */

struct eci_lookup {
	ectx_mesh *mesh;
	void (*done)(void *arg, const char *addresses);
	void *arg;
	struct eci_stream *out, *err;
	uint32_t slot;
	bool answered, out_open;
	struct eci_buf text;
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

static void finish(struct eci_lookup *l)
{
	if (!l->answered || l->out_open)
		return;
	struct eci_buf to = ECI_BUF_NULL;
	if (eci_buf_append(&l->text, "", 1) == 0) {
		addresses_of((char *)l->text.mem + l->text.head, &to);
		(void)eci_buf_append(&to, "", 1);
	}
	void (*done)(void *, const char *) = l->done;
	l->done = NULL;
	if (done)
		done(l->arg, eci_buf_len(&to) && !to.failed ? (const char *)eci_buf_data(&to) : "");
	eci_buf_deinit(&to);
}

static void on_data(void *arg, const uint8_t *p, size_t n)
{
	struct eci_lookup *l = arg;
	if (eci_buf_len(&l->text) + n <= OUTPUT_MAX)
		(void)eci_buf_append(&l->text, p, n);
	eci_stream_took(l->out, n, eci_now_ms());
}

static void on_end(void *arg)
{
	struct eci_lookup *l = arg;
	l->out_open = false;
	finish(l);
}

static void on_dead(void *arg, const struct eci_answer *a)
{
	(void)a;
	on_end(arg);
}

static void on_err(void *arg, const uint8_t *p, size_t n)
{
	(void)p;
	eci_stream_took(((struct eci_lookup *)arg)->err, n, eci_now_ms());
}

static void on_answer(void *arg, const struct eci_answer *a)
{
	struct eci_lookup *l = arg;
	struct eci_cbor c = {.bad = true};
	if (!a->dead)
		c = eci_cbor_open(a->f->body, a->f->len);
	l->slot = 0;
	l->answered = true;
	if (eci_cbor_get_array(&c) == 0 || eci_cbor_get_uint(&c) != 0 || c.bad)
		l->out_open = false; /* it could not be started, and so ends no stream */
	finish(l);
}

static const struct eci_stream_ops out_ops = {.data = on_data, .ended = on_end, .dead = on_dead};
static const struct eci_stream_ops err_ops = {.data = on_err};

static int ask(struct eci_lookup *l, uint32_t id, const char *name)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_map(&b, 3);
	eci_cbor_put_uint(&b, 0);
	eci_cbor_put_array(&b, 3);
	eci_cbor_put_str(&b, "getent");
	eci_cbor_put_str(&b, "ahosts");
	eci_cbor_put_bytes(&b, name, strlen(name));
	eci_cbor_put_uint(&b, 3);
	eci_cbor_put_uint(&b, eci_stream_handle(l->out));
	eci_cbor_put_uint(&b, 4);
	eci_cbor_put_uint(&b, eci_stream_handle(l->err));
	int r = b.failed ? -1
			 : eci_router_send(l->mesh->router, ECI_CALL, 0, id, ECI_H_EXEC, l->slot, eci_buf_data(&b),
					   eci_buf_len(&b), eci_now_ms());
	eci_buf_deinit(&b);
	return r;
}

struct eci_lookup *eci_lookup_start(ectx_context *at, const char *name, void (*done)(void *arg, const char *addresses),
				    void *arg)
{
	struct eci_lookup *l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	*l = (struct eci_lookup){.mesh = at->mesh, .done = done, .arg = arg, .out_open = true};
	struct eci_router *r = at->mesh->router;
	l->out = eci_stream_new(r, at->id, 0, &out_ops, l);
	l->err = eci_stream_new(r, at->id, 0, &err_ops, l);
	l->slot = eci_slot_open(r, at->id, ECI_SLOT_ONCE, on_answer, l);
	if (!l->out || !l->err || !l->slot || ask(l, at->id, name)) {
		eci_lookup_free(l);
		return NULL;
	}
	return l;
}

void eci_lookup_free(struct eci_lookup *l)
{
	if (!l)
		return;
	uint64_t now = eci_now_ms();
	eci_stream_free(l->out, l->out_open ? "cancelled" : NULL, NULL, now);
	eci_stream_free(l->err, l->answered ? NULL : "cancelled", NULL, now);
	if (l->slot)
		eci_slot_close(l->mesh->router, l->slot);
	eci_buf_deinit(&l->text);
	free(l);
}
