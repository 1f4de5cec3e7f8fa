/* The processes of conformance_host: what mesh/carrier.c is for the master, with poll(2).
 *
 * The end of a process is reported when it is reaped and its pipes are at their end, or a grace later: a grandchild may
 * hold them. A link ends with the carrier's output, so a process that only closed stdout gets the same grace and is
 * killed then. */
#include "host.h"

#include "io/proc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GRACE_MS 250u
#define REAP_MS 10u

enum { OUT = 1, ERR, TTY, IN, TTY_IN, PID };

struct host_child {
	struct host *host;
	struct eci_spawn *spawn;
	struct eci_proc proc;
	struct eci_link *link;
	struct eci_buf in_q, tty_q;
	bool paused, exited, stdin_done, blocked;
	int status;
	uint64_t end_at; /* when the grace is over; 0 none */
	struct host_child *next;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static void *start(void *ctx, struct eci_spawn *s, const char *const *argv, const char *const *env, int mode, int *err,
		   int *pid)
{
	struct host *h = ctx;
	struct host_child *c = calloc(1, sizeof *c);
	*err = ENOMEM;
	if (!c)
		return NULL;
	c->host = h;
	c->spawn = s;
	*err = eci_proc_start(&c->proc, argv, env, (unsigned)mode);
	if (*err) {
		free(c);
		return NULL;
	}
	*pid = c->proc.pid;
	c->next = h->children;
	h->children = c;
	return c;
}

static void put(void *ctx, void *proc, bool tty, const uint8_t *p, size_t n)
{
	struct host_child *c = proc;
	(void)ctx;
	(void)eci_buf_append(tty ? &c->tty_q : &c->in_q, p, n);
}

static void close_stdin(void *ctx, void *proc)
{
	struct host_child *c = proc;
	(void)ctx;
	c->stdin_done = true;
}

static void pause_child(void *ctx, void *proc, bool on)
{
	struct host_child *c = proc;
	(void)ctx;
	c->paused = on;
}

static void kill_child(void *ctx, void *proc)
{
	struct host_child *c = proc;
	(void)ctx;
	if (!c->exited)
		eci_proc_kill(&c->proc);
}

static void attach(void *ctx, void *proc, struct eci_link *link)
{
	struct host_child *c = proc;
	(void)ctx;
	c->link = link;
	c->paused = false;
}

static void free_child(void *ctx, void *proc)
{
	struct host *h = ctx;
	struct host_child *c = proc;
	struct host_child **at = &h->children;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	eci_proc_close(&c->proc);
	eci_buf_deinit(&c->in_q);
	eci_buf_deinit(&c->tty_q);
	free(c);
}

static const char *explain(void *ctx, int err)
{
	(void)ctx;
	return strerror(err);
}

const struct eci_spawn_host host_children = {.start = start,
					     .write = put,
					     .close_stdin = close_stdin,
					     .pause = pause_child,
					     .kill = kill_child,
					     .attach = attach,
					     .free = free_child,
					     .explain = explain};

/* True: there is no more to write. What nobody reads any more counts as written. */
static bool flush_queue(struct host_child *c, struct eci_buf *q, int fd)
{
	while (eci_buf_len(q)) {
		ssize_t n = fd < 0 ? -1 : write(fd, eci_buf_data(q), eci_buf_len(q));
		if (n < 0 && fd >= 0 && errno == EAGAIN)
			return false;
		if (n < 0)
			n = (ssize_t)eci_buf_len(q);
		eci_buf_drain(q, (size_t)n);
		eci_spawn_written(c->spawn, (size_t)n, host_now());
	}
	return true;
}

static bool flush_link(struct host_child *c)
{
	const uint8_t *p;
	size_t n;
	while (c->link && c->proc.in >= 0 && (n = eci_link_output(c->link, &p, 65536)) > 0) {
		ssize_t w = write(c->proc.in, p, n);
		if (w < 0 && errno == EAGAIN)
			return false;
		if (w < 0) {
			close_fd(&c->proc.in);
			if (!c->exited)
				c->end_at = host_now() + GRACE_MS;
			break;
		}
		eci_link_wrote(c->link, (size_t)w, host_now());
	}
	return true;
}

void host_children_flush(struct host *h)
{
	for (struct host_child *c = h->children; c; c = c->next) {
		bool done = flush_queue(c, &c->in_q, c->proc.in) && flush_link(c);
		c->blocked = !done;
		(void)flush_queue(c, &c->tty_q, c->proc.tty);
		if (done && c->stdin_done && c->proc.in != c->proc.out)
			close_fd(&c->proc.in);
	}
}

static void watch(struct host *h, struct host_child *c, int which, int fd, short events)
{
	if (fd < 0 || h->npoll == HOST_POLL_MAX)
		return;
	h->whose[h->npoll].child = c;
	h->whose[h->npoll].which = which;
	h->poll[h->npoll++] = (struct pollfd){.fd = fd, .events = events};
}

void host_children_watch(struct host *h, uint64_t *until)
{
	for (struct host_child *c = h->children; c; c = c->next) {
		if (!c->paused) {
			watch(h, c, OUT, c->proc.out, POLLIN);
			watch(h, c, ERR, c->proc.err, POLLIN);
			watch(h, c, TTY, c->proc.tty, POLLIN);
		}
		if (c->blocked)
			watch(h, c, IN, c->proc.in, POLLOUT);
		if (eci_buf_len(&c->tty_q))
			watch(h, c, TTY_IN, c->proc.tty, POLLOUT);
		if (!c->exited)
			watch(h, c, PID, c->proc.pidfd, POLLIN);
		uint64_t at = c->end_at;
		if (!c->exited && c->proc.pidfd < 0)
			at = host_now() + REAP_MS;
		if (at && at < *until)
			*until = at;
	}
}

static void take(struct host_child *c, int which)
{
	static uint8_t buf[65536];
	int *fd = which == OUT ? &c->proc.out : which == ERR ? &c->proc.err : &c->proc.tty;
	if (*fd < 0)
		return;
	ssize_t n = read(*fd, buf, sizeof buf);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (which == OUT && c->proc.in == *fd)
			c->proc.in = -1;
		close_fd(fd);
		if (which == OUT && c->link)
			close_fd(&c->proc.in);
		if (which == OUT && !c->exited)
			c->end_at = host_now() + (c->link ? GRACE_MS : GRACE_MS * 8);
		return;
	}
	if (which == OUT && c->link) {
		eci_spawn_hears(c->spawn, buf, (size_t)n, host_now());
		eci_link_feed(c->link, buf, (size_t)n, host_now());
	} else {
		eci_spawn_output(c->spawn, which, buf, (size_t)n, host_now());
	}
}

