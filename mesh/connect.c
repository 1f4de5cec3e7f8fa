/* Connecting: from a wanted context to a live one, and back when it is lost.
 *
 *     IDLE -> WANTED -> DIALING -> BOOTING -> UP -> IDLE
 *                 \________\_________\______________^ (failed)
 *
 * The dialogue (transport/) decides, this file carries: its actions become SPAWN, RAW, PROMOTE and KILL frames to the
 * parent, the master itself included, and the events that come back become its inputs. There is no other way to make a
 * context, however far.
 *
 * From BOOTING on, frames may be sent: they wait behind PROMOTE at the parent. So the preamble, PROMOTE, the first call
 * and even the SPAWN of a grandchild leave in one breath, and a hop costs one round trip after its login.
 *
 * A parent dials at most dial_window children at once; a child gives its place back when its marker was seen, as what
 * the window protects is sshd's MaxStartups.
 *
 * When a context fails or is lost, everything below it is too, and all of it with the same error: the hop that failed
 * is the path's last name. */
#include "mesh/internal.h"
#include "io/random.h"
#include "io/secret.h"
#include "preamble/preamble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STAGE_MAX 512u
#define TITLE_MAX 100u /* of HELLO's 256 bytes */
#define NAME_MAX_SENT 40u

static void fail_context(ectx_context *c, const struct eci_fail *fail);

/* ---- ids ---- */

static uint32_t block_size(const ectx_context *c)
{
	uint32_t want =
		c->subtree < UINT32_MAX / (2 * ECI_BLOCK_FACTOR) ? c->subtree * ECI_BLOCK_FACTOR : UINT32_MAX / 2;
	uint32_t size = ECI_BLOCK_FACTOR;
	while (size < want)
		size *= 2;
	return size;
}

/* More ids for a parent that ran out: at least as many as it has, out of the master's. */
static bool grow(ectx_context *p, uint32_t need)
{
	ectx_mesh *m = p->mesh;
	uint32_t size = p->size > need ? p->size : need * 2;
	if (m->next_id > UINT32_MAX - size)
		return false;
	eci_context_part(p, "relay", &p->has_relay);
	if (eci_router_grant(m->router, p->id, m->next_id, size, 0, eci_now_ms()) < 0)
		return false;
	p->free_lo = m->next_id;
	p->free_hi = m->next_id + size;
	p->size += size;
	m->next_id += size;
	return true;
}

static bool take_block(ectx_context *c)
{
	ectx_mesh *m = c->mesh;
	uint32_t size = block_size(c), lo;
	if (!c->parent) {
		if (m->next_id > UINT32_MAX - size)
			return false;
		lo = m->next_id;
		m->next_id += size;
	} else {
		ectx_context *p = c->parent;
		if (p->free_hi - p->free_lo < size && !grow(p, size))
			return false;
		lo = p->free_lo;
		p->free_lo += size;
	}
	c->id = lo;
	c->size = size;
	c->free_lo = lo + 2; /* its own, and one for its Python worker if it is native */
	c->free_hi = lo + size;
	HASH_ADD(by_id, m->by_id, id, sizeof c->id, c);
	return true;
}

/* ---- frames to the parent ---- */

static void to_parent(ectx_context *c, uint32_t handle, struct eci_buf *body)
{
	uint32_t reply_to = handle == ECI_H_SPAWN ? c->event_slot : 0;
	eci_send(c->mesh, handle == ECI_H_KILL ? ECI_CONTROL : ECI_CALL, eci_context_id(c->parent), handle, reply_to,
		 body);
	eci_wipe(body->mem, body->cap); /* it may have held a secret */
	eci_buf_deinit(body);
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
		to_parent(c, ECI_H_RAW, &b);
		p = (const uint8_t *)p + piece;
		n -= piece;
	} while (n);
}

static void raw_ack(ectx_context *c, size_t n)
{
	struct eci_buf b = body_for(c, 3);
	eci_cbor_put_uint(&b, 2);
	eci_cbor_put_uint(&b, n);
	to_parent(c, ECI_H_RAW, &b);
}

