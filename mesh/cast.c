/* Casting: one stream of bytes to the channels of several contexts, once over each link.
 *
 * The bytes go to a group, so that routers copy them where the ways part; credit comes from each member for itself, and
 * is counted in its own stream. Invariant: nothing is sent that one of those who are in has no room for. So the slowest
 * sets the pace, up to a point: one that has no room for ECI_CAST_PATIENCE_MS while another does leaves the group
 * (GROUP again, without it), and the others go on; what it missed is its caller's to send.
 *
 * Where none has room the way that they share is slow, and nobody is behind: credit comes in quarters of a window, so
 * one second of a link of 64 KiB/s lies between two. What the first of them had to wait the others may as well, from
 * when it has room: theirs come over other ways, one after the other.
 *
 * Windows are widened as those of other streams (router/stream.c), but to ECI_CAST_WINDOW_MAX at most: that is what a
 * router may have to hold for a member that stops. What goes to a group heeds no PAUSE (router/pause.c), or it would
 * stand still for all, all would use up their credit, and none could be told to leave. */
#include "mesh/copy.h"

#include <stdlib.h>
#include <time.h>

_Static_assert(ECI_CAST_WIDENED_MAX + ECI_STREAM_WINDOW * ECI_GROUPS_MAX <= ECI_GROUPS_BYTES,
	       "or a relay is too small");

uint32_t eci_cast_gid(ectx_mesh *m)
{
	return ++m->last_gid & 0x3FFFFFFFu;
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = ((const struct eci_interval *)a)->lo, y = ((const struct eci_interval *)b)->lo;
	return x < y ? -1 : x > y;
}

/* Tells the routers who is in. The lock is held. */
static int announce(struct eci_cast *c)
{
	struct eci_interval *iv = calloc(c->n, sizeof *iv);
	size_t n = 0;
	for (size_t i = 0; iv && i < c->n; i++)
		if (c->v[i].in)
			iv[n++] = (struct eci_interval){c->v[i].id, c->v[i].id};
	int r = -1;
	if (iv) {
		qsort(iv, n, sizeof *iv, by_id);
		r = eci_router_group(c->mesh->router, c->gid, iv, n, eci_now_ms());
	}
	free(iv);
	return r;
}

/* Each is its caller's to send to. */
static void none_is_in(struct eci_cast *c)
{
	for (size_t i = 0; i < c->n; i++)
		c->v[i].in = false;
	c->ins = 0;
}

/* The same as announce(); where that fails nobody is in. */
static int announce_or_none(struct eci_cast *c)
{
	int r = c->ins ? announce(c) : 0;
	if (r)
		none_is_in(c);
	return r;
}

static void on_room(ectx_stream *x)
{
	(void)pthread_cond_signal(x->user_cond);
}

int eci_cast_init(struct eci_cast *c, ectx_mesh *m, uint32_t gid, struct eci_cast_member *v, size_t n)
{
	*c = (struct eci_cast){.mesh = m, .gid = gid, .v = v, .n = n, .window = ECI_STREAM_WINDOW};
	eci_cond_init(&c->room);
	eci_lock(m);
	for (size_t i = 0; i < n; i++) {
		v[i].in = !v[i].x->dead && v[i].x->s;
		v[i].x->user_cond = &c->room;
		v[i].x->has_room = on_room;
		c->ins += v[i].in;
	}
	int r = announce_or_none(c);
	eci_unlock(m);
	return r ? -1 : 0;
}

/* It has room again, after it had none. If nothing waits here, its window is too small, and it is asked for as much
 * again: in front of what is sent next, as one says no while it has much to take. */
static void ask(struct eci_cast *c, const struct eci_cast_member *v)
{
	ectx_mesh *m = c->mesh;
	uint32_t wide = 2 * eci_stream_far_window(v->x->s);
	uint32_t more = wide > c->window ? wide - c->window : 0;
	if (wide > ECI_CAST_WINDOW_MAX || m->cast_widened + more > ECI_CAST_WIDENED_MAX ||
	    !eci_router_group_gone(m->router, c->gid, ECI_CAST_HANDLE(c->gid)))
		return;
	m->cast_widened += more;
	c->window += more;
	(void)eci_stream_send(v->x->s, NULL, 0, eci_now_ms());
}