static void settle(struct host_child *c)
{
	uint64_t now = host_now();
	if (!c->exited && eci_proc_reap(&c->proc, &c->status)) {
		c->exited = true;
		c->end_at = now + GRACE_MS;
		c->paused = false;
	} else if (!c->exited && c->end_at && now >= c->end_at) {
		eci_proc_kill(&c->proc);
		c->end_at = now + GRACE_MS;
	}
	bool ended = c->proc.out < 0 && c->proc.err < 0 && c->proc.tty < 0;
	if (c->exited && (ended || now >= c->end_at))
		eci_spawn_exited(c->spawn, c->status, now); /* frees c */
}

void host_children_serve(struct host *h)
{
	for (nfds_t i = 2; i < h->npoll; i++)
		if (h->poll[i].revents && h->whose[i].which <= TTY)
			take(h->whose[i].child, h->whose[i].which);
	for (struct host_child *c = h->children, *next; c; c = next) {
		next = c->next;
		settle(c);
	}
}

void host_children_kill(struct host *h)
{
	for (struct host_child *c = h->children; c; c = c->next) {
		eci_proc_kill(&c->proc);
		for (int i = 0; i < 1000 && !c->exited && !eci_proc_reap(&c->proc, &c->status); i++)
			(void)usleep(1000);
	}
}
