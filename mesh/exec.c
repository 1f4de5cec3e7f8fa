/* Commands: EXEC, with its two output streams. The answer comes after both streams ended; the future is done after all
 * three. */
#include "mesh/ahead.h"
#include "mesh/exec.h"
#include "mesh/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* At most, of an EXEC besides its arguments and variables: the map, seven keys, their values. */
#define EXEC_ITEMS 16u
#define TTY_SIDE_MAX 65535u /* what a winsize of tty_ioctl(4) holds */

static void finish(struct ectx_future *f, uint64_t status, uint64_t sig)
{
	struct eci_fail fail = {0};
	f->exit_status = sig ? 128 + (int)sig : (int)(status & 255);
	if (sig)
		eci_fail_set(&fail, ECTX_PHASE_CALL, ECTX_E_SIGNALLED, "ended by signal %u", (unsigned)sig);
	else if (status)
		eci_fail_set(&fail, ECTX_PHASE_CALL, ECTX_E_EXIT_STATUS, "exit status %u", (unsigned)status);
	if (sig || status)
		eci_error_from(&f->error, &fail, f->context);
	f->answered = true;
	if (!f->out_open && !f->err_open)
		eci_future_done(f);
}

static void on_answer(void *arg, const struct eci_answer *a)
{
	struct ectx_future *f = arg;
	struct eci_cbor c;
	if (!eci_future_heard(f, a, ECTX_PHASE_CALL, &c))
		return;
	if (eci_cbor_get_uint(&c) == 0) {
		uint64_t status = eci_cbor_get_uint(&c);
		finish(f, status, eci_cbor_get_uint(&c) & 127); /* as wait(2) has it */
		return;
	}
	const char *p = "";
	size_t n = 0;
	char text[512];
	(void)eci_cbor_get_text(&c, &p, &n);
	(void)eci_escape_into(text, sizeof text, p ? p : "", n);
	eci_name_errno(text, sizeof text);
	eci_future_fail_code(f, ECTX_PHASE_CALL, ECTX_E_NO_COMMAND, text, f->context);
}

/* A native agent counts what is in a message, as docs/protocol.md has it; what it says of too much helps nobody. A
 * Python takes what the kernel takes. */
static bool has_too_many(struct ectx_future *f, const struct eci_buf *b)
{
	if (!f->at->native || eci_cbor_check(eci_buf_data(b), eci_buf_len(b), ECI_CBOR_ITEMS_MAX) != ECI_CBOR_E_ITEMS)
		return false;
	struct eci_fail fail = {0};
	eci_fail_set(&fail, ECTX_PHASE_CALL, ECTX_E_TOO_BIG, "more than %u arguments and variables",
		     ECI_CBOR_ITEMS_MAX - EXEC_ITEMS);
	(void)snprintf(fail.hint, sizeof fail.hint,
		       "a native agent takes no more: agent: python does, or let xargs(1) read them from its input");
	eci_future_fail(f, &fail, f->context);
	return true;
}

/* request holds keys 0 to 2 and perhaps 5 and 6, encoded when the future was made, behind two bytes: how many pairs
 * there will be, and how many bytes belong behind the handles. */
void eci_exec_run(struct ectx_future *f)
{
	ectx_mesh *m = f->mesh;
	int r = eci_context_part(f->at, "exec", &f->at->has_exec);
	f->slot = eci_slot_open(m->router, f->at->id, ECI_SLOT_ONCE, on_answer, f);
	if (!f->slot || !eci_outputs_open(f)) {
		eci_future_fail_code(f, ECTX_PHASE_CALL, ECTX_E_NO_MEMORY, "", f->context);
		return;
	}
	struct eci_buf b = ECI_BUF_NULL;
	uint8_t pairs = eci_buf_data(&f->request)[0];
	size_t tail = eci_buf_data(&f->request)[1];
	eci_cbor_put_map(&b, pairs);
	(void)eci_buf_append(&b, eci_buf_data(&f->request) + 2, eci_buf_len(&f->request) - 2 - tail);
	eci_cbor_put_uint(&b, 3);
	eci_cbor_put_uint(&b, eci_stream_handle(f->out));
	eci_cbor_put_uint(&b, 4);
	eci_cbor_put_uint(&b, eci_stream_handle(f->err));
	if (tail)
		(void)eci_buf_append(&b, eci_buf_data(&f->request) + eci_buf_len(&f->request) - tail, tail);
	bool sent = !has_too_many(f, &b);
	if (sent && !r)
		r = eci_send(m, ECI_CALL, f->at->id, ECI_H_EXEC, f->slot, &b);
	eci_buf_deinit(&b);
	eci_buf_deinit(&f->request);
	if (sent && r < 0)
		eci_future_unsent(f, ECTX_PHASE_CALL, r);
}

