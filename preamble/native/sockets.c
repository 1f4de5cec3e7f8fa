/* OPEN: connections and listening sockets (docs/protocol.md section 9.1).
 *
 * A socket is CONNECTING (then the answer goes), OPEN (joined to its stream), LISTENING (its events go to a slot), or
 * ARRIVED (taken from the kernel, wanted by nobody yet). Invariant: of an OPEN one no more is read than its stream has
 * room for, and what came for it and the kernel does not take waits in `q`, which the window bounds; so whoever stops
 * reading, at either end, holds one window and disturbs nobody.
 *
 * What ends a connection only marks it (`gone`): it is closed in native_socks_watch(), so that nothing vanishes under a
 * loop or a callback. A reset closes with SO_LINGER 0, so that the peer sees one too; and so does whatever ends this
 * agent before the END for it was passed on, for a socket has that option from the start (one that is accepted: its
 * listener's). */
#include "preamble/native/sock.h"

#define ARRIVED_MAX 64u /* a listening socket */

struct sock *native_socks;
uint32_t native_socks_count;

struct sock *native_sock_new(enum state state, int fd, const struct eci_frame *f)
{
	struct sock *s = eci_mem_alloc(sizeof *s);
	if (!s)
		return NULL;
	*s = (struct sock){.next = native_socks, .state = state, .fd = fd, .at = -1};
	if (f) {
		s->src = f->src;
		s->slot = f->reply_to;
	}
	native_socks = s;
	native_socks_count += state != ARRIVED;
	return s;
}

static void remove_file(struct sock *s)
{
	if (s->file)
		(void)SYS3(NR_unlinkat, -100, s->address.bytes + 2, 0);
	s->file = false;
}

void native_socks_end(void)
{
	for (struct sock *s = native_socks; s; s = s->next)
		remove_file(s);
}

void native_sock_abort(struct sock *s, int on)
{
	int now[2] = {on, 0};
	(void)SYS5(NR_setsockopt, s->fd, SOL_SOCKET, SO_LINGER, now, sizeof now);
}

static void close_it(struct sock *s)
{
	if (s->reset)
		native_sock_abort(s, 1);
	native_close(&s->fd);
	eci_stream_free(s->stream, "cancelled", NULL, native.now);
	if (s->near)
		eci_slot_close(native.router, s->near);
	if (s->state == ARRIVED)
		s->listener->number--;
	if (s->state == LISTENING) {
		for (struct sock *x = native_socks; x; x = x->next)
			if (x->listener == s)
				x->gone = true;
	}
	remove_file(s);
	eci_buf_deinit(&s->q);
	native_socks_count -= s->state != ARRIVED;
	eci_mem_free(s);
}

/* What is over goes; ARRIVED ones before their listener. */
static void sweep(void)
{
	for (int listeners = 0; listeners < 2; listeners++)
		for (struct sock **at = &native_socks, *s; (s = *at) != NULL;) {
			bool done = s->state == OPEN && s->in_over && s->out_over && !s->reset;
			if (s->state == ARRIVED && s->listener->gone)
				s->gone = true;
			if ((s->gone || done) && (s->state == LISTENING) == (listeners == 1)) {
				*at = s->next;
				close_it(s);
			} else {
				at = &s->next;
			}
		}
}

static short events_of(struct sock *s)
{
	if (s->state == CONNECTING)
		return s->number ? 0 : SYS_POLLOUT;
	if (s->state == LISTENING)
		return s->number < ARRIVED_MAX && !s->until ? SYS_POLLIN : 0;
	if (s->state == ARRIVED)
		return 0;
	bool room = !s->in_over && eci_stream_room(s->stream);
	/* One that takes no more is ready at once, to be heard out. */
	return (short)((room ? SYS_POLLIN : 0) | (eci_buf_len(&s->q) || (room && s->failed) ? SYS_POLLOUT : 0));
}

void native_socks_watch(uint64_t *until)
{
	sweep();
	for (struct sock *s = native_socks; s; s = s->next) {
		short events = events_of(s);
		s->at = events ? native.npoll : -1;
		if (events)
			native_watch(s->fd, events);
		uint64_t at = s->state != OPEN ? s->until : s->reset ? native.now + NATIVE_FULL : 0;
		if (at && at < *until)
			*until = at;
	}
}

static void serve(struct sock *s, bool ready)
{
	bool late = s->until && native.now >= s->until;
	if (s->state == CONNECTING && ready)
		native_sock_connected(s);
	else if (s->state == CONNECTING && late && s->number)
		native_sock_connect(s);
	else if (s->state == CONNECTING && late)
		native_sock_bad(s, ETIMEDOUT);
	else if (s->state == LISTENING && ready)
		native_sock_came(s);
	else if (s->state == LISTENING && late)
		s->until = 0;
	else if ((s->state == ARRIVED || s->reset) && late)
		s->gone = true;
	if (s->state != OPEN || (!ready && !s->reset) || s->gone || !s->stream)
		return;
	native_sock_flush(s);
	if (!s->gone && !s->in_over)
		native_sock_take(s);
}

void native_socks_serve(void)
{
	for (struct sock *s = native_socks; s; s = s->next) /* what is new stands before the first */
		if (!s->gone)
			serve(s, s->at >= 0 && native.poll[s->at].revents);
}
