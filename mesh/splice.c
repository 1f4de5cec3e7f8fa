/* A stream joined to the program's descriptors: what `econtext connect` is for ssh's ProxyCommand.
 *
 * It is a future twice over: one of ours that opens the stream, and the program's, which is done when the far end has
 * ended and its bytes are written. The near end's END is carried through, but does not end it: a client that has said
 * all waits for its answer. Nor does the far end's: what the client has still to say would be lost without a word. Only
 * a terminal is not waited for, as whoever sits at it would have to end it by hand.
 */
#include "mesh/pump.h"
#include "mesh/secret.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct eci_splice {
	struct eci_pump pump;
	struct ectx_future *whose; /* the program's; NULL: it is done with it */
	struct ectx_future *opening;
	struct eci_address to;
};

static struct eci_splice *of(struct eci_pump *p)
{
	return (struct eci_splice *)(void *)p; /* its first member */
}

void eci_splice_free(struct eci_splice *s)
{
	if (s->whose)
		s->whose->splice = NULL;
	if (s->opening)
		eci_future_drop(s->opening);
	eci_pump_close(&s->pump, NULL);
	free(s->to.host);
	free(s);
}

static void ended(struct eci_pump *p)
{
	struct eci_splice *s = of(p);
	struct ectx_future *f = s->whose;
	struct eci_fail fail;
	bool lost = p->lost, here = p->here, good = !*p->why;
	eci_fail_set(&fail, ECTX_PHASE_CALL, lost ? ECTX_E_LOST_RUNNING : ECTX_E_OPEN_FAILED, "%s", p->why);
	if (here) { /* no hop's fault */
		fail.phase = ECTX_PHASE_NONE;
		fail.code = ECTX_E_SYSTEM;
	} else if (!lost) {
		(void)snprintf(fail.hint, sizeof fail.hint,
			       "it was connected; what it led to, or the exit, broke it off");
	}
	eci_splice_free(s);
	if (!f)
		return;
	if (good)
		eci_future_done(f);
	else
		eci_future_fail(f, &fail, here ? NULL : f->context);
}

static void open_done(struct ectx_future *o)
{
	struct eci_splice *s = o->user;
	struct ectx_future *f = s->whose;
	struct eci_stream *stream = o->error.status == ECTX_OK ? eci_open_take(o) : NULL;
	if (stream) {
		uint32_t peer = o->at->id;
		eci_future_drop(o);
		s->opening = NULL;
		if (s->pump.over) /* reset meanwhile: its end is on its way */
			eci_stream_free(stream, "cancelled", NULL, eci_now_ms());
		else
			eci_pump_start(&s->pump, stream, peer);
		return;
	}
	if (f) {
		f->error = o->error;
		o->error.detail = NULL;
	}
	eci_splice_free(s); /* and o */
	if (f)
		eci_future_done(f);
}

void eci_splice_run(struct ectx_future *f)
{
	struct eci_splice *s = f->splice;
	const struct eci_address *a = &s->to;
	s->opening = eci_open_start(f->context, a->port < 0 ? "unix" : "tcp", a->host, a->port, &eci_pump_ops, &s->pump,
				    open_done, f->timeout_ms == UINT64_MAX ? -1 : (long)f->timeout_ms);
	if (!s->opening) {
		eci_future_fail_code(f, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "", f->context);
		return;
	}
	s->opening->user = s;
	f->deadline_ms = UINT64_MAX;
}

/* The loop takes no word for it: what is no descriptor would end the program. */
static bool open_both(int in, int out, struct eci_fail *fail)
{
	if (fcntl(in, F_GETFD) >= 0 && fcntl(out, F_GETFD) >= 0)
		return true;
	eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT, "not an open descriptor: %d",
		     fcntl(in, F_GETFD) < 0 ? in : out);
	return false;
}

static ectx_future *refuse(ectx_future *f, struct eci_fail *fail, int in, int out)
{
	(void)close(in);
	if (out != in)
		(void)close(out);
	if (f) {
		eci_error_from(&f->error, fail, NULL);
		f->state = ECI_OP_DONE;
	}
	return f;
}

/* sshd, inetd and socat give a program one socket as its stdin and its stdout: to close a copy of it ends nothing, and
 * who waits at its other end for the far end's END would wait for ever. */
static bool one_socket(int in, int out)
{
	struct stat a, b;
	return in != out && fstat(in, &a) == 0 && fstat(out, &b) == 0 && S_ISSOCK(a.st_mode) && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

/* A terminal's descriptor that does not block and is ours, where the one that was given is shared and must stay as it
 * is; -1: there is none. The master's side of a pty is no such: opened anew it would be another pty. */
static int open_anew(int fd)
{
	char path[sizeof "/proc/self/fd/" + 12];
	int number;
	if (ioctl(fd, TIOCGPTN, &number) == 0)
		return -1;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

ectx_future *ectx_splice_start(ectx_context *c, const char *address, int in, int out, long timeout_ms)
{
	struct eci_fail fail = {.code = ECTX_E_NO_MEMORY};
	struct ectx_future *f = eci_future_new(c->mesh, c, ECI_OP_SPLICE, timeout_ms);
	struct eci_splice *s = f ? calloc(1, sizeof *s) : NULL;
	if (!s || eci_address_parse_to(&s->to, address, &fail) || !open_both(in, out, &fail) ||
	    !eci_secrets_resolve(c, &fail)) {
		if (s)
			free(s->to.host);
		free(s);
		return refuse(f, &fail, in, out);
	}
	if (one_socket(in, out)) {
		(void)close(out);
		out = in;
	}
	bool terminal = isatty(out) == 1;
	int anew = terminal ? open_anew(out) : -1;
	if (anew >= 0 && out != in)
		(void)close(out);
	out = anew >= 0 ? anew : out;
	eci_lock(c->mesh);
	struct eci_address to = s->to;
	eci_pump_init(&s->pump, c->mesh, in, out, true, ended);
	s->pump.far_ends_all = isatty(in) == 1;
	s->pump.bytewise = terminal && anew < 0;
	s->pump.wants_settled = true; /* the mesh, and with it the exit, may end right after */
	s->to = to;
	s->whose = f;
	f->splice = s;
	eci_future_begin(f);
	eci_unlock(c->mesh);
	return f;
}
