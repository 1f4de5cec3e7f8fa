/* Calls: one CALL frame, one answer. The request is encoded when the future is made, so that the caller's values are
 * the caller's again at once, and sent when the context can be reached. */
#include "io/folder.h"
#include "io/roots.h"
#include "mesh/ahead.h"
#include "mesh/program.h"
#include "mesh/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The module of "No module named 'a.b'", or, of Python 2, without quotes. */
static bool missing_module(const char *saw, char name[ECI_MODULE_NAME_MAX + 1])
{
	const char *said = strstr(saw, "No module named ");
	size_t n = 0;
	if (!said)
		return false;
	said += strlen("No module named ");
	said += *said == '\'';
	n = strcspn(said, "'; ");
	if (n > ECI_MODULE_NAME_MAX)
		return false;
	memcpy(name, said, n);
	name[n] = 0;
	return true;
}

/* An import that fails because of what we did not see here, or do not serve. */
static void hint_import(const ectx_mesh *m, struct eci_fail *fail)
{
	char name[ECI_MODULE_NAME_MAX + 1], path[sizeof fail->hint / 2];
	bool import = !strncmp(fail->saw, "ModuleNotFoundError:", 20) || !strncmp(fail->saw, "ImportError:", 12);
	if (!import || fail->code != ECTX_E_EXCEPTION)
		return;
	bool named = missing_module(fail->saw, name);
	if (named && eci_roots_strange(m->roots, name, false, fail->hint, sizeof fail->hint))
		return;
	if (m->cut_folder)
		(void)snprintf(fail->hint, sizeof fail->hint, "not all of %s is served: it has more than %u items",
			       m->cut_folder, ECI_FOLDER_ITEMS_MAX);
	else if (named && eci_roots_not_source(m->roots, name, path, sizeof path))
		(void)snprintf(fail->hint, sizeof fail->hint,
			       "only Python source is served, and this is none: %s; it must be installed there", path);
}

static void take_exception(struct ectx_future *f, struct eci_fail *fail, char *detail)
{
	hint_import(f->mesh, fail);
	f->error.detail = detail;
	eci_future_fail(f, fail, f->context);
}

static void on_answer(void *arg, const struct eci_answer *a)
{
	struct ectx_future *f = arg;
	f->slot = 0; /* a one-shot slot is gone when it is answered */
	eci_lines_end(f->at);
	if (a->dead) {
		eci_future_dead(f, a);
		return;
	}
	struct eci_fail fail = {0};
	char *detail = NULL;
	ectx_value *value = NULL;
	int r = eci_call_decode(a->f->body, a->f->len, &value, &fail, &detail);
	if (r == 1) {
		take_exception(f, &fail, detail);
	} else if (r < 0) {
		eci_future_fail_code(f, ECTX_PHASE_CALL, ECTX_E_PROTOCOL, "the answer is malformed", f->context);
	} else if (f->kind == ECI_OP_RUN) {
		int64_t status = 255;
		(void)ectx_value_int(value, &status);
		f->exit_status = (int)(status & 255);
		ectx_value_free(value);
		if (f->exit_status) {
			struct eci_fail failed = {0};
			eci_fail_set(&failed, ECTX_PHASE_CALL, ECTX_E_EXIT_STATUS, "exit status %d", f->exit_status);
			eci_error_from(&f->error, &failed, f->context);
		}
		f->answered = true;
		if (!f->out_open && !f->err_open)
			eci_future_done(f);
	} else {
		f->value = value;
		eci_future_done(f);
	}
}

void eci_call_run(struct ectx_future *f)
{
	ectx_mesh *m = f->mesh;
	f->slot = eci_slot_open(m->router, f->at->id, ECI_SLOT_ONCE, on_answer, f);
	int r = f->slot ? 0 : -1;
	if (!r && f->kind == ECI_OP_RUN)
		r = eci_context_part(f->at, "exec", &f->at->has_exec);
	if (!r && f->in_program)
		r = eci_context_part(f->at, "program", &f->at->has_program);
	if (!r && f->nchannels)
		r = eci_channels_open(f);
	if (!r)
		r = eci_send(m, ECI_CALL, f->at->id, ECI_H_CALL, f->slot, &f->request);
	eci_buf_deinit(&f->request); /* the router has its copy, and this one may be 64 MiB */
	if (r < 0)
		eci_future_unsent(f, ECTX_PHASE_CALL, r);
}

static int cannot_encode(const struct ectx_future *f, const char *function, struct eci_fail *fail)
{
	if (f->request.failed) {
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "%s", "");
		return -1;
	}
	eci_fail_set(fail, ECTX_PHASE_CALL, ECTX_E_BAD_ARGUMENT, "the arguments of %s cannot be encoded", function);
	(void)snprintf(fail->hint, sizeof fail->hint, "%s",
		       "too large, too deep, keywords that are not text, a map with keys that are one in Python, as 1, "
		       "1.0 and true are, or what could not be put into them, as text that is no UTF-8");
	return -1;
}

/* Program files are read by the caller's thread, before the lock. */
int eci_call_prepare(struct ectx_future *f, const char *function, const ectx_value *args, const ectx_value *kwargs,
		     struct eci_fail *fail)
{
	char *module = NULL, *name = NULL, *file = NULL, served[2 + ECI_MODULE_NAME_MAX + 1] = "./";
	int r = eci_call_parse(function, &module, &name, &file, fail);
	if (r == 0 && file)
		r = eci_program_add(f->mesh, module + 2, file, served + 2, fail); /* of "./STEM" */
	if (r == 0 && eci_call_encode(&f->request, file ? served : module, name, args, kwargs) < 0)
		r = cannot_encode(f, function, fail);
	f->in_program = file != NULL;
	free(module);
	free(name);
	free(file);
	return r;
}

