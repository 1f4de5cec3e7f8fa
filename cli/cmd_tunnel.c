/* cli: tunnel, socks, connect: TCP and unix streams through a context.
 *
 * The library moves the bytes in its own thread; here is only the grammar of -L, -R and -D, and a loop that prints what
 * it has to say until somebody ends it. Addresses of -L and -R are split as ssh(1) does: an IPv6 address in brackets, a
 * word with a slash is a unix socket, no address to listen at is loopback. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/fan.h"
#include "cli/signals.h"

/* ---- the grammar ---- */

/* Cuts [from, end of text) at colons outside of brackets. Returns how many pieces, at most 5. */
static size_t cut(char *text, char *pieces[5])
{
	size_t n = 0;
	bool inside = false;
	pieces[n++] = text;
	for (char *p = text; *p && n < 5; p++) {
		inside = *p == '[' || (inside && *p != ']');
		if (*p == ':' && !inside) {
			*p = 0;
			pieces[n++] = p + 1;
		}
	}
	return n;
}

/* NULL: it is none. */
static char *address(const char *host, const char *port)
{
	char *end;
	if (!strchr(host, '/') && (*port < '0' || *port > '9' || strtoul(port, &end, 10) > UINT16_MAX || *end))
		return NULL;
	size_t n = strlen(host) + strlen(port) + 7;
	char *out = eci_alloc(n);
	if (strchr(host, '/'))
		snprintf(out, n, "unix:%s", host);
	else
		snprintf(out, n, "%s:%s", host, port);
	return out;
}

/* "[ADDR:]PORT", and the library's own "unix:PATH". */
static bool is_place(const char *text)
{
	char *copy = eci_copy(text, strlen(text)), *p[5];
	size_t n = cut(copy, p);
	char *to = n <= 2 && !strchr(p[0], '/') ? address(n == 2 ? p[0] : "", p[n - 1]) : NULL;
	bool fits = to || strncmp(text, "unix:", 5) == 0;
	free(copy);
	free(to);
	return fits;
}

/* "[ADDR:]PORT:HOST:PORT", either side a path. 0, or an exit status. */
static int split(const char *option, const char *text, char **from, char **to)
{
	char *copy = eci_copy(text, strlen(text)), *p[5];
	size_t n = cut(copy, p), i = 0;
	bool fits = n >= 2 && n <= 4;
	if (fits && strchr(p[0], '/'))
		*from = address(p[i++], "");
	else if (fits && n - (strchr(p[n - 1], '/') ? 1u : 2u) == 2)
		*from = address(p[0], p[1]), i = 2;
	else if (fits)
		*from = address("", p[i++]);
	if (fits && n - i == 1 && strchr(p[i], '/'))
		*to = address(p[i], "");
	else if (fits && n - i == 2)
		*to = address(p[i], p[i + 1]);
	free(copy);
	return *from && *to ? 0
			    : eci_usage("%s %s: write [ADDR:]PORT:HOST:PORT, ports up to 65535, either side a path for "
					"a unix socket",
					option, text);
}

/* ---- the loop ---- */

static void print_events(ectx_mesh *m, const struct eci_opts *o)
{
	struct eci_report report = {.opts = o};
	eci_report_logs(&report, m);
	eci_out_flush();
}

/* Until a signal, or until f is done. */
static void serve(ectx_mesh *m, const struct eci_opts *o, ectx_future *f)
{
	struct pollfd p[2] = {{.fd = ectx_event_fd(m), .events = POLLIN}, {.fd = eci_signals_fd(), .events = POLLIN}};
	for (;;) {
		print_events(m, o); /* f's end may be among them: it is looked at behind them */
		if (eci_signals_interrupts() || eci_signals_ending() || eci_out_error() || (f && ectx_future_done(f)))
			break;
		poll(p, 2, -1);
		eci_signals_drain();
	}
	print_events(m, o);
}

