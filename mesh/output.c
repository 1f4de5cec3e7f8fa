/* The streams of exec and run: stdout and stderr, which become events (or go to who runs a command of our own,
 * command.c), and stdin, which is stdout's other direction.
 *
 * Output is held by credit: an event's bytes are given back when the program frees it, so a program that takes no
 * events stops the command at its pipe. Input is held by credit too: ectx_future_write() waits for room, and never
 * queues more than the other end said it has. The future is done when it was answered and both outputs are at their
 * end; then the streams go, and who waits to write is told. */
#include "mesh/command.h"
#include "mesh/event.h"

#include <stdio.h>
#include <string.h>

#define END_OF_FILE 4 /* what termios(3) calls VEOF, as terminals are made */

static void closed(struct ectx_future *f)
{
	if (f->answered && !f->out_open && !f->err_open)
		eci_future_done(f);
}

static void on_out(void *arg, const uint8_t *p, size_t n)
{
	struct ectx_future *f = arg;
	eci_event_output(f, 1, eci_stream_handle(f->out), p, n);
}

static void on_err(void *arg, const uint8_t *p, size_t n)
{
	struct ectx_future *f = arg;
	eci_event_output(f, 2, eci_stream_handle(f->err), p, n);
}

/* More came than was granted, or data behind the end, or there was no room for some of it there or on the way: what is
 * between is not known, and no success. A command of our own has its own ways to tell. True: f is done. */
static bool cut(struct ectx_future *f, bool open, const struct eci_answer *a)
{
	bool broke = strcmp(a->reason, "bad-credit") == 0;
	if (!open || f->command || (!broke && strcmp(a->reason, "reset") != 0 && strcmp(a->reason, "busy") != 0))
		return false;
	char saw[200];
	(void)snprintf(saw, sizeof saw, "its output was cut: %s: %.150s", a->reason, a->evidence);
	eci_future_fail_code(f, ECTX_PHASE_CALL, broke ? ECTX_E_PROTOCOL : ECTX_E_BUSY, saw, f->context);
	return true;
}

static void out_ended(void *arg)
{
	struct ectx_future *f = arg;
	f->out_open = false;
	closed(f);
}

static void err_ended(void *arg)
{
	struct ectx_future *f = arg;
	f->err_open = false;
	closed(f);
}

static void out_room(void *arg)
{
	struct ectx_future *f = arg;
	eci_outputs_end_input(f);
	eci_future_rouse(f);
	if (f->input_wanted && f->state != ECI_OP_DONE)
		eci_event_input(f);
	f->input_wanted = false;
}

static void out_dead(void *arg, const struct eci_answer *a)
{
	struct ectx_future *f = arg;
	if (cut(f, f->out_open, a))
		return;
	eci_future_rouse(arg);
	out_ended(arg);
}

static void err_dead(void *arg, const struct eci_answer *a)
{
	struct ectx_future *f = arg;
	if (!cut(f, f->err_open, a))
		err_ended(arg);
}

static const struct eci_stream_ops out_ops = {.data = on_out, .ended = out_ended, .room = out_room, .dead = out_dead};
static const struct eci_stream_ops err_ops = {.data = on_err, .ended = err_ended, .dead = err_dead};

/* ---- of a command of our own ---- */

static void own_out(void *arg, const uint8_t *p, size_t n)
{
	const struct ectx_future *f = arg;
	eci_command_stdout(f->command, f->out, p, n);
}

static void own_err(void *arg, const uint8_t *p, size_t n)
{
	struct ectx_future *f = arg;
	eci_command_stderr(f->command, p, n);
	eci_stream_took(f->err, n, eci_now_ms());
}

static void own_ended(void *arg)
{
	const struct ectx_future *f = arg;
	eci_outside_ops.ended(f->command->io);
	out_ended(arg);
}

static void own_room(void *arg)
{
	const struct ectx_future *f = arg;
	eci_outside_ops.room(f->command->io);
}

static void own_dead(void *arg, const struct eci_answer *a)
{
	const struct ectx_future *f = arg;
	eci_outside_ops.dead(f->command->io, a);
	out_ended(arg);
}

