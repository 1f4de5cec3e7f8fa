/* Copies from a context: `get` there, over a channel of values or, where there is no Python, of a shell (copy_heads.c).
 * What comes is taken in a thread of its own (copy_take.c), while the program's thread is told the progress.
 *
 * Such a copy has two ends, its channel's and its call's. Where the channel ends before all was said, the call's error
 * is the better reason, and is waited for a little. */
#include "mesh/copy_take.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static ectx_value *get_args(const struct eci_fetch *f, const char *const *sources)
{
	ectx_value *a = ectx_array(), *list = ectx_array();
	bool good = a && list;
	for (size_t i = 0; good && sources[i]; i++) {
		size_t n = strlen(sources[i]);
		bool text = eci_utf8_valid((const uint8_t *)sources[i], n);
		good = ectx_array_push(list, text ? ectx_text(sources[i]) : ectx_bytes(sources[i], n));
	}
	good = good && ectx_array_push(a, ectx_null()) && ectx_array_push(a, list);
	if (good)
		list = NULL;
	good = good && ectx_array_push(a, f->algorithm ? ectx_text(f->algorithm) : ectx_null());
	good = good && ectx_array_push(a, ectx_bool(f->k.o->resume));
	ectx_value_free(list);
	if (good)
		return a;
	ectx_value_free(a);
	return NULL;
}

/* The greeting of a shell, which comes when it comes. */
static bool greeted(struct eci_fetch *f)
{
	int r = 0;
	eci_copy_moved(f->k.watches, ECI_COPY_FOR_BEGIN);
	while (!r && !eci_copy_stopped(&f->k))
		r = eci_shell_greeted(f->shell, ECI_COPY_LOOK_MS);
	f->algorithm = f->shell->algorithm;
	return r > 0;
}

static void run(void *arg)
{
	struct eci_fetch *f = arg;
	bool there = !f->shell || greeted(f);
	eci_copy_moved(f->k.watches, ECI_COPY_FOR_BYTES);
	while (there && !eci_copy_stopped(&f->k) && !f->refused) {
		ectx_value *v = NULL;
		ectx_error e = {0};
		enum ectx_status r = f->shell ? eci_shell_value(f->shell, &v, ECI_COPY_LOOK_MS)
					      : ectx_channel_receive(f->ch, &v, ECI_COPY_LOOK_MS, &e);
		ectx_error_clear(&e);
		if (r == ECTX_DEADLINE)
			continue;
		f->ended = r == ECTX_OK && !v;
		if (r != ECTX_OK || !v)
			break;
		eci_copy_moved(f->k.watches, ECI_COPY_FOR_NOTHING);
		size_t n = 0;
		(void)ectx_value_bytes(v, &n); /* text, too: Python 2 tells no difference */
		if (eci_copy_pace(&f->k, n ? n : 1))
			eci_fetch_take(f, v);
		ectx_value_free(v);
		eci_copy_moved(f->k.watches, ECI_COPY_FOR_BYTES);
	}
	eci_fetch_settle(f);
}

static void fetch_by_shell(struct eci_fetch *f, const char *const *sources)
{
	size_t n = 0;
	ectx_error e = {.status = ECTX_INTERNAL, .code = ECTX_E_NO_MEMORY};
	while (sources[n])
		n++;
	const char **args = calloc(n + 2, sizeof *args);
	f->shell = calloc(1, sizeof *f->shell);
	bool begun = false;
	if (args && f->shell) {
		args[0] = f->k.o->resume ? "1" : "0";
		memcpy(args + 1, sources, n * sizeof *args);
		begun = eci_shell_begin(f->shell, &f->k, f->c, "get", args);
	}
	free(args);
	if (begun)
		eci_copy_thread(&f->k, run, f, f->k.watches);
	eci_copy_wait(&f->k);
	uint64_t until = eci_now_ms() + ECI_SHELL_END_MS;
	while (begun && !f->ended && !f->k.stop && !f->refused && eci_now_ms() < until &&
	       !ectx_future_wait(f->shell->cmd.future, ECI_COPY_LOOK_MS))
		eci_copy_tell(&f->k);
	if (begun && !f->ended && !f->refused)
		eci_shell_why(f->shell, &e);
	if (!f->ended && !f->k.stop && !f->refused)
		eci_copy_failed(&f->k, f->c, NULL, &e);
	if (f->shell)
		eci_shell_end(f->shell);
	free(f->shell);
}