ectx_future *ectx_call_start(ectx_context *c, const char *function, const ectx_value *args, const ectx_value *kwargs,
			     long timeout_ms)
{
	struct ectx_future *f = eci_future_new(c->mesh, c, ECI_OP_CALL, timeout_ms);
	struct eci_fail fail = {0};
	if (!f)
		return NULL;
	int r = eci_call_prepare(f, function, args, kwargs, &fail);
	return eci_future_start(f, r == 0 ? NULL : &fail);
}

ectx_future *ectx_connect_start(ectx_context *c, long timeout_ms)
{
	return eci_future_start(eci_future_new(c->mesh, c, ECI_OP_CONNECT, timeout_ms), NULL);
}

/* ---- blocking forms ---- */

static enum ectx_status finish(ectx_future *f, ectx_value **result, ectx_error *err)
{
	if (!f) {
		struct eci_fail fail = {0};
		eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "%s", "");
		eci_error_from(err, &fail, NULL);
		return err->status;
	}
	(void)ectx_future_wait(f, -1); /* the future has the deadline */
	enum ectx_status status = f->error.status;
	if (status != ECTX_OK) {
		*err = f->error;
		f->error.detail = NULL;
	} else if (result) {
		*result = f->value;
		f->value = NULL;
	}
	ectx_future_free(f);
	return status;
}

enum ectx_status ectx_connect(ectx_context *c, long timeout_ms, ectx_error *err)
{
	return finish(ectx_connect_start(c, timeout_ms), NULL, err);
}

enum ectx_status ectx_call(ectx_context *c, const char *function, const ectx_value *args, const ectx_value *kwargs,
			   long timeout_ms, ectx_value **result, ectx_error *err)
{
	if (result)
		*result = NULL;
	return finish(ectx_call_start(c, function, args, kwargs, timeout_ms), result, err);
}

/* ---- run ---- */

void eci_run_run(struct ectx_future *f)
{
	if (!eci_outputs_open(f)) {
		eci_future_fail_code(f, ECTX_PHASE_CALL, ECTX_E_NO_MEMORY, "", f->context);
		return;
	}
	/* request holds the encoded argv; the stream handles are known only now */
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 4);
	eci_cbor_put_str(&b, "econtext");
	eci_cbor_put_str(&b, "run");
	eci_cbor_put_array(&b, 4);
	eci_cbor_put_str(&b, f->program);
	(void)eci_buf_append(&b, eci_buf_data(&f->request), eci_buf_len(&f->request));
	eci_cbor_put_uint(&b, eci_stream_handle(f->out));
	eci_cbor_put_uint(&b, eci_stream_handle(f->err));
	eci_cbor_put_map(&b, 0);
	eci_buf_deinit(&f->request);
	f->request = b;
	eci_call_run(f);
}

static int prepare_run(struct ectx_future *f, const char *const *argv, const uint8_t *text, size_t len,
		       struct eci_fail *fail)
{
	uint64_t n = 0;
	while (argv[n])
		n++;
	char name[ECI_MODULE_NAME_MAX + 1];
	if (eci_program_serve(f->mesh, "econtext_program", argv[0], text, len, name, fail) < 0)
		return -1;
	f->program = strdup(name);
	eci_cbor_put_array(&f->request, n);
	for (uint64_t i = 0; i < n; i++) {
		size_t size = strlen(argv[i]);
		if (eci_utf8_valid((const uint8_t *)argv[i], size))
			eci_cbor_put_text(&f->request, argv[i], size);
		else
			eci_cbor_put_bytes(&f->request, argv[i], size);
	}
	if (f->program && !f->request.failed)
		return 0;
	eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "%s", argv[0]);
	return -1;
}

static ectx_future *run_python(ectx_context *c, const char *const *argv, const uint8_t *text, size_t n,
			       struct eci_fail *fail, long timeout_ms)
{
	struct ectx_future *f = eci_future_new(c->mesh, c, ECI_OP_RUN, timeout_ms);
	if (!f)
		return NULL;
	bool good = text && fail->code == ECTX_E_NONE && prepare_run(f, argv, text, n, fail) == 0;
	return eci_future_start(f, good ? NULL : fail);
}

ectx_future *ectx_run_with_start(ectx_context *c, const ectx_exec *x, long timeout_ms)
{
	struct eci_fail fail = {0};
	size_t n = 0;
	ectx_exec shell = *x;
	bool named = x->argv && x->argv[0];
	uint8_t *file = named && !x->script ? eci_file_read(x->argv[0], &n, &fail) : NULL;
	const uint8_t *text = named && x->script ? x->script : file;
	n = x->script ? x->script_len : n;
	if (named && n > ECI_MODULE_BYTES_MAX) {
		eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT, "%s: larger than 16 MiB", x->argv[0]);
		text = NULL;
	}
	const char **command = text ? eci_script_command(text, n, x->argv, &fail) : NULL;
	shell.argv = command;
	if (!text && !fail.code)
		eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT, "no script is named");
	if (text && !command && !fail.code && ((x->env && *x->env) || x->cwd || (x->rows && x->cols) || x->input))
		eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT,
			     "%s: a Python script runs in the process that serves all calls there, and so has no "
			     "environment, folder, terminal or input of its own",
			     x->argv[0]);
	struct ectx_future *f =
		command ? ectx_exec_start(c, &shell, timeout_ms) : run_python(c, x->argv, text, n, &fail, timeout_ms);
	free(command);
	free(file);
	return f;
}

ectx_future *ectx_run_start(ectx_context *c, const char *const *argv, long timeout_ms)
{
	return ectx_run_with_start(c, &(ectx_exec){.argv = argv}, timeout_ms);
}