static const struct eci_stream_ops own_out_ops = {
	.data = own_out, .ended = own_ended, .room = own_room, .dead = own_dead};
static const struct eci_stream_ops own_err_ops = {.data = own_err, .ended = err_ended, .dead = err_dead};

bool eci_outputs_open(struct ectx_future *f)
{
	bool own = f->command != NULL;
	f->out = eci_stream_new(f->mesh->router, f->at->id, 0, own ? &own_out_ops : &out_ops, f);
	f->err = eci_stream_new(f->mesh->router, f->at->id, 0, own ? &own_err_ops : &err_ops, f);
	f->out_open = f->out != NULL;
	f->err_open = f->err != NULL;
	if (own && f->out)
		eci_command_joined(f->command, f->out);
	return f->out && f->err;
}

void eci_outputs_close(struct ectx_future *f)
{
	uint64_t now = eci_now_ms();
	if (f->command)
		eci_command_joined(f->command, NULL);
	/* What is at its end over there, its input included: the command has ended, and waits for nothing else. */
	if (f->out && !f->out_open && (f->input || f->input_ended))
		(void)eci_stream_end(f->out, now);
	eci_stream_free(f->out, f->out_open ? "cancelled" : NULL, NULL, now);
	eci_stream_free(f->err, f->err_open ? "cancelled" : NULL, NULL, now);
	f->out = f->err = NULL;
	f->out_open = f->err_open = false;
}

/* ---- stdin ---- */

/* There is no memory for it. What the command has so far must not pass for all of it, nor may it wait for more. */
static long cannot_write(struct ectx_future *f)
{
	eci_future_fail_code(f, ECTX_PHASE_CALL, ECTX_E_NO_MEMORY, "its input", f->context);
	return -1;
}

/* As ectx_future_write(), of what there is room for. */
static long write_some(struct ectx_future *f, const char *p, size_t n)
{
	if (!n && (f->state == ECI_OP_DONE || !f->input))
		return -1;
	if (!n) {
		f->input_wanted = eci_event_want_input(f);
		return f->input_wanted ? 0 : cannot_write(f);
	}
	int r = eci_stream_send(f->out, p, n, eci_now_ms());
	if (r)
		return r == ECI_R_NO_ROUTE ? -1 : cannot_write(f); /* without a way there will be a loss */
	f->line_open = f->terminal && p[n - 1] != '\n' && p[n - 1] != '\r' && p[n - 1] != END_OF_FILE;
	return (long)n;
}

long ectx_future_write(ectx_future *f, const void *p, size_t n, long timeout_ms)
{
	long taken = -1;
	eci_lock(f->mesh);
	if (f->input && !n) {
		taken = f->state == ECI_OP_DONE ? -1 : 0;
	} else if (f->input) {
		size_t room = eci_future_wait_room(f, timeout_ms);
		taken = write_some(f, p, n < room ? n : room);
	}
	eci_unlock(f->mesh);
	return taken;
}

void ectx_future_end_input(ectx_future *f)
{
	eci_lock(f->mesh);
	if (f->input) {
		f->input = false;
		f->input_ended = true;
		out_room(f);
		if (f->out)
			eci_outputs_end_input(f);
	}
	eci_unlock(f->mesh);
}

/* The END of a future that was told so before the other end said where to, or before it had room for what a terminal
 * needs: its end-of-file character (which the agent writes) is an end only where a line begins; behind "abc" it just
 * hands that over, and a second one is the end. */
void eci_outputs_end_input(struct ectx_future *f)
{
	int r = 0;
	if (!f->input_ended || !f->out || !eci_stream_far(f->out))
		return;
	if (f->line_open) {
		const char end = END_OF_FILE;
		if (!eci_stream_room(f->out))
			return;
		f->line_open = false;
		r = eci_stream_send(f->out, &end, 1, eci_now_ms());
	}
	if (!r)
		r = eci_stream_end(f->out, eci_now_ms());
	if (r && r != ECI_R_NO_ROUTE)
		(void)cannot_write(f);
}
