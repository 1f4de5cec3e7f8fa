/* The module cache of a router without Python: children ask, the parent answers each name once.
 *
 * An entry is kept as the bytes in which it came, so it is passed on as it is; of its content only the name, the
 * imports and, where a search needs it, the order of age are looked at. An answer is the entry asked for, and then
 * those it imports, as far as they are here and were not sent over that link before: a child that begins with a large
 * program asks once where it would have asked a hundred times.
 *
 * What was sent over a link is a set of bits by entry number, made when the child first asks. Numbers rise and are
 * never used again, so a set stays right when entries go.
 *
 * All who wait are in one list. The first who waits for a name has asked the parent, and what comes back is for all who
 * wait for the same, a dead answer with the parent's reason too; so nobody leaves the list before. Memory that is
 * refused ends in `busy`, for the one who asked.
 *
 * Many who wait for one large module would have a copy each, more than a router may hold of its own, and an import that
 * is told `busy` fails. So an answer is made when there is room for it; until then who asked stays in the list. */
#include "service/modcache.h"

#include "core/cbor.h"
#include "core/mem.h"

struct entry {
	struct entry *next; /* same chain, or by age */
	struct entry *younger;
	uint32_t number;
	size_t len, name_len;
	const char *name; /* in bytes */
	uint8_t bytes[];
};

struct waiting {
	struct waiting *next;
	struct eci_modcache *all;
	struct eci_frame f; /* its body is gone; reply_to 0: so is its child */
	bool here;          /* what it asked for has come, and it waits for room */
	size_t name_len;
	char name[];
};

struct served {
	struct served *next;
	uint32_t child, words;
	uint32_t *bits;
};

#define CHAINS 256u

struct eci_modcache {
	struct eci_router *router;
	struct entry *chains[CHAINS], *oldest, *youngest;
	struct waiting *waiting;
	struct served *served;
	uint32_t count, asked, numbers;
	size_t bytes;
	uint64_t now;
};

struct eci_modcache *eci_modcache_new(struct eci_router *r)
{
	struct eci_modcache *m = eci_mem_alloc(sizeof *m);
	if (!m)
		return NULL;
	memset(m, 0, sizeof *m);
	m->router = r;
	return m;
}

uint32_t eci_modcache_count(const struct eci_modcache *m)
{
	return m->count;
}

uint32_t eci_modcache_requests(const struct eci_modcache *m)
{
	return m->asked;
}