static void send_kill(ectx_context *c)
{
	struct eci_buf b = body_for(c, 1);
	to_parent(c, ECI_H_KILL, &b);
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
	if (c->parent)
		eci_context_part(c->parent, "relay", &c->parent->has_relay);
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
	to_parent(c, ECI_H_SPAWN, &b);
}

static void act_answer(ectx_context *c, const struct eci_action *a)
{
	const char *why = "not declared", *value = a->secret ? eci_secret_get(c->mesh, a->secret, &why) : NULL;
	if (!value) {
		eci_dialogue_no_secret(c->dialogue, why, eci_now_ms());
		return;
	}
	struct eci_buf b = body_for(c, 3);
	eci_cbor_put_uint(&b, (uint64_t)a->to);
	struct eci_buf line = ECI_BUF_NULL;
	(void)eci_buf_puts(&line, value);
	(void)eci_buf_puts(&line, "\n");
	eci_cbor_put_bytes(&b, eci_buf_data(&line), eci_buf_len(&line));
	eci_wipe(line.mem, line.cap);
	eci_buf_deinit(&line);
	to_parent(c, ECI_H_RAW, &b);
}

/* ---- HELLO ---- */

static void title_of(const ectx_context *c, char *out, size_t cap)
{
	const char *title = c->target.title ? c->target.title : c->mesh->title;
	char user[33] = "?", host[65] = "?";
	(void)getlogin_r(user, sizeof user);
	const char *env = getenv("USER");
	(void)gethostname(host, sizeof host - 1);
	if (env)
		(void)snprintf(user, sizeof user, "%.32s", env);
	if (!title)
		title = "econtext:%u@%h:%p";
	size_t n = 0;
	for (const char *p = title; *p && n + 1 < cap; p++) {
		char pid[16];
		(void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
		const char *put = p[0] == '%' && p[1] == 'u'   ? user
				  : p[0] == '%' && p[1] == 'h' ? host
				  : p[0] == '%' && p[1] == 'p' ? pid
							       : NULL;
		if (!put) {
			out[n++] = *p;
			continue;
		}
		p++;
		int w = snprintf(out + n, cap - n, "%s", put);
		n += w > 0 ? (size_t)w : 0;
		n = n < cap ? n : cap - 1;
	}
	out[n] = 0;
	if (!eci_utf8_valid((const uint8_t *)out, n))
		(void)snprintf(out, cap, "econtext:%ld", (long)getpid());
}

static void put_hello(const ectx_context *c, struct eci_buf *b)
{
	char title[TITLE_MAX];
	title_of(c, title, sizeof title);
	size_t overrides = 0, room = 60; /* what does not fit is not sent: prefixes are few and short */
	for (char **v = c->mesh->overrides; v[overrides] && strlen(v[overrides]) + 2 <= room; overrides++)
		room -= strlen(v[overrides]) + 2;
	eci_cbor_put_map(b, overrides ? 7 : 6);
	eci_cbor_put_uint(b, 0);
	eci_cbor_put_uint(b, ECI_PROTOCOL_VERSION);
	eci_cbor_put_uint(b, 1);
	eci_cbor_put_array(b, 2);
	eci_cbor_put_uint(b, c->id);
	eci_cbor_put_uint(b, c->size);
	eci_cbor_put_uint(b, 2);
	eci_cbor_put_uint(b, c->target.timeout.idle_ms);
	eci_cbor_put_uint(b, 3);
	eci_cbor_put_int(b, c->mesh->log_level);
	eci_cbor_put_uint(b, 4);
	eci_cbor_put_str(b, title);
	eci_cbor_put_uint(b, 5);
	size_t len = strlen(c->name);
	eci_cbor_put_text(b, c->name, len <= NAME_MAX_SENT ? len : 0);
	if (!overrides)
		return;
	eci_cbor_put_uint(b, 6);
	eci_cbor_put_array(b, overrides);
	for (size_t i = 0; i < overrides; i++)
		eci_cbor_put_str(b, c->mesh->overrides[i]);
}

static void leave_dialing(ectx_context *c)
{
	if (c->state != ECI_DIALING)
		return;
	if (c->parent)
		c->parent->dials--;
	else
		c->mesh->dials--;
	for (ectx_context *s = c->parent ? c->parent->children : c->mesh->roots_of_tree; s; s = s->next_sibling)
		if (s->state == ECI_WANTED) {
			eci_work(s);
			break;
		}
}

static void run_waiting(ectx_context *c)
{
	struct ectx_future *f, *next;
	DL_FOREACH_SAFE(c->ops, f, next)
	{
		if (f->state == ECI_OP_WAITING && (f->kind != ECI_OP_CONNECT || c->state == ECI_UP))
			eci_future_run(f);
	}
	for (ectx_context *s = c->children; s; s = s->next_sibling)
		if (s->state == ECI_WANTED)
			eci_work(s);
}

static void act_promote(ectx_context *c, const struct eci_action *a)
{
	size_t n;
	const uint8_t *agent = eci_preamble_python(&n);
	raw(c, 0, agent, n);
	struct eci_buf hello = ECI_BUF_NULL;
	put_hello(c, &hello);
	struct eci_buf b = body_for(c, 2);
	eci_cbor_put_bytes(&b, eci_buf_data(&hello), eci_buf_len(&hello));
	eci_buf_deinit(&hello);
	to_parent(c, ECI_H_PROMOTE, &b);
	const char *machine = strchr(a->system, ' ');
	(void)snprintf(c->arch, sizeof c->arch, "%.31s", machine ? machine + 1 : a->system);
	leave_dialing(c);
	c->state = ECI_BOOTING;
	eci_work(c); /* what waits is sent from there: a PROMOTE to the master itself is delivered only when the router
			is done with this event */
}

void eci_context_part(ectx_context *c, const char *part, bool *sent)
{
	size_t n;
	const uint8_t *bytes = eci_preamble_part(part, &n);
	if (*sent || !bytes)
		return;
	*sent = true;
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_str(&b, part);
	eci_cbor_put_bytes(&b, bytes, n);
	eci_send(c->mesh, ECI_CALL, c->id, ECI_H_PART, 0,
		 &b); /* in order with SPAWN, PROMOTE and GRANT, which are calls too */
	eci_buf_deinit(&b);
}

/* ---- the dialogue's actions ---- */

static void pump(ectx_context *c)
{
	while (c->dialogue && c->state != ECI_IDLE) {
		struct eci_action a = eci_dialogue_next(c->dialogue);
		switch (a.kind) {
		case ECI_ACT_NONE:
			return;
		case ECI_ACT_SPAWN:
			act_spawn(c, a.recipe);
			break;
		case ECI_ACT_KILL:
			send_kill(c);
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
		case ECI_ACT_FAIL:
			fail_context(c, a.fail);
			return;
		}
	}
}

/* ---- events from the parent ---- */

static void copy_item(struct eci_cbor *c, char *out, size_t cap)
{
	const char *p;
	size_t n;
	if (eci_cbor_get_text(c, &p, &n))
		(void)eci_escape_into(out, cap, p, n);
}

static void on_up(ectx_context *c, struct eci_cbor *b)
{
	size_t pairs = eci_cbor_get_map(b);
	uint64_t version = 0;
	for (size_t i = 0; i < pairs && !b->bad; i++) {
		switch (eci_cbor_get_uint(b)) {
		case 0:
			version = eci_cbor_get_uint(b);
			break;
		case 1:
			copy_item(b, c->agent, sizeof c->agent);
			break;
		case 2:
			copy_item(b, c->python, sizeof c->python);
			break;
		case 3:
			copy_item(b, c->arch, sizeof c->arch);
			break;
		case 4:
			c->pid = eci_cbor_get_uint(b);
			break;
		case 6:
			copy_item(b, c->host, sizeof c->host);
			break;
		default:
			(void)eci_cbor_skip(b);
		}
	}
	if (version != ECI_PROTOCOL_VERSION) {
		eci_dialogue_link_lost(c->dialogue, "version", 0, "", eci_now_ms());
		send_kill(c);
		return;
	}
	eci_dialogue_up(c->dialogue, eci_now_ms());
	c->state = ECI_UP;
	c->mesh->booting--;
	run_waiting(c);
}

static void lost_while_up(ectx_context *c, const char *reason, const char *detail)
{
	struct eci_fail fail = {0};
	const char *evidence = eci_dialogue_evidence(c->dialogue);
	bool silent = !strcmp(reason, "silent");
	eci_fail_set(&fail, ECTX_PHASE_LOST, silent ? ECTX_E_SILENT : ECTX_E_LOST_RUNNING, "%s%s%s%s%s", reason,
		     detail[0] ? ": " : "", detail, evidence[0] ? "; " : "", evidence);
	eci_context_down(c, &fail);
}

static void on_final(ectx_context *c, uint64_t code, struct eci_cbor *b)
{
	char text[512] = "", detail[512] = "";
	uint64_t now = eci_now_ms();
	if (code == 5) {
		eci_dialogue_exited(c->dialogue, (int)eci_cbor_get_uint(b), now);
		return;
	}
	copy_item(b, text, sizeof text);
	if (code == 7) {
		eci_dialogue_spawn_failed(c->dialogue, (int)eci_cbor_get_uint(b), text, now);
		return;
	}
	int status = eci_cbor_get_null(b) ? -1 : (int)eci_cbor_get_uint(b);
	copy_item(b, detail, sizeof detail);
	if (c->state == ECI_UP)
		lost_while_up(c, text, detail);
	else if (c->state == ECI_BOOTING)
		eci_dialogue_link_lost(c->dialogue, text, status, detail, now);
	else
		eci_dialogue_exited(c->dialogue, status, now);
}

static void on_event(void *arg, const struct eci_answer *a)
{
	ectx_context *c = arg;
	if (a->dead) {
		struct eci_fail fail = {0};
		c->event_slot = 0;
		eci_fail_set(&fail, ECTX_PHASE_ROUTE,
			     strcmp(a->reason, "block-exhausted") ? ECTX_E_NO_ROUTE : ECTX_E_BLOCK_EXHAUSTED, "%s%s%s",
			     a->reason, a->evidence[0] ? ": " : "", a->evidence);
		fail_context(c, &fail);
		return;
	}
	if (eci_cbor_check(a->f->body, a->f->len, ECI_CBOR_ITEMS_MAX) != 0)
		return;
	struct eci_cbor b = eci_cbor_open(a->f->body, a->f->len);
	(void)eci_cbor_get_array(&b);
	uint64_t code = eci_cbor_get_uint(&b), now = eci_now_ms();
	const uint8_t *p;
	size_t n;
	if (b.bad || !c->dialogue)
		return;
	if (code == 0) {
		eci_dialogue_started(c->dialogue, now);
	} else if (code <= 3) {
		if (eci_cbor_get_bytes(&b, &p, &n)) {
			raw_ack(c, n);
			eci_dialogue_bytes(c->dialogue, (enum eci_from)code, p, n, now);
		}
	} else if (code == 6) {
		on_up(c, &b);
	} else if (code != 4) {
		on_final(c, code, &b);
	}
	pump(c);
}

/* ---- life ---- */

static void dial(ectx_context *c)
{
	static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	char nonce[9], stage[STAGE_MAX];
	uint64_t now = eci_now_ms();
	for (int i = 0; i < 8; i++)
		nonce[i] = letters[eci_random(36)];
	nonce[8] = 0;
	struct eci_fail fail = {0};
	if (!take_block(c)) {
		eci_fail_set(&fail, ECTX_PHASE_ROUTE, ECTX_E_BLOCK_EXHAUSTED, "no block of %u ids left",
			     (unsigned)block_size(c));
		fail_context(c, &fail);
		return;
	}
	c->has_relay = c->has_exec = c->has_stats = false;
	c->started_ms = now;
	c->event_slot = eci_slot_open(c->mesh->router, eci_context_id(c->parent), ECI_SLOT_MANY, on_event, c);
	int made = eci_first_stage(stage, sizeof stage, nonce, c->target.python);
	c->dialogue = made < 0 ? NULL : eci_dialogue_new(&c->target, nonce, stage, now);
	if (!c->dialogue || !c->event_slot) {
		eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "first stage of %s", c->name);
		fail_context(c, &fail);
		return;
	}
	c->state = ECI_DIALING;
	c->mesh->booting++;
	*(c->parent ? &c->parent->dials : &c->mesh->dials) += 1;
	pump(c);
}