/* Those who are in and have no room for n; the dead leave. */
static size_t dry(struct eci_cast *c, size_t n, bool leave)
{
	size_t count = 0, before = c->ins;
	for (size_t i = 0; i < c->n; i++) {
		struct eci_cast_member *v = &c->v[i];
		bool dead = v->x->dead || !v->x->s;
		if (!v->in)
			continue;
		bool room = !dead && eci_stream_room(v->x->s) >= n;
		if (room && v->dry)
			ask(c, v);
		v->dry = !room;
		if (room)
			continue;
		if (dead || leave) {
			v->in = false;
			c->ins--;
		} else {
			eci_stream_want(v->x->s);
			count++;
		}
	}
	if (c->ins != before)
		(void)announce_or_none(c);
	return count;
}

void eci_cast_leave(struct eci_cast *c, size_t i)
{
	eci_lock(c->mesh);
	c->v[i].in = false;
	c->ins--;
	(void)announce_or_none(c);
	eci_unlock(c->mesh);
}

void eci_cast_forget(struct eci_cast *c, size_t i)
{
	eci_lock(c->mesh); /* its credit may come at this moment */
	c->v[i].x->has_room = NULL;
	eci_unlock(c->mesh);
	c->v[i] = c->v[--c->n];
}

static void send_all(struct eci_cast *c, uint8_t flags, const uint8_t *p, size_t n)
{
	int r = eci_router_send(c->mesh->router, ECI_BULK, flags | ECI_F_MULTICAST, c->gid, ECI_CAST_HANDLE(c->gid),
				ECI_CAST_HANDLE(c->gid), p, n, eci_now_ms());
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].in && c->v[i].x->s)
			eci_stream_spent(c->v[i].x->s, n);
	if (r)
		none_is_in(c); /* bytes are missing: nobody can go on */
}

/* Credit comes in quarters of the first window, and of a wide one in eighths: what takes longer is waited for longer.
 */
static uint64_t patience(const struct eci_cast *c)
{
	uint32_t times = c->window / 8 / (ECI_STREAM_WINDOW / 4);
	return (times ? times : 1) * ECI_CAST_PATIENCE_MS;
}

/* When those who have no room leave, as some do and others do not; 0: none has, or all have. */
static uint64_t patience_ends(struct eci_cast *c, size_t waiting, uint64_t now)
{
	if (!waiting)
		c->dry_since = 0;
	else if (!c->dry_since)
		c->dry_since = now;
	if (!waiting || waiting == c->ins)
		c->behind_since = 0;
	else if (!c->behind_since)
		c->behind_since = now;
	if (!c->behind_since)
		return 0;
	uint64_t together = c->behind_since - c->dry_since;
	return c->behind_since + (together > patience(c) ? together : patience(c));
}

int eci_cast_write(struct eci_cast *c, const uint8_t *p, size_t n, unsigned wait_ms)
{
	uint64_t now = eci_now_ms(), until = now + wait_ms;
	eci_lock(c->mesh);
	size_t waiting;
	for (;;) {
		waiting = dry(c, n, false);
		uint64_t ends = patience_ends(c, waiting, now);
		if (ends && now >= ends) {
			waiting = dry(c, n, true);
			c->dry_since = c->behind_since = 0;
		}
		if (!waiting || now >= until)
			break;
		(void)eci_mesh_sleep(c->mesh, &c->room, ends && ends < until ? ends : until);
		now = eci_now_ms();
	}
	int r = !c->ins ? -1 : waiting ? 0 : 1;
	if (r == 1)
		send_all(c, 0, p, n);
	r = c->ins ? r : -1;
	eci_unlock(c->mesh);
	return r;
}

void eci_cast_end(struct eci_cast *c)
{
	eci_lock(c->mesh);
	(void)dry(c, 0, false);
	if (c->ins)
		send_all(c, ECI_F_END, NULL, 0);
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].in && c->v[i].x->s)
			eci_stream_ended_elsewhere(c->v[i].x->s);
	eci_unlock(c->mesh);
}

void eci_cast_deinit(struct eci_cast *c)
{
	eci_lock(c->mesh);
	for (size_t i = 0; i < c->n; i++)
		c->v[i].x->has_room = NULL;
	eci_router_ungroup(c->mesh->router, c->gid, eci_now_ms());
	c->mesh->cast_widened -= c->window - ECI_STREAM_WINDOW;
	eci_unlock(c->mesh);
	(void)pthread_cond_destroy(&c->room);
}
