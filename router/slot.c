/* Slots: the local handles from ECI_H_FIRST_SLOT up, each opened for one respondent.
 *
 * A slot believes two kinds of frame: an answer whose src is its respondent, and a dead notice that came over the link
 * that leads to the respondent (anybody on that way may know that it is lost). Everything else is counted and dropped,
 * so that no third context can answer for another. A slot is out of the table before its function is called: the
 * function may open the next one, send, or close others.
 *
 * Handles are counted up and found through a hash table that doubles with the number of slots; because they are
 * consecutive, the low bits spread them evenly. A counter rather than an index that is used again: a late answer must
 * not meet a new slot (the same number comes back after 2^32 - 256 others).
 *
 * Losing a link ends many slots, and their functions may close slots of the same lot. So the lot is first moved to a
 * list of its own (`doomed`), still in the table, and then taken off its head one by one: a close finds it there too.
 */
#include "router/internal.h"

struct eci_slot *eci_slot_find(const struct eci_router *r, uint32_t handle)
{
	if (!r->slots)
		return NULL;
	struct eci_slot *s = r->slots[handle & r->slot_mask];
	while (s && s->handle != handle)
		s = s->chain;
	return s;
}

static bool grow(struct eci_router *r)
{
	uint32_t n = r->slots ? (r->slot_mask + 1) * 2 : 16;
	struct eci_slot **b = eci_mem_alloc(n * sizeof *b);
	if (!b)
		return r->slots != NULL; /* longer chains are slow, not wrong */
	memset(b, 0, n * sizeof *b);
	for (uint32_t i = 0; r->slots && i <= r->slot_mask; i++)
		while (r->slots[i]) {
			struct eci_slot *s = r->slots[i];
			r->slots[i] = s->chain;
			s->chain = b[s->handle & (n - 1)];
			b[s->handle & (n - 1)] = s;
		}
	eci_mem_free(r->slots);
	r->slots = b;
	r->slot_mask = n - 1;
	return true;
}

static void list_add(struct eci_slot **head, struct eci_slot *s)
{
	s->next = *head;
	s->pprev = head;
	if (s->next)
		s->next->pprev = &s->next;
	*head = s;
}

static void list_del(struct eci_slot *s)
{
	*s->pprev = s->next;
	if (s->next)
		s->next->pprev = s->pprev;
}

uint32_t eci_slot_open(struct eci_router *r, uint32_t respondent, enum eci_slot_mode mode, eci_slot_fn fn, void *arg)
{
	if ((!r->slots || r->nslots > r->slot_mask) && !grow(r))
		return 0;
	struct eci_slot *s = eci_mem_alloc(sizeof *s);
	if (!s)
		return 0;
	*s = (struct eci_slot){.respondent = respondent, .mode = mode, .fn = fn, .arg = arg};
	do {
		s->handle = r->next_slot;
		r->next_slot = r->next_slot == UINT32_MAX ? ECI_H_FIRST_SLOT : r->next_slot + 1;
	} while (eci_slot_find(r, s->handle));
	s->chain = r->slots[s->handle & r->slot_mask];
	r->slots[s->handle & r->slot_mask] = s;
	list_add(&r->slot_list, s);
	r->nslots++;
	return s->handle;
}

static void slot_remove(struct eci_router *r, struct eci_slot *s)
{
	struct eci_slot **p = &r->slots[s->handle & r->slot_mask];
	while (*p != s)
		p = &(*p)->chain;
	*p = s->chain;
	list_del(s);
	r->nslots--;
	eci_mem_free(s);
}

void eci_slot_close(struct eci_router *r, uint32_t slot)
{
	struct eci_slot *s = eci_slot_find(r, slot);
	if (s)
		slot_remove(r, s);
}

void eci_slot_free_all(struct eci_router *r)
{
	while (r->slot_list)
		slot_remove(r, r->slot_list);
	while (r->doomed)
		slot_remove(r, r->doomed);
	eci_mem_free(r->slots);
	r->slots = NULL;
}