void eci_context_advance(ectx_context *c)
{
	if (c->state == ECI_BOOTING)
		run_waiting(c);
	if (c->state == ECI_DIALING || c->state == ECI_BOOTING) {
		pump(c);
		return;
	}
	if (c->state != ECI_WANTED || c->mesh->closing || !eci_context_reachable(c->parent))
		return;
	uint32_t window = c->parent ? c->parent->dial_window : ECI_MASTER_DIALS;
	if ((c->parent ? c->parent->dials : c->mesh->dials) < window)
		dial(c);
}

void eci_context_want(ectx_context *c)
{
	if (c->state != ECI_IDLE)
		return;
	if (c->parent)
		eci_context_want(c->parent);
	c->state = ECI_WANTED;
	eci_work(c);
}

void eci_context_tick(ectx_context *c, uint64_t now, uint64_t *next)
{
	uint64_t t = eci_dialogue_tick(c->dialogue, now);
	*next = t < *next ? t : *next;
	pump(c);
}

static void reset(ectx_context *c)
{
	leave_dialing(c);
	if (c->state == ECI_DIALING || c->state == ECI_BOOTING)
		c->mesh->booting--;
	c->state = ECI_IDLE;
	if (c->event_slot)
		eci_slot_close(c->mesh->router, c->event_slot);
	c->event_slot = 0;
	if (c->id)
		HASH_DELETE(by_id, c->mesh->by_id, c);
	c->id = c->size = 0;
	c->dials = 0;
	eci_dialogue_free(c->dialogue);
	c->dialogue = NULL;
}