static void put_string(struct eci_buf *b, const char *s)
{
	size_t n = strlen(s);
	if (eci_utf8_valid((const uint8_t *)s, n))
		eci_cbor_put_text(b, s, n);
	else
		eci_cbor_put_bytes(b, s, n);
}

static size_t name_length(const char *entry)
{
	return strcspn(entry, "=");
}

/* Is the same variable named again behind it? The last word on it counts: a map has it once. */
static bool taken_back(const char *const *entry)
{
	size_t n = name_length(*entry);
	for (const char *const *e = entry + 1; *e; e++)
		if (name_length(*e) == n && memcmp(*e, *entry, n) == 0)
			return true;
	return false;
}

static bool names_fit(const char *const *env)
{
	for (const char *const *e = env; e && *e; e++)
		if (!name_length(*e) || !eci_utf8_valid((const uint8_t *)*e, name_length(*e)))
			return false;
	return true;
}

static void put_env(struct eci_buf *b, const char *const *env)
{
	uint64_t n = 0;
	for (const char *const *e = env; e && *e; e++)
		n += !taken_back(e);
	eci_cbor_put_map(b, n);
	for (const char *const *e = env; e && *e; e++) {
		size_t key = name_length(*e);
		if (taken_back(e))
			continue;
		eci_cbor_put_text(b, *e, key);
		if ((*e)[key])
			put_string(b, *e + key + 1);
		else
			eci_cbor_put_null(b);
	}
}

static void encode(struct eci_buf *b, const ectx_exec *x)
{
	uint64_t n = 0;
	bool pty = x->rows && x->cols;
	while (x->argv[n])
		n++;
	uint8_t head[2] = {(uint8_t)(5 + pty + x->input), 0};
	(void)eci_buf_append(b, head, sizeof head);
	eci_cbor_put_uint(b, 0);
	eci_cbor_put_array(b, n);
	for (uint64_t i = 0; i < n; i++)
		put_string(b, x->argv[i]);
	eci_cbor_put_uint(b, 1);
	put_env(b, x->env);
	eci_cbor_put_uint(b, 2);
	if (x->cwd)
		put_string(b, x->cwd);
	else
		eci_cbor_put_null(b);
	size_t before = eci_buf_len(b);
	if (pty) {
		eci_cbor_put_uint(b, 5);
		eci_cbor_put_array(b, 2);
		eci_cbor_put_uint(b, x->rows);
		eci_cbor_put_uint(b, x->cols);
	}
	if (x->input) {
		eci_cbor_put_uint(b, 6);
		eci_cbor_put_bool(b, true);
	}
	if (!b->failed)
		b->mem[b->head + 1] = (uint8_t)(eci_buf_len(b) - before);
}

struct ectx_future *eci_exec_new(ectx_context *c, const ectx_exec *x, long timeout_ms, struct eci_command *command)
{
	struct ectx_future *f = eci_future_new(c->mesh, c, ECI_OP_EXEC, timeout_ms);
	if (!f)
		return NULL;
	struct eci_fail fail = {0};
	bool fits = x->argv && x->argv[0] && names_fit(x->env) && x->rows <= TTY_SIDE_MAX && x->cols <= TTY_SIDE_MAX;
	if (fits) {
		encode(&f->request, x);
		f->command = command;
		f->input = x->input;
		f->terminal = x->rows && x->cols;
		if (f->request.failed)
			eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "%s", "");
	} else {
		eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT,
			     "no command, or a variable whose name or value cannot be sent, or a terminal of more than "
			     "65,535 rows or columns");
	}
	return eci_future_start(f, fail.code ? &fail : NULL);
}

ectx_future *ectx_exec_start(ectx_context *c, const ectx_exec *x, long timeout_ms)
{
	return eci_exec_new(c, x, timeout_ms, NULL);
}