static void fetch_all(struct eci_fetch *f, const char *const *sources)
{
	ectx_value *args = get_args(f, sources);
	f->ch = args ? ectx_channel_new(f->c->mesh) : NULL;
	ectx_future *call = f->ch ? ectx_call_with_start(f->c, "econtext_sources:get", args, NULL,
							 &(ectx_channel_arg){.channel = f->ch}, 1, -1)
				  : NULL;
	ectx_value_free(args);
	if (call)
		eci_copy_thread(&f->k, run, f, f->k.watches);
	ectx_error error = {0};
	struct eci_fail fail = {0};
	eci_copy_wait(&f->k);
	/* It has no answer for us when its channel broke, but perhaps the reason. */
	uint64_t until = f->ended ? UINT64_MAX : eci_now_ms() + ECI_SHELL_END_MS;
	while (call && !f->k.stop && !f->refused && !ectx_future_wait(call, ECI_COPY_LOOK_MS) && eci_now_ms() < until)
		eci_copy_tell(&f->k);
	if (f->refused) {
		; /* said already; what still runs there ends with its channel */
	} else if (!call) {
		error.status = ECTX_INTERNAL;
		error.code = ECTX_E_NO_MEMORY;
		eci_copy_failed(&f->k, f->c, NULL, &error);
	} else if (ectx_future_done(call) && ectx_future_error(call)->status != ECTX_OK) {
		eci_copy_failed(&f->k, f->c, NULL, ectx_future_error(call));
	} else if (!f->ended && !f->k.stop) { /* it was all said there, and not all of it can be read here */
		eci_fail_set(&fail, ECTX_PHASE_CALL, ECTX_E_PROTOCOL,
			     "what came is no copy: bytes were lost, or mixed up");
		eci_error_from(&error, &fail, f->c);
		eci_copy_failed(&f->k, f->c, NULL, &error);
		ectx_error_clear(&error);
	} else if (f->begun) {
		eci_fetch_not_ended(f);
	}
	ectx_channel_free(f->ch);
	ectx_future_free(call);
}

/* The folder that things come into; not before the context is there, so that nothing is left of one that is not. What
 * is to have the contents of one folder is made when they come. */
static bool make_dest(struct eci_fetch *f, const char *const *sources)
{
	bool one = sources[0] && !sources[1] && f->contents;
	f->into = f->into || one || (sources[0] && sources[1]);
	if (!f->into || f->folder || one || mkdir(f->dest, 0777) == 0)
		return true;
	struct stat st;
	int error = errno;
	if (error == EEXIST && stat(f->dest, &st) == 0)
		error = S_ISDIR(st.st_mode) ? 0 : ENOTDIR; /* another was quicker */
	if (error)
		eci_copy_refused(&f->k, NULL, f->dest, strerror(error));
	return !error;
}

enum ectx_status ectx_copy_from(ectx_context *c, const char *const *sources, const char *dest,
				const ectx_copy_options *options, ectx_copy_result *result, ectx_error *err)
{
	struct eci_fail fail = {.code = ECTX_E_NO_MEMORY};
	struct eci_fetch *f = eci_copy_check(sources, dest, result, &fail) == 0 ? calloc(1, sizeof *f) : NULL;
	if (!f || eci_copy_begin(&f->k, options, &c, 1)) {
		free(f);
		eci_error_from(err, &fail, NULL);
		return err->status;
	}
	f->c = c;
	eci_fetch_init(f);
	f->sources = sources;
	for (size_t i = 0; sources[i]; i++)
		f->contents |= eci_source_contents(sources[i]);
	struct eci_copy_peer peer = {.c = c};
	const char *why;
	f->dest = eci_incoming_dest(dest, f->contents, &f->folder, &why);
	f->into = f->folder || (*dest && dest[strlen(dest) - 1] == '/');
	if (!f->dest)
		eci_copy_refused(&f->k, NULL, dest, why);
	else if (eci_copy_greet(&f->k, &peer, 1) && make_dest(f, sources)) {
		f->algorithm = peer.algorithm;
		if (peer.no_python)
			fetch_by_shell(f, sources);
		else
			fetch_all(f, sources);
	}
	f->k.watches->over |= !f->k.stop || f->ended || f->refused;
	enum ectx_status status = eci_copy_finish(&f->k, result, err);
	free(f->dest);
	free(f);
	return status;
}
