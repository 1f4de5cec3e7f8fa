/* Connecting: from a wanted context to a live one, and back when it is lost.
 *
 *     IDLE -> WANTED -> DIALING -> BOOTING -> UP -> IDLE
 *                 \________\_________\______________^ (failed)
 *
 * The dialogue (transport/) decides, actions.c carries: they become SPAWN, RAW, PROMOTE and KILL frames to the
 * parent, the master itself included, and the events that come back become its inputs. There is no other way to make a
 * context, however far.
 *
 * From BOOTING on, frames may be sent: they wait behind PROMOTE at the parent. So the preamble, PROMOTE, the first call
 * and even the SPAWN of a grandchild leave in one breath, and a hop costs one round trip after its login.
 *
 * A parent dials at most dial_window children at once; a child gives its place back when its marker was seen, as what
 * the window protects is sshd's MaxStartups.
 *
 * A native agent that cannot be there (noexec, a policy) is found out after PROMOTE. Then the context is dialled once
 * more, for the next of its agents, in a new incarnation; what waits for it goes on waiting. eci_context_settled() is
 * why nothing that cannot be repeated was sent by then.
 *
 * When a context fails or is lost, everything below it is too, and all of it with the same error: the hop that failed
 * is the path's last name. */
#include "mesh/ahead.h"
#include "mesh/asked.h"
#include "mesh/event.h"
#include "mesh/connect.h"
#include "mesh/worker.h"
#include "io/random.h"
#include "preamble/preamble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- places among a parent's dials ---- */

/* One that waits for a place beside c. As one place wakes one, whoever does not use it wakes the next. */
static void wake_next(ectx_context *c)
{
	for (ectx_context *s = c->parent ? c->parent->children : c->mesh->roots_of_tree; s; s = s->next_sibling)
		if (s->state == ECI_WANTED) {
			eci_work(s);
			break;
		}
}

static void leave_dialing(ectx_context *c)
{
	if (c->state != ECI_DIALING)
		return;
	if (c->parent)
		c->parent->dials--;
	else
		c->mesh->dials--;
	wake_next(c);
}

static void run_waiting(ectx_context *c)
{
	struct ectx_future *f, *next;
	DL_FOREACH_SAFE(c->ops, f, next)
	{
		if (f->state == ECI_OP_WAITING)
			eci_future_proceed(f);
	}
	for (ectx_context *s = c->children; s; s = s->next_sibling)
		if (s->state == ECI_WANTED)
			eci_work(s);
}

void eci_context_promoted(ectx_context *c)
{
	leave_dialing(c);
	c->state = ECI_BOOTING;
	eci_work(c); /* what waits is sent from there: a PROMOTE to the master itself is delivered only when the router
			is done with this event */
}

/* ---- events from the parent ---- */

static void on_up(ectx_context *c, struct eci_cbor *b)
{
	if (c->state != ECI_BOOTING) /* a parent that says so of what was not promoted, or again */
		return;
	if (eci_hello_take(c, b) != ECI_PROTOCOL_VERSION) {
		eci_dialogue_link_lost(c->dialogue, "version", 0, "", eci_now_ms());
		eci_send_kill(c);
		return;
	}
	eci_dialogue_up(c->dialogue, eci_now_ms());
	c->state = ECI_UP;
	for (ectx_context *s = c->children; s; s = s->next_sibling)
		if (s->dialogue) /* its SPAWN waited for this */
			eci_dialogue_held(s->dialogue, eci_now_ms());
	c->mesh->booting--;
	run_waiting(c);
}

void eci_context_lost(ectx_context *c, const struct eci_fail *fail)
{
	struct eci_fail mine = *fail;
	uint64_t held = c->parent ? 0 : eci_mesh_held(c->mesh), idle = c->target.timeout.idle_ms;
	if (idle && held * 3 >= idle * 2) { /* a PING goes every third of it: that one heard none for so long */
		eci_fail_set(&mine, ECTX_PHASE_LOST, ECTX_E_SILENT,
			     "this program itself did not run for %llu s, and what it had started there ends by that",
			     (unsigned long long)held / 1000);
		(void)snprintf(mine.hint, sizeof mine.hint,
			       "it was stopped here (^Z, SIGSTOP), or had no processor, for longer than timeout.idle");
	}
	eci_context_down(c, &mine);
}

static void lost_while_up(ectx_context *c, const char *reason, const char *detail, int status)
{
	struct eci_fail fail = {0};
	char how[40] = "", ended[80];
	const char *saw = eci_dialogue_evidence(c->dialogue);
	bool silent = !strcmp(reason, "silent");
	if (!saw[0] && !c->parent) /* a relay's detail is the end of the same words, with what ssh always says */
		saw = detail;
	if (!saw[0] && !silent) { /* of one that was silent it says only that it was killed for that */
		eci_ended_how(how, sizeof how, status);
		(void)snprintf(ended, sizeof ended, "what carried the link%s%s", *how ? ": " : " ended", how);
		saw = ended;
	} else if (!saw[0]) {
		saw = "no byte came for the idle time";
	}
	eci_fail_set(&fail, ECTX_PHASE_LOST, silent ? ECTX_E_SILENT : ECTX_E_LOST_RUNNING, "%s: %s", reason, saw);
	eci_context_lost(c, &fail);
}

