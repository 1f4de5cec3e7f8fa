/* Actions: what the boot dialogue wants, as frames to the parent.
 *
 * SPAWN, RAW, PROMOTE and KILL go to the context's parent, the master itself included: there is no other way to start a
 * process, however far. They and PART are of one class, so they arrive in order, and nothing is waited for between
 * them. Each names the event slot, for the notice of whom it cannot pass: a boot that misses one of them would wait for
 * its time limit. A secret's value is put in here, at the last moment, and wiped when the frame was handed on. */
#include "mesh/ahead.h"
#include "mesh/connect.h"
#include "mesh/secret.h"
#include "io/secret.h"
#include "preamble/preamble.h"

#include <stdio.h>
#include <string.h>

#define FULL_HERE "the queue to the first hop is full"

static int to_parent(ectx_context *c, uint32_t handle, uint32_t reply_to, struct eci_buf *body)
{
	uint8_t cls = handle == ECI_H_KILL ? ECI_CONTROL : ECI_CALL;
	int r = eci_send(c->mesh, cls, eci_context_id(c->parent), handle, reply_to, body);
	c->unsent |= reply_to && r < 0 && r != ECI_R_NO_ROUTE; /* without a way there will be a loss */
	eci_wipe(body->mem, body->cap);                        /* it may have held a secret */
	eci_buf_deinit(body);
	return r;
}

static struct eci_buf body_for(const ectx_context *c, uint64_t items)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, items);
	eci_cbor_put_uint(&b, c->id);
	return b;
}

static void raw(ectx_context *c, uint64_t op, const void *p, size_t n)
{
	do { /* one frame per 16 KiB; an empty write is none */
		size_t piece = n < ECI_BULK_BODY_MAX ? n : ECI_BULK_BODY_MAX;
		if (!piece)
			return;
		struct eci_buf b = body_for(c, 3);
		eci_cbor_put_uint(&b, op);
		eci_cbor_put_bytes(&b, p, piece);
		(void)to_parent(c, ECI_H_RAW, c->event_slot, &b);
		p = (const uint8_t *)p + piece;
		n -= piece;
	} while (n);
}

void eci_send_raw_ack(ectx_context *c, size_t n)
{
	struct eci_buf b = body_for(c, 3);
	eci_cbor_put_uint(&b, 2);
	eci_cbor_put_uint(&b, n);
	/* Of a link it is about its stderr only, which nothing waits for. */
	(void)to_parent(c, ECI_H_RAW, c->state == ECI_DIALING ? c->event_slot : 0, &b);
}

void eci_send_kill(ectx_context *c)
{
	struct eci_buf b = body_for(c, 1);
	(void)to_parent(c, ECI_H_KILL, 0, &b);
}

static void put_env(struct eci_buf *b, const char *const *env)
{
	uint64_t n = 0;
	while (env && env[n])
		n++;
	eci_cbor_put_map(b, n);
	for (uint64_t i = 0; i < n; i++) {
		const char *eq = strchr(env[i], '=');
		eci_cbor_put_text(b, env[i], eq ? (size_t)(eq - env[i]) : strlen(env[i]));
		if (eq)
			eci_cbor_put_str(b, eq + 1);
		else
			eci_cbor_put_null(b);
	}
}

static void act_spawn(ectx_context *c, const struct eci_recipe *r)
{
	if (c->mesh->closing) /* the dialogue would try another way in: its process was killed */
		return;
	int part = c->parent ? eci_context_part(c->parent, "relay", &c->parent->has_relay) : 0;
	if (part) {
		c->unsent |= part != -3;
		return;
	}
	uint64_t n = 0;
	while (r->argv[n])
		n++;
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_map(&b, 5);
	eci_cbor_put_uint(&b, 0);
	eci_cbor_put_uint(&b, c->id);
	eci_cbor_put_uint(&b, 1);
	eci_cbor_put_uint(&b, c->size);
	eci_cbor_put_uint(&b, 2);
	eci_cbor_put_array(&b, n);
	for (uint64_t i = 0; i < n; i++)
		eci_cbor_put_bytes(&b, r->argv[i], strlen(r->argv[i]));
	eci_cbor_put_uint(&b, 3);
	put_env(&b, r->env);
	eci_cbor_put_uint(&b, 4);
	eci_cbor_put_uint(&b, (uint64_t)r->mode);
	c->spawned = true; /* before its events, which may come at once */
	if (to_parent(c, ECI_H_SPAWN, c->event_slot, &b) < 0)
		c->spawned = false;
}