static bool same(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static struct entry **find(struct eci_modcache *m, const char *name, size_t n)
{
	uint32_t hash = 0;
	for (size_t i = 0; i < n; i++)
		hash = hash * 31 + (uint8_t)name[i];
	struct entry **at = &m->chains[hash % CHAINS];
	while (*at && !same((*at)->name, (*at)->name_len, name, n))
		at = &(*at)->next;
	return at;
}

/* ---- what was sent over a link ---- */

static struct served *served_by(struct eci_modcache *m, uint32_t child)
{
	struct served *s = m->served;
	while (s && s->child != child)
		s = s->next;
	if (s)
		return s;
	s = eci_mem_alloc(sizeof *s);
	if (!s)
		return NULL;
	*s = (struct served){.next = m->served, .child = child};
	m->served = s;
	return s;
}

/* Whether entry `number` was sent before; now it is. Without memory it is sent again, which is allowed. */
static bool mark(struct served *s, uint32_t number)
{
	uint32_t word = number / 32, bit = (uint32_t)1 << number % 32;
	if (s && word >= s->words) {
		uint32_t words = word + 16;
		uint32_t *bits = eci_mem_grow(s->bits, s->words * sizeof *bits, words * sizeof *bits);
		if (!bits)
			return false;
		memset(bits + s->words, 0, (words - s->words) * sizeof *bits);
		s->bits = bits;
		s->words = words;
	}
	if (!s)
		return false;
	bool before = s->bits[word] & bit;
	s->bits[word] |= bit;
	return before;
}

static void unmark(struct served *s, uint32_t number)
{
	if (number / 32 < s->words)
		s->bits[number / 32] &= ~((uint32_t)1 << number % 32);
}

void eci_modcache_forget(struct eci_modcache *m, uint32_t child)
{
	for (struct served **at = &m->served; *at; at = &(*at)->next)
		if ((*at)->child == child) {
			struct served *s = *at;
			*at = s->next;
			eci_mem_free(s->bits);
			eci_mem_free(s);
			break;
		}
	for (struct waiting *w = m->waiting; w; w = w->next)
		if (w->f.src == child)
			w->f.reply_to = 0;
}

/* ---- the cache ---- */

static void drop_oldest(struct eci_modcache *m)
{
	struct entry *e = m->oldest, **at = find(m, e->name, e->name_len);
	*at = e->next;
	m->oldest = e->younger;
	if (!m->oldest)
		m->youngest = NULL;
	m->bytes -= e->len;
	m->count--;
	eci_mem_free(e);
}

/* Keeps the entry [p, p+n), which is an array that begins with its name; one that is known stays as it is. */
static void keep(struct eci_modcache *m, const uint8_t *p, size_t n)
{
	struct eci_cbor c = eci_cbor_open(p, n);
	const char *name;
	size_t name_len;
	(void)eci_cbor_get_array(&c);
	if (!eci_cbor_get_text(&c, &name, &name_len) || *find(m, name, name_len))
		return;
	struct entry *e = eci_mem_alloc(sizeof *e + n);
	if (!e)
		return;
	*e = (struct entry){.number = m->numbers++, .len = n, .name_len = name_len};
	memcpy(e->bytes, p, n);
	e->name = (const char *)e->bytes + (name - (const char *)p);
	*find(m, name, name_len) = e;
	if (m->youngest)
		m->youngest->younger = e;
	else
		m->oldest = e;
	m->youngest = e;
	m->count++;
	m->bytes += n;
	while ((m->bytes > ECI_MODCACHE_MAX || m->count > ECI_MODCACHE_ENTRIES) && m->oldest != e)
		drop_oldest(m);
}

/* ---- answers ---- */

struct answer {
	struct entry **todo; /* in the order in which they are sent */
	size_t n, cap;
	size_t bytes, items; /* beside those of the entry asked for */
};

enum { IMPORTS = 5 }; /* of an entry's items: the names that it imports; the next are its children */

static void push(struct answer *a, struct entry *e)
{
	if (a->n == a->cap) {
		size_t cap = a->cap * 2 + 16;
		struct entry **grown =
			eci_mem_grow(a->todo, a->n * sizeof(struct entry *), cap * sizeof(struct entry *));
		if (!grown)
			return; /* it is asked for by itself then */
		a->todo = grown;
		a->cap = cap;
	}
	a->todo[a->n++] = e;
}

/* Opens c at the names that e imports, behind which stand its children; how many. What is no module has none: there c
 * stands at its name. */
static size_t imports_of(const struct entry *e, struct eci_cbor *c)
{
	*c = eci_cbor_open(e->bytes, e->len);
	if (eci_cbor_get_array(c) < 7)
		return 0;
	for (int i = 1; i < IMPORTS; i++)
		(void)eci_cbor_skip(c);
	return eci_cbor_get_array(c);
}

/* Whether e, the entry asked for or one that it led to, may go with what goes already. */
static bool has_room(struct answer *a, const struct entry *e)
{
	struct eci_cbor c;
	if (e == a->todo[0])
		return true;
	a->bytes += e->len;
	a->items += ECI_ENTRY_ITEMS;
	for (size_t n = imports_of(e, &c); n && !c.bad; n--, a->items++)
		(void)eci_cbor_skip(&c);
	a->items += eci_cbor_get_array(&c); /* its children */
	return a->bytes <= ECI_ANSWER_BYTES_MAX && a->items <= ECI_ANSWER_ITEMS_MAX;
}

/* What e imports. */
static void push_imports(struct eci_modcache *m, struct served *s, struct answer *a, const struct entry *e)
{
	struct eci_cbor c;
	for (size_t n = imports_of(e, &c); n && !c.bad; n--) {
		const char *name;
		size_t len;
		if (!eci_cbor_get_text(&c, &name, &len))
			return;
		struct entry *x = *find(m, name, len);
		if (x && !mark(s, x->number))
			push(a, x);
	}
}

static void serve(struct eci_modcache *m, struct entry *e, const struct eci_frame *f)
{
	struct answer a = {0};
	struct eci_buf b = ECI_BUF_NULL;
	struct served *s = served_by(m, f->src);
	(void)mark(s, e->number);
	push(&a, e);
	for (size_t i = 0; i < a.n && s; i++) {
		if (has_room(&a, a.todo[i])) {
			push_imports(m, s, &a, a.todo[i]);
			continue;
		}
		for (size_t n = i; n < a.n; n++)
			unmark(s, a.todo[n]->number);
		a.n = i;
	}
	eci_cbor_put_array(&b, a.n);
	for (size_t i = 0; i < a.n; i++)
		(void)eci_buf_append(&b, a.todo[i]->bytes, a.todo[i]->len);
	b.failed = b.failed || !a.n;
	(void)eci_router_send_buf(m->router, f->src, f->reply_to, 0, &b, m->now);
	eci_mem_free(a.todo);
}

static void finish(struct eci_modcache *m, struct waiting *first, const struct eci_answer *a)
{
	struct entry *e = *find(m, first->name, first->name_len);
	for (struct waiting **at = &m->waiting, *w; (w = *at) != NULL;) {
		bool its = !w->here && same(w->name, w->name_len, first->name, first->name_len);
		if (its && !a->dead && e)
			w->here = true;
		if (!its || w->here) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		eci_router_dead(m->router, &w->f, a->dead ? a->reason : "bad-body",
				a->dead ? a->evidence : "an answer without what was asked for", m->now);
		if (w != first)
			eci_mem_free(w);
	}
	if (!first->here)
		eci_mem_free(first);
	eci_modcache_turn(m, m->now);
}

static void on_answer(void *arg, const struct eci_answer *a)
{
	struct waiting *first = arg;
	struct eci_modcache *m = first->all;
	if (!a->dead && eci_cbor_check(a->f->body, a->f->len, ECI_CBOR_VALUE_ITEMS_MAX) == 0) {
		struct eci_cbor c = eci_cbor_open(a->f->body, a->f->len);
		for (size_t n = eci_cbor_get_array(&c); n && !c.bad; n--) {
			const uint8_t *p = c.p;
			if (eci_cbor_skip(&c))
				keep(m, p, (size_t)(c.p - p));
		}
	}
	finish(m, first, a);
}

/* Asks the parent for w and whoever comes after it. */
static bool ask(struct eci_modcache *m, struct waiting *w, const struct eci_frame *f)
{
	struct eci_link *up = eci_router_parent(m->router);
	if (!up)
		return false;
	uint32_t parent = eci_link_peer(up), slot = eci_slot_open(m->router, parent, ECI_SLOT_ONCE, on_answer, w);
	if (slot &&
	    eci_router_send(m->router, ECI_CALL, 0, parent, ECI_H_GET_MODULE, slot, f->body, f->len, m->now) == 0) {
		m->asked++;
		return true;
	}
	eci_slot_close(m->router, slot);
	return false;
}

/* here: what it asks for is here, and waits for room. */
static bool wait_for(struct eci_modcache *m, const struct eci_frame *f, const char *name, size_t n, bool here)
{
	struct waiting **end = &m->waiting, *w;
	uint32_t waits = 0;
	bool asked = here;
	for (; (w = *end) != NULL; end = &w->next) {
		waits += w->f.src == f->src;
		asked = asked || (!w->here && same(w->name, w->name_len, name, n));
	}
	if (waits >= ECI_MODULES_WAITED_MAX || (w = eci_mem_alloc(sizeof *w + n)) == NULL)
		return false;
	*w = (struct waiting){.all = m, .f = *f, .here = here, .name_len = n};
	memcpy(w->name, name, n);
	if (!asked && !ask(m, w, f)) {
		eci_mem_free(w);
		return false;
	}
	*end = w;
	return true;
}

/* What w waited for went while there was no room: others came after it. */
static void again(struct eci_modcache *m, const struct waiting *w)
{
	struct eci_buf b = ECI_BUF_NULL;
	struct eci_frame f = w->f;
	eci_cbor_put_array(&b, 1);
	eci_cbor_put_text(&b, w->name, w->name_len);
	f.body = eci_buf_data(&b);
	f.len = (uint32_t)eci_buf_len(&b);
	if (b.failed || !wait_for(m, &f, w->name, w->name_len, false))
		eci_router_dead(m->router, &f, "busy", "GET_MODULE", m->now);
	eci_buf_deinit(&b);
}

void eci_modcache_turn(struct eci_modcache *m, uint64_t now_ms)
{
	m->now = now_ms;
	for (struct waiting **at = &m->waiting, *w; (w = *at) != NULL;) {
		if (!w->here || (w->f.reply_to && eci_router_full(m->router, w->f.src))) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		struct entry *e = *find(m, w->name, w->name_len);
		if (e && w->f.reply_to)
			serve(m, e, &w->f);
		else if (w->f.reply_to)
			again(m, w);
		eci_mem_free(w);
	}
}

bool eci_modcache_deliver(struct eci_modcache *m, const struct eci_frame *f, uint64_t now_ms)
{
	struct eci_cbor c = eci_cbor_of(f);
	const char *name;
	size_t n;
	m->now = now_ms;
	if (!eci_cbor_get_array(&c))
		return false;
	/* Python 2 has names that are no text. And the question is passed on as it came. */
	if (!eci_cbor_get_text(&c, &name, &n) || n > ECI_MODULE_NAME_MAX || f->len > ECI_FRAME_BODY_MAX) {
		eci_router_dead(m->router, f, "bad-body", "no text of 255 bytes", now_ms);
		return true;
	}
	if (!f->reply_to)
		return true;
	struct entry *e = *find(m, name, n);
	if (e && !eci_router_full(m->router, f->src))
		serve(m, e, f);
	else if (!wait_for(m, f, name, n, e != NULL))
		eci_router_dead(m->router, f, "busy", "GET_MODULE", now_ms);
	return true;
}