static void down(ectx_context *c, const struct eci_fail *fail, const ectx_context *at)
{
	if (c->state == ECI_IDLE)
		return;
	for (ectx_context *s = c->children; s; s = s->next_sibling)
		down(s, fail, at);
	bool was_up = c->state == ECI_UP;
	reset(c);
	struct ectx_future *f, *next;
	DL_FOREACH_SAFE(c->ops, f, next)
	{
		struct eci_fail mine = *fail;
		/* Only what had been sent to a live context has an unknown outcome. */
		if (fail->phase == ECTX_PHASE_LOST && !(was_up && f->state == ECI_OP_RUNNING))
			mine.code = ECTX_E_LOST;
		eci_future_fail(f, &mine, at);
	}
}

void eci_context_down(ectx_context *c, const struct eci_fail *fail)
{
	struct eci_fail copy = *fail; /* it may live in the dialogue that is about to be freed */
	down(c, &copy, c);
}

static void fail_context(ectx_context *c, const struct eci_fail *fail)
{
	eci_context_down(c, fail);
}

/* ---- for the plan: what would be executed ---- */

char **eci_connect_argv(const struct eci_target *t, unsigned *round_trips)
{
	char stage[STAGE_MAX];
	struct eci_recipe r = {0};
	if (eci_first_stage(stage, sizeof stage, "nonce000", t->python) < 0)
		return NULL;
	*round_trips = eci_recipe_round_trips(t);
	if (eci_recipe_make(&r, t, eci_recipe_first_mode(t), t->feed, stage) < 0)
		return NULL;
	size_t n = 0, bytes = 0;
	for (; r.argv[n]; n++)
		bytes += strlen(r.argv[n]) + 1;
	char **out = malloc((n + 1) * sizeof *out + bytes);
	char *at = out ? (char *)(out + n + 1) : NULL;
	for (size_t i = 0; out && i < n; i++) {
		out[i] = at;
		at = stpcpy(at, r.argv[i]) + 1;
	}
	if (out)
		out[n] = NULL;
	eci_recipe_deinit(&r);
	return out;
}
