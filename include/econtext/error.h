/* econtext: what can go wrong, said so that somebody can act: hop path, phase, code, evidence, hint. */
#ifndef ECONTEXT_ERROR_H
#define ECONTEXT_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* How a thing ended; the value is also the exit status of the program. Numbers are frozen. */
enum ectx_status {
	ECTX_OK = 0,
	ECTX_FAILED = 1,      /* a remote command or call failed */
	ECTX_USAGE = 2,       /* usage or topology */
	ECTX_UNREACHABLE = 3, /* no context there */
	ECTX_REFUSED = 4,     /* authentication or become refused */
	ECTX_DEADLINE = 5,
	ECTX_UNKNOWN = 6, /* lost while running: nobody knows the outcome */
	ECTX_INTERNAL = 7,
	ECTX_INTERRUPTED = 130
};

/* Where on the way it ended. */
#define ECTX_PHASES(X)        \
	X(NONE, "")           \
	X(RESOLVE, "resolve") \
	X(CONNECT, "connect") \
	X(HOSTKEY, "hostkey") \
	X(AUTH, "auth")       \
	X(BANNER, "banner")   \
	X(SHELL, "shell")     \
	X(BECOME, "become")   \
	X(BOOT, "boot")       \
	X(VERSION, "version") \
	X(ROUTE, "route")     \
	X(CALL, "call")       \
	X(LOST, "lost")
enum ectx_phase {
#define X(name, text) ECTX_PHASE_##name,
	ECTX_PHASES(X)
#undef X
};