static int status_take(struct eci_cbor *b)
{
	return eci_cbor_get_null(b) ? -1 : (int)eci_cbor_get_int(b);
}

static void on_final(ectx_context *c, uint64_t code, struct eci_cbor *b)
{
	char text[512] = "", detail[512] = "";
	uint64_t now = eci_now_ms();
	c->spawned = false;
	if (code == 5) {
		eci_dialogue_exited(c->dialogue, status_take(b), now);
		return;
	}
	eci_text_take(b, text, sizeof text);
	if (code == 7) {
		eci_name_errno(text, sizeof text);
		eci_dialogue_spawn_failed(c->dialogue, (int)eci_cbor_get_uint(b), text, now);
		return;
	}
	int status = status_take(b);
	eci_text_take(b, detail, sizeof detail);
	eci_dialogue_hide(c->dialogue, detail);
	if (c->state == ECI_UP)
		lost_while_up(c, text, detail, status);
	else if (c->state == ECI_BOOTING)
		eci_dialogue_link_lost(c->dialogue, text, status, detail, now);
	else
		eci_dialogue_exited(c->dialogue, status, now);
}

static void on_event(void *arg, const struct eci_answer *a)
{
	ectx_context *c = arg;
	if (a->dead) {
		c->event_slot = 0;
		eci_context_refused(c, a);
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
			eci_send_raw_ack(c, n);
			eci_dialogue_bytes(c->dialogue, (enum eci_from)code, p, n, now);
		}
	} else if (code == 6) {
		on_up(c, &b);
	} else if (code != 4) {
		on_final(c, code, &b);
	}
	eci_actions_pump(c);
}

/* ---- life ---- */

void eci_random_name(char out[9])
{
	static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	for (int i = 0; i < 8; i++)
		out[i] = letters[eci_random(36)];
	out[8] = 0;
}

static bool has_native(const char *machine)
{
	return eci_preamble_native_for(machine) != NULL;
}

static void cannot_dial(ectx_context *c, const struct eci_fail *fail)
{
	eci_context_down(c, fail);
	wake_next(c);
}

static void dial(ectx_context *c)
{
	char nonce[9], stage[ECI_STAGE_MAX];
	uint64_t now = eci_now_ms();
	eci_random_name(nonce);
	struct eci_fail fail = {0};
	int r = eci_ids_take(c);
	if (r) {
		eci_fail_set(&fail, ECTX_PHASE_ROUTE, r == -4 ? ECTX_E_BUSY : ECTX_E_BLOCK_EXHAUSTED,
			     "no block of %u ids %s", (unsigned)eci_ids_wanted(c),
			     r == -4 ? "could be granted: the queue to the first hop is full" : "left");
		cannot_dial(c, &fail);
		return;
	}
	c->has_relay = c->has_exec = c->has_stats = c->has_stream = c->has_cancel = c->has_program = c->native = false;
	c->agent[0] = c->python[0] = c->arch[0] = c->host_name[0] = 0;
	c->started_ms = now;
	c->event_slot = eci_slot_open(c->mesh->router, eci_context_id(c->parent), ECI_SLOT_MANY, on_event, c);
	int made = eci_first_stage(stage, sizeof stage, nonce, c->target.python);
	c->target.image = eci_image_for(c);
	c->dialogue = made < 0 ? NULL : eci_dialogue_new(&c->target, nonce, stage, now);
	if (!c->dialogue || !c->event_slot) {
		eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "first stage of %s", c->name);
		cannot_dial(c, &fail);
		return;
	}
	eci_dialogue_natives(c->dialogue, has_native);
	c->state = ECI_DIALING;
	c->mesh->booting++;
	c->mesh->started |= !c->parent;
	*(c->parent ? &c->parent->dials : &c->mesh->dials) += 1;
	eci_actions_pump(c);
}