/* Ends a slot with a dead answer. */
static void end(struct eci_router *r, struct eci_slot *s, const struct eci_answer *a)
{
	eci_slot_fn fn = s->fn;
	void *arg = s->arg;
	slot_remove(r, s);
	fn(arg, a);
}

void eci_slot_fail(struct eci_router *r, const struct eci_interval *v, uint32_t n, uint32_t at, const char *reason,
		   const char *evidence)
{
	for (struct eci_slot *s = r->slot_list, *next; s; s = next) {
		next = s->next;
		if (n && !eci_iv_has(v, n, s->respondent))
			continue;
		list_del(s);
		list_add(&r->doomed, s);
	}
	struct eci_answer a = {.dead = true, .reason = reason, .at = at, .evidence = evidence};
	while (r->doomed)
		end(r, r->doomed, &a);
}

void eci_slot_refuse(struct eci_router *r, const struct eci_frame *f, const char *reason)
{
	struct eci_slot *s = eci_slot_find(r, f->handle);
	struct eci_answer a = {.dead = true, .reason = reason, .at = r->id, .evidence = ""};
	if (s && s->respondent == f->src)
		end(r, s, &a);
}

void eci_router_fail(struct eci_router *r, uint32_t lo, uint32_t hi, uint32_t at, const char *evidence, uint64_t now_ms)
{
	struct eci_interval v = {lo, hi};
	eci_router_enter(r, now_ms);
	eci_slot_fail(r, &v, 1, at, "lost", evidence ? evidence : "");
	eci_router_leave(r);
}

/* ---- what arrives ---- */
/* The text at the cursor, NUL-terminated and not above max bytes; where there is none, `otherwise`. */
static void take_text(struct eci_cbor *c, const char *otherwise, char *to, size_t max)
{
	const char *p;
	size_t n;
	if (!eci_cbor_get_text(c, &p, &n)) {
		p = otherwise;
		n = SIZE_MAX; /* as long as it is */
	}
	if (n > max)
		n = eci_text_cut(p, max);
	memcpy(to, p, n);
	to[n] = 0;
}

/* A notice that cannot be read is a dead answer still: better a vague reason than a slot that waits for ever. */
static void take_dead(struct eci_router *r, struct eci_slot *s, const struct eci_frame *f)
{
	struct eci_cbor c = eci_cbor_of(f);
	char reason[ECI_REASON_MAX + 1], evidence[ECI_NOTICE_EVIDENCE_MAX + 1];
	c.bad = eci_cbor_get_array(&c) < 4;
	take_text(&c, "bad-body", reason, ECI_REASON_MAX);
	(void)eci_cbor_skip(&c);
	(void)eci_cbor_skip(&c);
	take_text(&c, "", evidence, ECI_NOTICE_EVIDENCE_MAX);
	struct eci_answer a = {.f = f, .dead = true, .reason = reason, .at = f->src, .evidence = evidence};
	end(r, s, &a);
}

void eci_slot_take(struct eci_router *r, enum eci_origin from, struct eci_link *l, const struct eci_frame *f)
{
	struct eci_slot *s = eci_slot_find(r, f->handle);
	if (!s) {
		eci_router_dead(r, f, "no-handle", "", r->now);
		return;
	}
	if (f->flags & ECI_F_DEAD) {
		struct eci_link *way = eci_way_to(r, s->respondent);
		if (ECI_MASTER_TOO && from == ECI_FROM_SELF ? s->respondent == r->id : way == l)
			take_dead(r, s, f);
		else
			r->stats.bad_reply++;
		return;
	}
	if (f->src != s->respondent || f->cls == ECI_CONTROL) {
		r->stats.bad_reply++;
		return;
	}
	struct eci_answer a = {.f = f};
	if (s->mode == ECI_SLOT_ONCE) {
		end(r, s, &a);
		return;
	}
	s->fn(s->arg, &a); /* may close the slot: s is not looked at again */
}