/* What it was: X(NAME, "code", status, "default hint"). Codes are frozen; hints are not. */
#define ECTX_CODES(X)                                                                                                  \
	X(NONE, "", OK, "")                                                                                            \
	X(UNKNOWN_HOST, "unknown-host", UNREACHABLE, "the name does not resolve on the hop before it: check ssh.host") \
	X(CONN_REFUSED, "connection-refused", UNREACHABLE,                                                             \
	  "nothing listens there: check ssh.host and ssh.port, and that sshd runs")                                    \
	X(NO_ROUTE_TO_HOST, "host-unreachable", UNREACHABLE,                                                           \
	  "the hop before it has no network route there: check via")                                                   \
	X(CONNECT_TIMEOUT, "connect-timeout", UNREACHABLE,                                                             \
	  "no answer: a firewall, or a host that is down; timeout.connect sets the limit")                             \
	X(CONN_DROPPED, "connection-dropped", UNREACHABLE,                                                             \
	  "closed before authentication: MaxStartups, or a firewall; "                                                 \
	  "lower dial_window of the hop before it (-f, from here) or retry")                                           \
	X(HOSTKEY_CHANGED, "hostkey-changed", UNREACHABLE,                                                             \
	  "if the change is expected, remove the old key (ssh-keygen -R) on the hop that dials")                       \
	X(HOSTKEY_UNKNOWN, "hostkey-unknown", UNREACHABLE,                                                             \
	  "add the host key to known_hosts on the hop that dials, or set hostkey: accept-new")                         \
	X(AUTH_REFUSED, "auth-refused", REFUSED,                                                                       \
	  "no key that it accepts: try ssh -v from the hop before it, or set ssh.identity")                            \
	X(PASSWORD_WRONG, "password-wrong", REFUSED, "the password was given once and refused: check the secret")      \
	X(PASSWORD_MISSING, "password-missing", REFUSED, "it asks for a password: declare one for this step")          \
	X(AUTH_TIMEOUT, "auth-timeout", REFUSED, "timeout.auth sets the limit")                                        \
	X(BECOME_REFUSED, "become-refused", REFUSED, "the rules on that host do not allow this step")                  \
	X(BECOME_TIMEOUT, "become-timeout", REFUSED, "timeout.become sets the limit")                                  \
	X(NO_TTY, "no-tty", REFUSED, "the program insists on a terminal that could not be had")                        \
	X(NO_PROGRAM, "no-program", UNREACHABLE,                                                                       \
	  "the program that makes the hop is not installed on the hop before it")                                      \
	X(SPAWN_FAILED, "spawn-failed", UNREACHABLE, "the hop before it could not start a process")                    \
	X(SHELL_EXITED, "shell-exited", UNREACHABLE,                                                                   \
	  "the login shell ended before it ran anything: look at the account's shell and rc files")                    \
	X(SHELL_SILENT, "shell-silent", UNREACHABLE,                                                                   \
	  "no sign of a shell within timeout.shell: a menu, or rc files that wait for input")                          \
	X(NO_PYTHON, "no-python", UNREACHABLE, "no python on that host: set python:, or agent: native")                \
	X(BOOT_EXITED, "boot-exited", UNREACHABLE,                                                                     \
	  "the interpreter ended before the agent answered: its last words are above")                                 \
	X(BOOT_TIMEOUT, "boot-timeout", UNREACHABLE, "the agent did not answer within timeout.boot")                   \
	X(EARLY_BYTES, "early-bytes", UNREACHABLE,                                                                     \
	  "something else wrote before the agent did: rc files that print, or a banner")                               \
	X(VERSION_MISMATCH, "version-mismatch", UNREACHABLE, "the two ends speak different versions of the protocol")  \
	X(NO_ROUTE, "no-route", UNREACHABLE, "no such context there any more")                                         \
	X(LOST, "lost", UNREACHABLE, "the link to it ended")                                                           \
	X(LOST_RUNNING, "lost-running", UNKNOWN, "the link ended while it ran: whether it finished is not known")      \
	X(SILENT, "silent", UNKNOWN,                                                                                   \
	  "no byte for timeout.idle: host frozen, network cut, or a call that stops the interpreter")                  \
	X(EXCEPTION, "exception", FAILED, "")                                                                          \
	X(CANNOT_TRAVEL, "cannot-travel", FAILED, "return numbers, text, bytes, lists, dicts, booleans or None")       \
	X(NOT_FOUND, "not-found", FAILED, "the module has no such function")                                           \
	X(EXIT_STATUS, "exit-status", FAILED, "")                                                                      \
	X(SIGNALLED, "signal", FAILED, "")                                                                             \
	X(NO_COMMAND, "no-command", FAILED, "the command could not be started there")                                  \
	X(DEADLINE, "deadline", DEADLINE, "it took longer than the limit that was given; it may still have run")       \
	X(CANCELLED, "cancelled", INTERRUPTED, "")                                                                     \
	X(BUSY, "busy", FAILED, "a queue on the way is full: fewer at a time")                                         \
	X(TOO_BIG, "too-big", FAILED, "at most 64 MiB in one message, and 128 in all that are under way to a context") \
	X(REFUSED_BY_AUTHORITY, "no-authority", FAILED, "")                                                            \
	X(BLOCK_EXHAUSTED, "block-exhausted", UNREACHABLE, "no more ids could be given to that relay")                 \
	X(PROTOCOL, "protocol", INTERNAL, "the other end broke the protocol")                                          \
	X(TOPOLOGY, "topology", USAGE, "")                                                                             \
	X(UNKNOWN_TARGET, "unknown-target", USAGE, "no node of that name in the topology")                             \
	X(BAD_ARGUMENT, "bad-argument", USAGE, "")                                                                     \
	X(SECRET, "secret", REFUSED, "the secret could not be had")                                                    \
	X(NO_MEMORY, "no-memory", INTERNAL, "")                                                                        \
	X(SYSTEM, "system", INTERNAL, "")                                                                              \
	X(CLOSED, "closed", INTERRUPTED, "the mesh is shutting down")                                                  \
	X(NO_NATIVE, "no-native", UNREACHABLE, "the native agent does not run on that host: set agent: python")        \
	X(OPEN_FAILED, "open-failed", FAILED,                                                                          \
	  "the exit could not reach it: check the address, and that something listens there")                          \
	X(CHANNEL_CLOSED, "channel-closed", FAILED, "the other end closed it, or its call has failed")                 \
	X(COPY_FAILED, "copy-failed", FAILED, "nothing of it was left there")
enum ectx_code {
#define X(name, text, status, hint) ECTX_E_##name,
	ECTX_CODES(X)
#undef X
};

/* A failure. Plain data: copy it freely; detail (a remote traceback, or NULL) is owned by it: ectx_error_clear().
 * Set only on failure; zero-initialise before use. */
typedef struct ectx_error {
	enum ectx_status status;
	enum ectx_phase phase;
	enum ectx_code code;
	uint32_t after_ms, limit_ms; /* time the phase took, and its limit; 0 unknown */
	char path[512];              /* "bastion > relay-a > a01", outermost first; "" when no hop is concerned */
	char saw[2048];              /* evidence, control characters escaped; "" none */
	char hint[512];
	char *detail;
} ectx_error;

/* What the tables above say, static and never NULL; of a number that is in none: "" or the first's, status internal.
 * Any thread, and none blocks. */
const char *ectx_phase_name(enum ectx_phase phase);
const char *ectx_code_name(enum ectx_code code);
const char *ectx_code_hint(enum ectx_code code);
enum ectx_status ectx_code_status(enum ectx_code code);
/* Frees detail and zeroes *e. NULL-safe, idempotent. */
void ectx_error_clear(ectx_error *e);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