static int open_session(struct eci_session *s, const struct eci_opts *o)
{
	int rc = eci_session_topology(s, o);
	return rc ? rc : eci_session_mesh(s, o, NULL);
}

/* ---- commands ---- */

/* A failure that has a hop is told as exec tells it. */
static int complain(const char *node, ectx_error *e)
{
	struct eci_failures f = {0};
	int status = e->status ? (int)e->status : ECTX_INTERNAL;
	if (!*e->path)
		return eci_complain(e);
	eci_failures_add(&f, node, 0, e);
	eci_failures_print(&f);
	ectx_error_clear(e);
	return status;
}

/* Connects the exit, for what needs it at once; a signal ends the waiting. 0; or an exit status, told already. */
static int reach(const struct eci_opts *o, ectx_context *c, const char *exit)
{
	ectx_future *f = ectx_connect_start(c, o->connect_ms);
	int status = f ? 0 : ECTX_INTERNAL;
	if (f && !eci_session_wait(f)) {
		status = ECTX_INTERRUPTED;
	} else if (f && ectx_future_error(f)->status != ECTX_OK) {
		ectx_error e = eci_connect_error(ectx_future_error(f), o->connect_ms);
		e.detail = NULL; /* the future's */
		status = complain(exit, &e);
	}
	ectx_future_free(f);
	return status;
}

static int run_tunnel(struct eci_session *s, const struct eci_opts *o, const char *exit, const ectx_tunnel_options *t)
{
	ectx_error e = {0};
	ectx_context *c = ectx_context_get(s->mesh, exit, &e);
	int status = c && t->kind == ECTX_TUNNEL_REMOTE ? reach(o, c, exit) : 0;
	if (status)
		return status;
	ectx_tunnel *tunnel = c ? ectx_tunnel_open(c, t, o->connect_ms, &e) : NULL;
	if (!tunnel)
		return complain(exit, &e);
	const char *what = t->kind == ECTX_TUNNEL_SOCKS ? "SOCKS" : t->connect;
	const char *mark = t->kind == ECTX_TUNNEL_REMOTE ? exit : NULL;
	eci_out_printf(2, "econtext: listening at %s%s%s, to %s%s%s\n", ectx_tunnel_address(tunnel), mark ? " of " : "",
		       mark ? mark : "", what, mark ? "" : " from ", mark ? "" : exit);
	eci_out_flush();
	serve(s->mesh, o, NULL);
	ectx_tunnel_close(tunnel);
	return 0;
}

static int named(struct eci_session *s, const struct eci_opts *o)
{
	ectx_tunnel_spec spec;
	ectx_error e = {0};
	if (ectx_topology_tunnel(s->topology, o->args[0], &spec, &e))
		return eci_complain(&e);
	ectx_tunnel_options t = {.kind = spec.connect ? ECTX_TUNNEL_LOCAL : ECTX_TUNNEL_SOCKS,
				 .listen = spec.listen,
				 .connect = spec.connect};
	return run_tunnel(s, o, o->exit ? o->exit : spec.exit, &t);
}

int eci_cmd_tunnel(const struct eci_opts *o)
{
	struct eci_session s = {0};
	char *from = NULL, *to = NULL;
	bool by_name = o->nargs == 1 && !o->local && !o->remote;
	int status = 0;
	if (!by_name && (o->nargs || !o->exit || !o->local == !o->remote))
		return eci_usage("tunnel takes a name of the topology's tunnels, or one of -L and -R with --exit");
	if (!by_name)
		status = o->local ? split("-L", o->local, &from, &to) : split("-R", o->remote, &from, &to);
	if (!status)
		status = open_session(&s, o);
	if (!status && by_name)
		status = named(&s, o);
	else if (!status)
		status = run_tunnel(&s, o, o->exit,
				    &(ectx_tunnel_options){.kind = o->local ? ECTX_TUNNEL_LOCAL : ECTX_TUNNEL_REMOTE,
							   .listen = from,
							   .connect = to});
	free(from);
	free(to);
	return eci_session_close(&s, NULL, status);
}

