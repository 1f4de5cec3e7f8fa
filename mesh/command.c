/* Commands that we run ourselves and talk to: EXEC, whose two streams are ends of ours instead of events.
 *
 * The stream belongs to the future as for every other command (output.c), and is only lent to `io`, whose bytes are
 * read and written like those of any stream of the program's; when the future is done it is taken back, and what has
 * come and was not read yet stays. stderr is taken and given back at once, but for its beginning, which says why a
 * command ended that should not have. */
#include "mesh/command.h"
#include "mesh/exec.h"

#include <string.h>

void eci_command_joined(struct eci_command *x, struct eci_stream *s)
{
	const struct eci_answer gone = {.reason = "lost", .evidence = ""};
	x->io->s = s;
	x->io->waits = false;
	if (!s)
		eci_outside_ops.dead(x->io, &gone);
}

/* What finds no place in memory ends io, and all that follows is let pass: the stream itself is the future's to free.
 */
void eci_command_stdout(struct eci_command *x, struct eci_stream *s, const uint8_t *p, size_t n)
{
	const struct eci_answer full = {.reason = "no memory", .evidence = ""};
	if (!x->io->dead && eci_buf_append(&x->io->in, p, n) == 0) {
		(void)pthread_cond_signal(&x->io->readable);
		return;
	}
	eci_outside_ops.dead(x->io, &full);
	eci_stream_took(s, n, eci_now_ms());
}

void eci_command_stderr(struct eci_command *x, const uint8_t *p, size_t n)
{
	size_t room = sizeof x->said - 1 - x->nsaid;
	n = n < room ? n : room;
	memcpy(x->said + x->nsaid, p, n);
	x->nsaid += n;
}

bool eci_command_start(struct eci_command *x, ectx_context *c, const char *const *argv, long timeout_ms)
{
	const ectx_exec what = {.argv = argv, .input = true};
	*x = (struct eci_command){.io = eci_stream_make(c->mesh)};
	if (!x->io)
		return false;
	x->io->waits = true;
	x->future = eci_exec_new(c, &what, timeout_ms, x);
	if (x->future)
		return true;
	eci_stream_destroy(x->io);
	x->io = NULL;
	return false;
}

void eci_command_free(struct eci_command *x)
{
	ectx_future_free(x->future); /* first: it holds io */
	if (x->io)
		eci_stream_destroy(x->io);
	*x = (struct eci_command){0};
}
