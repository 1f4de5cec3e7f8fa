/* The binary interface that a SONAME promises: numbers, and the layouts that programs were compiled with. A line that
 * does not hold any more is a change for which every program must be compiled again. A list of numbers may grow at its
 * end; for a structure, which lies in the program's memory, the SONAME is raised.
 *
 * tests/install/run compiles it with the installed headers. */
#include <econtext/econtext.h>

#include <stddef.h>
#include <stdint.h>

#define NUMBER(name, n) _Static_assert((name) == (n), #name)
#define PLACE(type, member, n) _Static_assert(offsetof(type, member) == (n), #type "." #member)
#define SIZE(type, n) _Static_assert(sizeof(type) == (n), #type)

/* enum ectx_status */
NUMBER(ECTX_OK, 0);
NUMBER(ECTX_FAILED, 1);
NUMBER(ECTX_USAGE, 2);
NUMBER(ECTX_UNREACHABLE, 3);
NUMBER(ECTX_REFUSED, 4);
NUMBER(ECTX_DEADLINE, 5);
NUMBER(ECTX_UNKNOWN, 6);
NUMBER(ECTX_INTERNAL, 7);
NUMBER(ECTX_INTERRUPTED, 130);

/* enum ectx_phase */
NUMBER(ECTX_PHASE_NONE, 0);
NUMBER(ECTX_PHASE_RESOLVE, 1);
NUMBER(ECTX_PHASE_CONNECT, 2);
NUMBER(ECTX_PHASE_HOSTKEY, 3);
NUMBER(ECTX_PHASE_AUTH, 4);
NUMBER(ECTX_PHASE_BANNER, 5);
NUMBER(ECTX_PHASE_SHELL, 6);
NUMBER(ECTX_PHASE_BECOME, 7);
NUMBER(ECTX_PHASE_BOOT, 8);
NUMBER(ECTX_PHASE_VERSION, 9);
NUMBER(ECTX_PHASE_ROUTE, 10);
NUMBER(ECTX_PHASE_CALL, 11);
NUMBER(ECTX_PHASE_LOST, 12);

/* enum ectx_code */
NUMBER(ECTX_E_NONE, 0);
NUMBER(ECTX_E_UNKNOWN_HOST, 1);
NUMBER(ECTX_E_CONN_REFUSED, 2);
NUMBER(ECTX_E_NO_ROUTE_TO_HOST, 3);
NUMBER(ECTX_E_CONNECT_TIMEOUT, 4);
NUMBER(ECTX_E_CONN_DROPPED, 5);
NUMBER(ECTX_E_HOSTKEY_CHANGED, 6);
NUMBER(ECTX_E_HOSTKEY_UNKNOWN, 7);
NUMBER(ECTX_E_AUTH_REFUSED, 8);
NUMBER(ECTX_E_PASSWORD_WRONG, 9);
NUMBER(ECTX_E_PASSWORD_MISSING, 10);
NUMBER(ECTX_E_AUTH_TIMEOUT, 11);
NUMBER(ECTX_E_BECOME_REFUSED, 12);
NUMBER(ECTX_E_BECOME_TIMEOUT, 13);
NUMBER(ECTX_E_NO_TTY, 14);
NUMBER(ECTX_E_NO_PROGRAM, 15);
NUMBER(ECTX_E_SPAWN_FAILED, 16);
NUMBER(ECTX_E_SHELL_EXITED, 17);
NUMBER(ECTX_E_SHELL_SILENT, 18);
NUMBER(ECTX_E_NO_PYTHON, 19);
NUMBER(ECTX_E_BOOT_EXITED, 20);
NUMBER(ECTX_E_BOOT_TIMEOUT, 21);
NUMBER(ECTX_E_EARLY_BYTES, 22);
NUMBER(ECTX_E_VERSION_MISMATCH, 23);
NUMBER(ECTX_E_NO_ROUTE, 24);
NUMBER(ECTX_E_LOST, 25);
NUMBER(ECTX_E_LOST_RUNNING, 26);
NUMBER(ECTX_E_SILENT, 27);
NUMBER(ECTX_E_EXCEPTION, 28);
NUMBER(ECTX_E_CANNOT_TRAVEL, 29);
NUMBER(ECTX_E_NOT_FOUND, 30);
NUMBER(ECTX_E_EXIT_STATUS, 31);
NUMBER(ECTX_E_SIGNALLED, 32);
NUMBER(ECTX_E_NO_COMMAND, 33);
NUMBER(ECTX_E_DEADLINE, 34);
NUMBER(ECTX_E_CANCELLED, 35);
NUMBER(ECTX_E_BUSY, 36);
NUMBER(ECTX_E_TOO_BIG, 37);
NUMBER(ECTX_E_REFUSED_BY_AUTHORITY, 38);
NUMBER(ECTX_E_BLOCK_EXHAUSTED, 39);
NUMBER(ECTX_E_PROTOCOL, 40);
NUMBER(ECTX_E_TOPOLOGY, 41);
NUMBER(ECTX_E_UNKNOWN_TARGET, 42);
NUMBER(ECTX_E_BAD_ARGUMENT, 43);
NUMBER(ECTX_E_SECRET, 44);
NUMBER(ECTX_E_NO_MEMORY, 45);
NUMBER(ECTX_E_SYSTEM, 46);
NUMBER(ECTX_E_CLOSED, 47);
NUMBER(ECTX_E_NO_NATIVE, 48);
NUMBER(ECTX_E_OPEN_FAILED, 49);
NUMBER(ECTX_E_CHANNEL_CLOSED, 50);
NUMBER(ECTX_E_COPY_FAILED, 51);

