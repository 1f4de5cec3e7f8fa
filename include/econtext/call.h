/* econtext: what contexts do: connect, call, exec, run; and what a mesh knows about itself: tree, trace. See econtext.h
 * for what holds for all functions.
 *
 * The start forms return a future (future.h) that the caller frees; NULL only when out of memory: every other failure,
 * of an argument too, is the future's error. They do not block on the network, but on the ask callback (mesh.h), on
 * another source of a secret (a command or descriptor that says nothing: 30 s), and on local files where one is named.
 * What has to be had so is had once a mesh, and its time is not the timeout's. Arguments are the caller's again when
 * they return.
 *
 * All connect what is not connected, and make anew what was lost. Work for one context is done there in the order of
 * its start, one call at a time; exec runs beside calls. timeout_ms counts from the start and includes connecting.
 *
 * Errors of them all:
 *   connecting    any of the codes with status unreachable (3) or refused (4); path names the hop
 *   deadline      timeout_ms is over; what was not begun over there is taken back, else its outcome is not known
 *   lost          a link ended before the work was sent on to its context: it was not begun
 *   lost-running  a link ended afterwards: whether it finished is not known
 *   silent        as lost-running: no byte came for the idle time
 *   no-route      the context is not there any more
 *   busy          a queue on the way, or here, was full: it was not begun
 *   too-big       more than 64 MiB in one message
 *   cancelled     ectx_future_cancel(), or ectx_options.give_up(); closed: ectx_mesh_free()
 *   bad-argument  said before anything is sent
 *   protocol      the other end sent what it must not; no-memory, system: this end */
#ifndef ECONTEXT_CALL_H
#define ECONTEXT_CALL_H

#include "econtext/future.h"
#include "econtext/mesh.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Done when the context is up. No value. */
ectx_future *ectx_connect_start(ectx_context *c, long timeout_ms);

/* Calls a Python function there; the value is its result. function: "module:function", "module:Class.method" or
 * "./file.py:function" (that file here is read now and served as the program; bad-argument if it cannot be). args: an
 * array or NULL (none); kwargs: a map with text keys or NULL (none); both stay the caller's. Of the 32 levels and
 * 1,048,576 items of a message two levels, and a few items, are the call's: bad-argument beyond. Errors besides:
 * exception (saw "Type: message", detail the traceback), not-found (no such function in the module), cannot-travel (of
 * the result). */
ectx_future *ectx_call_start(ectx_context *c, const char *function, const ectx_value *args, const ectx_value *kwargs,
			     long timeout_ms);

/* Zero-initialise it and set what is wanted. Strings are bytes: UTF-8 or not. */
typedef struct ectx_exec {
	const char *const *argv; /* NULL-terminated, at least one */
	const char *const *env;  /* NULL-terminated "K=V" to set, "K" to unset, the last of a name counts; NULL: no
				    change */
	const char *cwd;         /* NULL: unchanged */
	unsigned rows, cols;     /* both nonzero: on a pty of that size, 65,535 at most (all output is stdout) */
	bool input;              /* stdin is what ectx_future_write() sends, up to ectx_future_end_input() */
	const void *script;      /* of a run: script_len bytes that argv[0] is the name of; NULL: its file is read */
	size_t script_len;
} ectx_exec;

/* Runs a command there, without a shell, stdin /dev/null unless x->input. Its output arrives as ECTX_EVENT_OUTPUT
 * events (event.h), all of them before the future is done: so somebody must take events, or it does not end (that it
 * has is an event only after ectx_future_set_user()). No value; ectx_future_exit_status(). Errors besides: exit-status
 * (not 0), signal, no-command (could not be started; saw says why). */
ectx_future *ectx_exec_start(ectx_context *c, const ectx_exec *x, long timeout_ms);

/* Runs a script of this machine there: argv[0] is its path here (read now; bad-argument if it cannot be), the rest its
 * arguments; NULL-terminated. Output, exit status and errors as for exec and call. It is Python, unless its first line
 * names a shell ("#!/bin/sh"): then that shell runs it, and no Python is needed; at most 131,071 bytes; or another
 * language's program ("#!/usr/bin/perl"): bad-argument, unless argv[0] ends in ".py". The
 * bytes of each different Python script are kept as long as the mesh, as a context may ask for them later. */
ectx_future *ectx_run_start(ectx_context *c, const char *const *argv, long timeout_ms);

/* The same of x->argv, with what else *x says; bad-argument where that is more than argv and the script is Python: it
 * runs in the process that serves all calls there. */
ectx_future *ectx_run_with_start(ectx_context *c, const ectx_exec *x, long timeout_ms);

/* Asks every live context of the mesh; connects nothing. The value is an array of maps with the keys of `tree --json`:
 * name, id, parent, transport, agent, arch, python, state, rtt_us, frames_in, frames_out, bytes_in, bytes_out,
 * queued_bytes, modules_cached, requests_up, dials; the master first, then depth first. One that does not answer, or
 * not within timeout_ms, which is no error, has state "silent" and rtt_us null. With no time (0) nobody is asked, and
 * that is one: deadline. */
ectx_future *ectx_tree_start(ectx_mesh *m, long timeout_ms);

/* Asks every hop on the way to c for an echo. The value is an array of maps {name, id, rtt_us (null: no answer, or
 * none within timeout_ms, which is an error only while c is still being connected, or where it is 0)}, from the first
 * hop to c. */
ectx_future *ectx_trace_start(ectx_context *c, long timeout_ms);

/* ---- blocking forms: start, wait, free ----
 * They block until the outcome is there, at most timeout_ms (and the ask callback's time). ECTX_OK, or the status with
 * *err filled, whose detail the caller gives back with ectx_error_clear(). */

enum ectx_status ectx_connect(ectx_context *c, long timeout_ms, ectx_error *err);

/* result: NULL when it is not wanted; else *result is the value, which the caller frees with ectx_value_free(), and
 * NULL on failure. */
enum ectx_status ectx_call(ectx_context *c, const char *function, const ectx_value *args, const ectx_value *kwargs,
			   long timeout_ms, ectx_value **result, ectx_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