static void act_answer(ectx_context *c, const struct eci_action *a)
{
	const char *why = "not declared", *value = a->secret ? eci_secret_get(c->mesh, a->secret, &why) : NULL;
	if (!value) {
		eci_dialogue_no_secret(c->dialogue, why, eci_now_ms());
		return;
	}
	eci_dialogue_gives(c->dialogue, value); /* it lives as long as the mesh */
	struct eci_buf b = body_for(c, 3);
	eci_cbor_put_uint(&b, (uint64_t)a->to);
	struct eci_buf line = ECI_BUF_NULL;
	(void)eci_buf_puts(&line, value);
	(void)eci_buf_puts(&line, "\n");
	eci_cbor_put_bytes(&b, eci_buf_data(&line), eci_buf_len(&line));
	eci_wipe(line.mem, line.cap);
	eci_buf_deinit(&line);
	(void)to_parent(c, ECI_H_RAW, c->event_slot, &b);
}

/* What makes the agent out of the interpreter that was found. */
static void send_agent(ectx_context *c, const struct eci_action *a)
{
	size_t n;
	if (a->agent == ECI_AGENT_PYTHON) {
		const uint8_t *agent = eci_preamble_python(&n);
		raw(c, 0, agent, n);
		return;
	}
	char line[ECI_LOADER_MAX], name[9];
	enum eci_loader kind = !strcmp(a->interpreter, "perl") ? ECI_LOADER_PERL
			       : !strcmp(a->interpreter, "sh") ? ECI_LOADER_SH
							       : ECI_LOADER_PYTHON;
	const struct eci_native *native = eci_preamble_native_for(strchr(a->system, ' ') + 1); /* the dialogue asked */
	eci_random_name(name);
	int len = eci_preamble_loader(line, sizeof line, kind, native, name);
	raw(c, 0, line, len < 0 ? 0 : (size_t)len);
	const uint8_t *agent = eci_preamble_loaded(kind, native, &n);
	raw(c, 0, agent, n);
}

static void act_promote(ectx_context *c, const struct eci_action *a)
{
	c->native = a->agent == ECI_AGENT_NATIVE;
	if (!a->is_there)
		send_agent(c, a);
	struct eci_buf hello = ECI_BUF_NULL;
	eci_hello_put(c, &hello);
	struct eci_buf b = body_for(c, 2);
	eci_cbor_put_bytes(&b, eci_buf_data(&hello), eci_buf_len(&hello));
	eci_buf_deinit(&hello);
	(void)to_parent(c, ECI_H_PROMOTE, c->event_slot, &b);
	const char *machine = strchr(a->system, ' ');
	machine = a->is_there ? eci_image_machine(c) : machine ? machine + 1 : a->system;
	(void)snprintf(c->arch, sizeof c->arch, "%.31s", machine);
	eci_context_promoted(c);
}

void eci_actions_pump(ectx_context *c)
{
	while (c->dialogue && c->state != ECI_IDLE) {
		if (c->unsent) {
			eci_context_refused(c, &(struct eci_answer){.reason = "busy", .evidence = FULL_HERE});
			return;
		}
		struct eci_action a = eci_dialogue_next(c->dialogue);
		switch (a.kind) {
		case ECI_ACT_NONE:
			return;
		case ECI_ACT_SPAWN:
			act_spawn(c, a.recipe);
			break;
		case ECI_ACT_KILL:
			eci_send_kill(c);
			break;
		case ECI_ACT_WRITE:
			raw(c, (uint64_t)a.to, a.bytes, a.len);
			break;
		case ECI_ACT_ANSWER:
			act_answer(c, &a);
			break;
		case ECI_ACT_PROMOTE:
			act_promote(c, &a);
			break;
		case ECI_ACT_NEXT_AGENT:
			eci_context_next_agent(c, a.fail);
			return;
		case ECI_ACT_FAIL:
			(c->state == ECI_BOOTING ? eci_context_lost : eci_context_down)(c, a.fail);
			return;
		}
	}
}
