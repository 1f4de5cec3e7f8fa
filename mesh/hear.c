/* Hearing carriers: what comes out of the processes under the master's links.
 *
 * Reading a link is the loop's work, but a caller that waits for an answer from it borrows it: the answer then wakes
 * that caller and nobody before it (wait.c). Hence the descriptors of links are in an epoll set of their own, which
 * libev watches as one: a member is taken out and put back by epoll_ctl(2) at once from any thread, while a change of
 * an ev_io would need the loop to wake for it. What is no link yet, and stderr and terminals, libev watches one by one.
 *
 * Invariant: out_is says who reads stdout, and it is one of the loop, the set, or the borrower. */
#include "mesh/carrier.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Of links, before the loop looks at its other descriptors: a heartbeat of each of many, but not bulk for ever. */
#define LINKS_TURN 1024u         /* reads */
#define BYTES_TURN (1024 * 1024) /* bytes */
#define READ_MAX 65536u          /* a pipe's worth */

void eci_carrier_check_end(struct eci_carrier *c)
{
	if (!c->exited || c->proc.out >= 0 || c->proc.err >= 0 || c->proc.tty >= 0)
		return;
	eci_spawn_exited(c->spawn, c->wait_status, eci_now_ms()); /* frees c */
}

/* A borrower is told that it has nothing to read any more. */
static void take_back(struct eci_carrier *c)
{
	struct eci_waiter *w = c->borrower;
	c->borrower = NULL;
	w->carrier = NULL;
	eci_waiter_wake(w);
}

void eci_carrier_hear(struct eci_carrier *c, bool on)
{
	ectx_mesh *m = c->mesh;
	if (c->out_is == BORROWED)
		take_back(c);
	else if (c->out_is == BY_LINKS)
		(void)epoll_ctl(m->links_fd, EPOLL_CTL_DEL, c->proc.out, NULL);
	else
		ev_io_stop(m->loop, &c->out);
	c->out_is = DEAF;
	if (!on || c->proc.out < 0)
		return;
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
	if (c->link && epoll_ctl(m->links_fd, EPOLL_CTL_ADD, c->proc.out, &e) == 0) {
		c->out_is = BY_LINKS;
	} else {
		ev_io_start(m->loop, &c->out);
		c->out_is = BY_LOOP;
	}
}

void eci_carrier_eof(struct eci_carrier *c, ev_io *w, int *fd)
{
	if (w == &c->out)
		eci_carrier_hear(c, false);
	else
		ev_io_stop(c->mesh->loop, w);
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	if (w == &c->out && c->link) /* a link ends with its carrier's output: do not wait for a process that lingers */
		eci_carrier_close_stdin(c);
	if (w == &c->out)
		eci_carrier_grace(c, c->link ? ECI_END_GRACE_S : ECI_END_GRACE_S * 8);
}

static void feed(struct eci_carrier *c, size_t n, uint64_t now)
{
	if (n > READ_MAX / 2 && !c->wide) {
		c->wide = true;
		eci_proc_widen(c->proc.out);
	}
	eci_spawn_hears(c->spawn, c->mesh->read_buf, n, now);
	eci_link_feed(c->link, c->mesh->read_buf, n, now);
}

/* Returns how many bytes there were. */
static size_t hear(ev_io *w)
{
	struct eci_carrier *c = w->data;
	int which = w == &c->out ? 1 : w == &c->err ? 2 : 3;
	int *fd = which == 1 ? &c->proc.out : which == 2 ? &c->proc.err : &c->proc.tty;
	ssize_t n = read(*fd, c->mesh->read_buf, which == 1 && c->link ? ECI_READ_BUF : READ_MAX);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) { /* a pty says EIO when its last user is gone */
		eci_carrier_eof(c, w, fd);
		eci_carrier_check_end(c);
		return 0;
	}
	uint64_t now = eci_now_ms();
	if (which == 1 && c->link)
		feed(c, (size_t)n, now);
	else
		eci_spawn_output(c->spawn, which, c->mesh->read_buf, (size_t)n, now);
	return (size_t)n;
}

void eci_carrier_readable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	(void)hear(w);
}

bool eci_links_turn_over(unsigned reads, size_t bytes)
{
	return reads >= LINKS_TURN || bytes >= BYTES_TURN;
}

/* One at a time: what is read may free another. */
static void on_links(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	ectx_mesh *m = w->data;
	struct epoll_event e;
	size_t bytes = 0;
	for (unsigned i = 0; !eci_links_turn_over(i, bytes) && epoll_wait(m->links_fd, &e, 1, 0) == 1; i++)
		bytes += hear(&((struct eci_carrier *)e.data.ptr)->out);
}

int eci_links_open(ectx_mesh *m)
{
	m->links_fd = epoll_create1(EPOLL_CLOEXEC);
	if (m->links_fd < 0)
		return -1;
	ev_io_init(&m->links_w, on_links, m->links_fd, EV_READ);
	m->links_w.data = m;
	ev_io_start(m->loop, &m->links_w);
	return 0;
}

/* ---- borrowing ---- */

int eci_carrier_borrow(ectx_mesh *m, uint32_t id, struct eci_waiter *w)
{
	struct eci_link *link = eci_router_link_to(m->router, id);
	struct eci_carrier *c = link ? eci_spawn_proc(eci_link_user(link)) : NULL;
	if (!c || c->link != link || c->out_is != BY_LINKS)
		return -1;
	(void)epoll_ctl(m->links_fd, EPOLL_CTL_DEL, c->proc.out, NULL);
	c->out_is = BORROWED;
	c->borrower = w;
	w->carrier = c;
	return c->proc.out;
}

void eci_carrier_read(struct eci_carrier *c)
{
	ectx_mesh *m = c->mesh;
	ssize_t n = read(c->proc.out, m->read_buf, ECI_READ_BUF);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* its end is the loop's to see */
		eci_carrier_hear(c, true);
		return;
	}
	uint64_t now = eci_now_ms();
	feed(c, (size_t)n, now);
	if (m->work || m->booting || eci_router_tick(m->router, now) < m->wake_at_ms)
		eci_mesh_wake(m);
}

void eci_carrier_return(struct eci_carrier *c)
{
	c->borrower = NULL;
	c->out_is = DEAF;
	eci_carrier_hear(c, true);
	if (c->out_is == BY_LOOP)
		eci_mesh_wake(c->mesh);
}