/* enum ectx_kind */
NUMBER(ECTX_NULL, 0);
NUMBER(ECTX_BOOL, 1);
NUMBER(ECTX_INT, 2);
NUMBER(ECTX_BIGINT, 3);
NUMBER(ECTX_FLOAT, 4);
NUMBER(ECTX_TEXT, 5);
NUMBER(ECTX_BYTES, 6);
NUMBER(ECTX_ARRAY, 7);
NUMBER(ECTX_MAP, 8);

/* enum ectx_event_kind */
NUMBER(ECTX_EVENT_OUTPUT, 0);
NUMBER(ECTX_EVENT_LOG, 1);
NUMBER(ECTX_EVENT_DONE, 2);
NUMBER(ECTX_EVENT_DROPPED, 3);
NUMBER(ECTX_EVENT_INPUT, 4);

/* enum ectx_tunnel_kind */
NUMBER(ECTX_TUNNEL_LOCAL, 0);
NUMBER(ECTX_TUNNEL_REMOTE, 1);
NUMBER(ECTX_TUNNEL_SOCKS, 2);

#if UINTPTR_MAX == UINT64_MAX /* else the layouts are others */

PLACE(ectx_error, status, 0);
PLACE(ectx_error, phase, 4);
PLACE(ectx_error, code, 8);
PLACE(ectx_error, after_ms, 12);
PLACE(ectx_error, limit_ms, 16);
PLACE(ectx_error, path, 20);
PLACE(ectx_error, saw, 532);
PLACE(ectx_error, hint, 2580);
PLACE(ectx_error, detail, 3096);
SIZE(ectx_error, 3104);

PLACE(ectx_options, topology, 0);
PLACE(ectx_options, roots, 8);
PLACE(ectx_options, default_roots, 16);
PLACE(ectx_options, include, 24);
PLACE(ectx_options, exclude, 32);
PLACE(ectx_options, override, 40);
PLACE(ectx_options, log_level, 48);
PLACE(ectx_options, title, 56);
PLACE(ectx_options, ask, 64);
PLACE(ectx_options, ask_arg, 72);
PLACE(ectx_options, give_up, 80);
PLACE(ectx_options, event_limit, 88);
PLACE(ectx_options, files, 96);
SIZE(ectx_options, 104);

PLACE(ectx_exec, argv, 0);
PLACE(ectx_exec, env, 8);
PLACE(ectx_exec, cwd, 16);
PLACE(ectx_exec, rows, 24);
PLACE(ectx_exec, cols, 28);
PLACE(ectx_exec, input, 32);
PLACE(ectx_exec, script, 40);
PLACE(ectx_exec, script_len, 48);
SIZE(ectx_exec, 56);

PLACE(ectx_channel_arg, channel, 0);
PLACE(ectx_channel_arg, index, 8);
PLACE(ectx_channel_arg, key, 16);
SIZE(ectx_channel_arg, 24);

PLACE(ectx_copy_options, resume, 0);
PLACE(ectx_copy_options, limit, 8);
PLACE(ectx_copy_options, pace, 16);
PLACE(ectx_copy_options, connect_timeout_ms, 24);
PLACE(ectx_copy_options, progress, 32);
PLACE(ectx_copy_options, stalled, 40);
PLACE(ectx_copy_options, timeout_ms, 48);
PLACE(ectx_copy_options, failed, 56);
PLACE(ectx_copy_options, arg, 64);
SIZE(ectx_copy_options, 72);

PLACE(ectx_copy_result, entries, 0);
PLACE(ectx_copy_result, bytes, 8);
PLACE(ectx_copy_result, failed, 16);
SIZE(ectx_copy_result, 24);

PLACE(ectx_tunnel_options, kind, 0);
PLACE(ectx_tunnel_options, listen, 8);
PLACE(ectx_tunnel_options, connect, 16);
PLACE(ectx_tunnel_options, user, 24);
PLACE(ectx_tunnel_options, password, 32);
SIZE(ectx_tunnel_options, 40);

PLACE(ectx_tunnel_spec, listen, 0);
PLACE(ectx_tunnel_spec, exit, 8);
PLACE(ectx_tunnel_spec, connect, 16);
SIZE(ectx_tunnel_spec, 24);

PLACE(ectx_event, kind, 0);
PLACE(ectx_event, context, 8);
PLACE(ectx_event, future, 16);
PLACE(ectx_event, stream, 24);
PLACE(ectx_event, level, 28);
PLACE(ectx_event, logger, 32);
PLACE(ectx_event, text, 40);
PLACE(ectx_event, len, 48);
PLACE(ectx_event, dropped, 56);
SIZE(ectx_event, 64);

#endif