void eci_context_advance(ectx_context *c)
{
	if (c->state == ECI_BOOTING)
		run_waiting(c);
	if (c->state == ECI_DIALING || c->state == ECI_BOOTING) {
		eci_actions_pump(c);
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
	if (c->parent && c->parent->state != ECI_UP)
		eci_dialogue_held(c->dialogue, now);
	uint64_t t = eci_dialogue_tick(c->dialogue, now);
	*next = t < *next ? t : *next;
	eci_actions_pump(c);
}

static void reset(ectx_context *c)
{
	leave_dialing(c);
	if (c->id && !c->spawned && (c->state == ECI_WANTED || c->state == ECI_DIALING)) /* no PROMOTE went out */
		eci_ids_keep(c);
	if (c->state == ECI_DIALING || c->state == ECI_BOOTING)
		c->mesh->booting--;
	c->state = ECI_IDLE;
	if (c->event_slot)
		eci_slot_close(c->mesh->router, c->event_slot);
	c->event_slot = 0;
	eci_asked_forget(c);
	if (c->id)
		HASH_DELETE(by_id, c->mesh->by_id, c);
	c->id = c->size = 0;
	c->dials = 0;
	c->unsent = c->spawned = false;
	eci_ahead_forget(c);
	eci_dialogue_free(c->dialogue);
	c->dialogue = NULL;
}

static void down(ectx_context *c, const struct eci_fail *fail, const ectx_context *at)
{
	if (c->state == ECI_IDLE)
		return;
	for (ectx_context *s = c->children; s; s = s->next_sibling)
		down(s, fail, at);
	bool was_up = c->state == ECI_UP, slots = c->has_stream || c->in_tree;
	uint32_t id = c->id;
	c->has_stream = c->in_tree = false;
	reset(c);
	while (c->ops) { /* not from one to the next: a splice that ends frees its opening */
		struct ectx_future *f = c->ops;
		struct eci_fail mine = *fail;
		/* Only what had been sent to a live context has an unknown outcome. */
		if (fail->phase == ECTX_PHASE_LOST && !(was_up && f->state == ECI_OP_RUNNING)) {
			if (fail->code == ECTX_E_SILENT && !*fail->hint) /* what to look at is the same */
				(void)snprintf(mine.hint, sizeof mine.hint, "%s", ectx_code_hint(ECTX_E_SILENT));
			mine.code = ECTX_E_LOST;
		}
		eci_future_fail(f, &mine, at);
	}
	if (slots) /* what is no future of c: tunnels, their connections, and what a tree asked */
		eci_router_fail(c->mesh->router, id, id + 1, eci_context_id(at->parent), fail->saw, eci_now_ms());
}

void eci_context_refused(ectx_context *c, const struct eci_answer *a)
{
	static const struct {
		const char *reason;
		enum ectx_code code;
	} codes[] = {{"busy", ECTX_E_BUSY}, {"block-exhausted", ECTX_E_BLOCK_EXHAUSTED}};
	struct eci_fail fail = {0};
	enum ectx_code code = ECTX_E_NO_ROUTE;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (!strcmp(codes[i].reason, a->reason))
			code = codes[i].code;
	eci_fail_set(&fail, ECTX_PHASE_ROUTE, code, "%s%s%s", a->reason, a->evidence[0] ? ": " : "", a->evidence);
	eci_send_kill(c); /* it may have been started */
	down(c, &fail, eci_context_below(c, a->at));
}

/* Nothing below was ever reached: it waits again. */
static void wait_again(ectx_context *c)
{
	if (c->state == ECI_IDLE)
		return;
	for (ectx_context *s = c->children; s; s = s->next_sibling)
		wait_again(s);
	reset(c);
	c->state = ECI_WANTED;
}

void eci_context_next_agent(ectx_context *c, const struct eci_fail *why)
{
	char text[600];
	int n = snprintf(text, sizeof text, "no native agent here (%s), the next one: %.500s",
			 ectx_code_name(why->code), why->saw);
	if (c->mesh->log_level <= 10)
		eci_event_log(c->mesh, c, 10, "econtext", 8, text, (size_t)n);
	wait_again(c);
	if (c->worker)
		c->worker->state = ECI_IDLE;
	eci_worker_give_back(c);
	/* For good: the host will be no other when it is dialled again. */
	c->target.agents = (struct eci_agents){.count = 1, .kind = {c->target.agents.kind[1]}, .said = true};
	eci_work(c);
}

void eci_context_down(ectx_context *c, const struct eci_fail *fail)
{
	struct eci_fail copy = *fail;           /* it may live in the dialogue that is about to be freed */
	if (copy.code == ECTX_E_PASSWORD_WRONG) /* a tunnel dials again and again: that would lock an account */
		c->target.refused = true;
	if (c->host && copy.code == ECTX_E_NO_PYTHON)
		(void)snprintf(copy.hint, sizeof copy.hint, "%s",
			       "a call needs a Python on that host: set python: if it has one; exec and cp do without "
			       "(agent: native)");
	down(c, &copy, c);
}

/* ---- for the plan: what would be executed ---- */

char **eci_connect_argv(const struct eci_target *t, unsigned *round_trips)
{
	char stage[ECI_STAGE_MAX];
	struct eci_recipe r = {0};
	if (eci_first_stage(stage, sizeof stage, ECI_NONCE_SHOWN, t->python) < 0)
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
