/* Flushing carriers: what goes to the processes under the master's links.
 *
 * Writing is tried at once by whoever queued something, the thread of a caller included (eci_unlock() flushes): a call
 * need not wait for the loop's thread. Only what the kernel does not take waits for the loop's write watcher. */
#include "mesh/carrier.h"

#include <errno.h>
#include <unistd.h>

void eci_carrier_dirty(struct eci_carrier *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	c->dirty_next = c->mesh->dirty;
	c->mesh->dirty = c;
}

static ssize_t put(struct eci_carrier *c, int fd, const uint8_t *p, size_t n)
{
	ssize_t w;
	do
		w = write(fd, p, n);
	while (w < 0 && errno == EINTR);
	if (w < 0 && errno == EPIPE)
		c->mesh->sigpipe = true;
	return w;
}

/* Writes a queue out. True: it is empty. */
static bool flush_queue(struct eci_carrier *c, struct eci_buf *q, int fd, uint64_t now)
{
	while (eci_buf_len(q)) {
		ssize_t n = fd < 0 ? -1 : put(c, fd, eci_buf_data(q), eci_buf_len(q));
		if (n < 0 && fd >= 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return false;
		if (n < 0) /* nobody reads any more: its end is on its way, and says more than EPIPE does */
			n = (ssize_t)eci_buf_len(q);
		eci_buf_drain(q, (size_t)n);
		eci_spawn_written(c->spawn, (size_t)n, now);
	}
	return true;
}

static bool flush_link(struct eci_carrier *c, uint64_t now)
{
	const uint8_t *p;
	size_t n;
	while (c->link && !c->in_dead && (n = eci_link_output(c->link, &p, ECI_PIECE_MAX)) > 0) {
		ssize_t w = put(c, c->proc.in, p, n);
		if (w < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			eci_proc_widen(c->proc.in);
			return false;
		}
		if (w < 0) { /* its end is on its way; if not, it is ended */
			c->in_dead = true;
			eci_carrier_grace(c, ECI_END_GRACE_S);
			break;
		}
		eci_link_wrote(c->link, (size_t)w, now);
	}
	return true;
}

static void flush(struct eci_carrier *c, bool in_loop)
{
	uint64_t now = eci_now_ms();
	struct ev_loop *loop = c->mesh->loop;
	bool tty_empty = flush_queue(c, &c->tty_q, c->proc.tty, now);
	bool in_empty = flush_queue(c, &c->in_q, c->proc.in, now) && flush_link(c, now);
	if (in_empty && c->stdin_done && c->proc.in >= 0)
		eci_carrier_close_stdin(c);
	if (!in_empty && !ev_is_active(&c->in_w)) {
		ev_io_start(loop, &c->in_w);
		if (!in_loop)
			eci_mesh_wake(c->mesh);
	} else if (in_empty && ev_is_active(&c->in_w)) {
		ev_io_stop(loop, &c->in_w);
	}
	if (!tty_empty)
		ev_io_start(loop, &c->tty_w);
	else if (ev_is_active(&c->tty_w))
		ev_io_stop(loop, &c->tty_w);
}

void eci_carriers_flush(ectx_mesh *m, bool in_loop)
{
	while (m->dirty) {
		struct eci_carrier *c = m->dirty;
		m->dirty = c->dirty_next;
		c->is_dirty = false;
		flush(c, in_loop);
	}
}