/* The password of --user: from the environment, so that no list of processes shows it. */
#define PASSWORD_VARIABLE "ECONTEXT_SOCKS_PASSWORD"

int eci_cmd_socks(const struct eci_opts *o)
{
	struct eci_session s = {0};
	const char *given = getenv(PASSWORD_VARIABLE);
	if (!o->exit || o->nargs)
		return eci_usage("socks takes -D [ADDR:]PORT and --exit NODE");
	if (o->dynamic && !is_place(o->dynamic))
		return eci_usage("-D %s: write [ADDR:]PORT, a port up to 65535", o->dynamic);
	if (o->user && !given)
		return eci_usage("--user wants the password in $" PASSWORD_VARIABLE);
	char *password = given ? eci_copy(given, strlen(given)) : NULL;
	(void)unsetenv(PASSWORD_VARIABLE); /* what is started may be another user's, who can read its environment */
	int status = open_session(&s, o);
	if (!status)
		status = run_tunnel(&s, o, o->exit,
				    &(ectx_tunnel_options){.kind = ECTX_TUNNEL_SOCKS,
							   .listen = o->dynamic ? o->dynamic : "1080",
							   .user = o->user,
							   .password = o->user ? password : NULL});
	if (password)
		explicit_bzero(password, strlen(password));
	free(password);
	return eci_session_close(&s, NULL, status);
}

/* A copy of a standard descriptor, which becomes /dev/null: the library closes the copy, and nobody keeps it open. */
static int give_away(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0 && null != fd) {
		(void)dup2(null, fd);
		(void)close(null);
	}
	return copy;
}

/* Whoever read the standard output has gone: no failure, but the end of a filter. */
static bool reader_gone(const ectx_error *e)
{
	const char *why = strstr(e->saw, "writing: ");
	return e->code == ECTX_E_SYSTEM && why == e->saw && !strcmp(why + strlen("writing: "), strerror(EPIPE));
}

static int connect_to(struct eci_session *s, const struct eci_opts *o, const char *to, bool *gone)
{
	ectx_error e = {0};
	ectx_context *c = ectx_context_get(s->mesh, o->args[0], &e);
	if (!c)
		return eci_complain(&e);
	int in = give_away(0);
	ectx_future *f = ectx_splice_start(c, to, in, give_away(1), o->connect_ms);
	if (!f)
		return ECTX_INTERNAL;
	ectx_future_set_user(f, s); /* its end is an event */
	serve(s->mesh, o, f);
	int status = 0;
	if (ectx_future_done(f) && ectx_future_error(f)->status != ECTX_OK) {
		e = eci_connect_error(ectx_future_error(f), o->connect_ms);
		e.detail = NULL;
		*gone = reader_gone(&e);
		status = *gone ? ECTX_INTERNAL : complain(o->args[0], &e);
	}
	ectx_future_free(f);
	return status;
}

int eci_cmd_connect(const struct eci_opts *o)
{
	struct eci_session s = {0};
	if (o->nargs != 3 && !(o->nargs == 2 && strchr(o->args[1], '/')))
		return eci_usage("connect takes NODE HOST PORT, or NODE PATH for a unix socket");
	const char *host = o->args[1];
	bool gone = false;
	bool six = o->nargs == 3 && strchr(host, ':') && host[0] != '[';
	char *bracketed = eci_alloc(strlen(host) + 3);
	sprintf(bracketed, six ? "[%s]" : "%s", host);
	char *to = address(bracketed, o->nargs == 3 ? o->args[2] : "");
	int status = to ? open_session(&s, o) : eci_usage("connect: %s: not a port, a number up to 65535", o->args[2]);
	if (!status)
		status = connect_to(&s, o, to, &gone);
	free(bracketed);
	free(to);
	status = eci_session_close(&s, NULL, status);
	if (gone)
		eci_signals_die(SIGPIPE);
	return status;
}
