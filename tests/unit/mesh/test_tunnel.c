/* A tunnel's clocks, which the test moves on: what a timer is set to is looked at, and then it fires at once. */
#include "mesh/event.h"
#include "mesh/tunnel.h"
#include "mesh_support.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/un.h>

/* The timer's time has come. The lock is held. */
static void fires(ectx_mesh *m, ev_timer *w)
{
	ev_timer_stop(m->loop, w);
	ev_feed_event(m->loop, w, EV_TIMER);
	eci_mesh_wake(m);
}

/* What the next record says, whoever says it. */
static void says(ectx_mesh *m, const char *want)
{
	ectx_event *e = ectx_event_next(m, WITHIN);
	cr_assert(e && e->kind == ECTX_EVENT_LOG, "nothing says %s", want);
	cr_assert(strstr(e->text, want), "%s: not %s", e->text, want);
	ectx_event_free(e);
}

static ectx_tunnel *tunnel(ectx_context *exit, enum ectx_tunnel_kind kind, const char *path)
{
	char at[112];
	ectx_error err = {0};
	(void)snprintf(at, sizeof at, "unix:%s", path);
	ectx_tunnel_options o = {.kind = kind, .listen = at, .connect = kind == ECTX_TUNNEL_SOCKS ? NULL : at};
	ectx_tunnel *t = ectx_tunnel_open(exit, &o, WITHIN, &err);
	cr_assert(t, "%s", err.saw);
	return t;
}

/* The exit's process is ended. */
static void lose(ectx_mesh *m, ectx_context *exit)
{
	cr_assert(kill(pid_of(exit), SIGKILL) == 0);
	says(m, "asking again in 1 s");
}

/* A lost exit is asked again after 1 s, and each time that fails after twice as long, up to 60 s; once it listens it
 * begins at 1 s again. */
Test(tunnel, a_lost_exit_is_asked_less_and_less)
{
	static const double pauses[] = {1, 2, 4, 8, 16, 32, 60, 60};
	struct world w = world_open();
	char path[96], program[96], away[96], want[64];
	(void)snprintf(path, sizeof path, "%s/sock", w.dir);
	(void)snprintf(program, sizeof program, "%s/deaf", w.dir);
	(void)snprintf(away, sizeof away, "%s/away", w.dir);
	ectx_context *exit = get(w.mesh, "deaf");
	ectx_tunnel *t = tunnel(exit, ECTX_TUNNEL_REMOTE, path);
	cr_assert(rename(program, away) == 0);
	struct timespec from = now(); /* before the timer is set */
	lose(w.mesh, exit);
	for (size_t i = 1; i < sizeof pauses / sizeof *pauses; i++) {
		eci_lock(w.mesh);
		double rest = ev_timer_remaining(w.mesh->loop, &t->again);
		if (w.mesh->events || !ev_is_active(&t->again)) { /* its time has come before we did */
			cr_expect((double)ms_since(&from) >= 990. * pauses[i - 1], "%ld ms", ms_since(&from));
		} else {
			cr_expect(rest <= pauses[i - 1], "%f s", rest);
			fires(w.mesh, &t->again);
			from = now();
		}
		eci_unlock(w.mesh);
		(void)snprintf(want, sizeof want, "asking again in %.0f s", pauses[i]);
		says(w.mesh, want);
	}
	cr_assert(rename(away, program) == 0);
	eci_lock(w.mesh);
	fires(w.mesh, &t->again);
	eci_unlock(w.mesh);
	says(w.mesh, "listens again");
	lose(w.mesh, exit);
	ectx_tunnel_close(t);
	world_close(&w);
}

/* Somebody came behind `from`: what is waited for has 20 s, which are over now. */
static void limit_ends(struct world *w, ectx_tunnel *t, const struct timespec *from)
{
	for (bool armed = false; !armed;) {
		nap_ms(1);
		eci_lock(w->mesh);
		armed = t->conns && ev_is_active(&t->conns->limit);
		if (armed) {
			double rest = ev_timer_remaining(w->mesh->loop, &t->conns->limit);
			double late = (double)ms_since(from) / 1000. + .01;
			cr_expect(rest <= 20.01 && rest + late >= 20., "%f s", rest);
			fires(w->mesh, &t->conns->limit);
		}
		eci_unlock(w->mesh);
		cr_assert(ms_since(from) < WITHIN);
	}
}

/* A SOCKS client has 20 s to say where to. */
Test(tunnel, a_silent_client)
{
	struct world w = world_open();
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	(void)snprintf(at.sun_path, sizeof at.sun_path, "%s/sock", w.dir);
	ectx_tunnel *t = tunnel(get(w.mesh, "d"), ECTX_TUNNEL_SOCKS, at.sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct timespec from = now();
	cr_assert(connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
	limit_ends(&w, t, &from);
	char byte;
	cr_expect(read(fd, &byte, 1) == 0, "it is closed");
	(void)close(fd);
	ectx_tunnel_close(t);
	world_close(&w);
}

/* ---- our end of a remote tunnel ---- */

static struct sockaddr_un un(const struct world *w, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", w->dir, name);
	return a;
}

/* From "there" at the exit to "here". */
static ectx_tunnel *remote(const struct world *w)
{
	char at[128], to[128];
	ectx_error err = {0};
	(void)snprintf(at, sizeof at, "unix:%s", un(w, "there").sun_path);
	(void)snprintf(to, sizeof to, "unix:%s", un(w, "here").sun_path);
	ectx_tunnel_options o = {.kind = ECTX_TUNNEL_REMOTE, .listen = at, .connect = to};
	ectx_tunnel *t = ectx_tunnel_open(get(w->mesh, "d"), &o, WITHIN, &err);
	cr_assert(t, "%s", err.saw);
	return t;
}

static int dial_there(const struct world *w)
{
	struct sockaddr_un a = un(w, "there");
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert(connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
	return fd;
}

static struct sockaddr_in loopback(void)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A port that is bound, and with a backlog listens. */
static int bound(struct sockaddr_in *a, int backlog)
{
	socklen_t n = sizeof *a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	*a = loopback();
	cr_assert(bind(fd, (struct sockaddr *)a, n) == 0 && getsockname(fd, (struct sockaddr *)a, &n) == 0);
	cr_assert(backlog < 0 || listen(fd, backlog) == 0);
	return fd;
}

static struct eci_sock_address address(const struct sockaddr_in *a)
{
	struct eci_sock_address x = {.len = sizeof *a};
	memcpy(&x.sa, a, sizeof *a);
	return x;
}

static int descriptors(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	cr_assert(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* A name has several addresses: one refuses, one is of a family that there is not here, the last is where it listens.
 * No socket of those before it is left. */
Test(tunnel, each_address_is_tried)
{
	struct world w = world_open();
	struct sockaddr_un here = un(&w, "here");
	struct sockaddr_in refuses;
	int server = socket(AF_UNIX, SOCK_STREAM, 0), none = bound(&refuses, -1);
	cr_assert(bind(server, (struct sockaddr *)&here, sizeof here) == 0 && listen(server, 4) == 0);
	ectx_tunnel *t = remote(&w);
	eci_lock(w.mesh);
	cr_assert(t->ntargets == 1);
	t->targets[3] = t->targets[0];
	t->targets[0] = t->targets[2] = address(&refuses);
	t->targets[1] = (struct eci_sock_address){.sa.ss_family = AF_MAX, .len = sizeof refuses};
	t->ntargets = 4;
	eci_unlock(w.mesh);
	int before = descriptors();
	int client = dial_there(&w), came = accepted(server);
	char byte = 0;
	cr_assert(came >= 0 && write(client, "x", 1) == 1 && read(came, &byte, 1) == 1 && byte == 'x');
	(void)close(came);
	cr_expect(read(client, &byte, 1) == 0);
	(void)close(client);
	for (struct timespec from = now(); descriptors() > before; nap_ms(1))
		cr_assert(ms_since(&from) < WITHIN, "%d, %d before", descriptors(), before);
	eci_lock(w.mesh);
	t->ntargets = 3; /* and where none is left, it is said */
	eci_unlock(w.mesh);
	client = dial_there(&w);
	says(w.mesh, "Connection refused");
	(void)close(client);
	eci_lock(w.mesh);
	t->targets[0] = t->targets[1];
	t->ntargets = 1; /* and where there is no socket for any */
	eci_unlock(w.mesh);
	client = dial_there(&w);
	says(w.mesh, "/here: Address family not supported by protocol");
	(void)close(client);
	(void)close(none);
	(void)close(server);
	ectx_tunnel_close(t);
	world_close(&w);
}

/* Somebody comes to the exit, and is heard and answered. */
static void comes(const struct world *w, int server)
{
	int client = dial_there(w);
	struct pollfd p = {.fd = server, .events = POLLIN};
	cr_assert(poll(&p, 1, WITHIN) == 1, "it is taken");
	int came = accepted(server);
	char byte = 0;
	cr_assert(came >= 0 && write(client, "x", 1) == 1 && read(came, &byte, 1) == 1 && byte == 'x');
	cr_assert(write(came, "y", 1) == 1 && read(client, &byte, 1) == 1 && byte == 'y');
	(void)close(came);
	(void)close(client);
}

/* The exit's numbers of who comes have 32 bits; of what is none it is said that he was not taken. */
Test(tunnel, numbers_of_connections)
{
	static const char old_py[] = "import econtext\n"
				     "def number(was, n):\n"
				     "    v = [x for x in vars(econtext).values() if type(x) is list and x == [was]]\n"
				     "    v[0][0] = Odd(n) if n < 0 else n\n"
				     "    return len(v)\n"
				     "class Odd(int):\n"
				     "    def __add__(self, n): return self\n"
				     "    def __and__(self, n): return 1 << 32\n";
	struct world w = world_open();
	put_file(w.dir, "old.py", old_py, 0644);
	struct sockaddr_un here = un(&w, "here");
	int server = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert(bind(server, (struct sockaddr *)&here, sizeof here) == 0 && listen(server, 4) == 0);
	ectx_tunnel *t = remote(&w);
	ectx_context *exit = get(w.mesh, "d");
	comes(&w, server);
	comes(&w, server);
	cr_assert(call_int(exit, "old:number", "[2, 2147483646]") == 1);
	comes(&w, server);
	comes(&w, server);
	cr_assert(call_int(exit, "old:number", "[2147483648, 4294967294]") == 1);
	comes(&w, server);
	comes(&w, server);
	comes(&w, server);
	cr_assert(call_int(exit, "old:number", "[1, -1]") == 1);
	int client = dial_there(&w);
	says(w.mesh, "a connection was not taken");
	(void)close(client);
	comes(&w, server);
	(void)close(server);
	ectx_tunnel_close(t);
	world_close(&w);
}

/* Of the exit's as of those that come here there are ECI_TUNNEL_CONNS_MAX at once. */
Test(tunnel, as_many_as_a_tunnel_has)
{
	struct world w = world_open();
	struct sockaddr_un here = un(&w, "here");
	int server = socket(AF_UNIX, SOCK_STREAM, 0), clients[2];
	cr_assert(bind(server, (struct sockaddr *)&here, sizeof here) == 0 && listen(server, 4) == 0);
	ectx_tunnel *t = remote(&w);
	eci_lock(w.mesh);
	t->nconns = ECI_TUNNEL_CONNS_MAX - 1; /* as if */
	eci_unlock(w.mesh);
	clients[0] = dial_there(&w);
	int came = accepted(server);
	clients[1] = dial_there(&w);
	says(w.mesh, "a connection was not taken: there are as many as a tunnel has");
	eci_lock(w.mesh);
	t->nconns = 1;
	eci_unlock(w.mesh);
	for (int i = 0; i < 2; i++)
		(void)close(clients[i]);
	(void)close(came);
	(void)close(server);
	ectx_tunnel_close(t);
	world_close(&w);
}

static void reads(int fd, char *out, size_t n)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	for (ssize_t r; n; out += r, n -= (size_t)r) {
		cr_assert(poll(&p, 1, WITHIN) == 1, "%zu bytes do not come", n);
		r = read(fd, out, n);
		cr_assert_gt(r, 0);
	}
}

/* What was said before the answer comes through, as does what follows; and the 20 s were for the beginning alone. */
static void goes_on(struct world *w, const ectx_tunnel *t, int client, int server)
{
	char text[6] = "";
	int came = accepted(server);
	reads(came, text, 5);
	cr_expect_str_eq(text, "early");
	cr_assert(write(came, "y", 1) == 1);
	reads(client, text, 1);
	cr_expect_eq(text[0], 'y');
	eci_lock(w->mesh);
	cr_expect(t->conns && !ev_is_active(&t->conns->limit) && !ev_is_active(&t->conns->hand));
	eci_unlock(w->mesh);
	(void)close(client);
	(void)close(came);
}

Test(tunnel, connections_that_have_begun)
{
	struct world w = world_open();
	struct sockaddr_un at = un(&w, "sock");
	struct sockaddr_in a;
	char hello[22] = "\5\1\0\5\1\0\1", answer[12]; /* a greeting, CONNECT, and what is for the other end */
	int server = bound(&a, 4), client = socket(AF_UNIX, SOCK_STREAM, 0);
	memcpy(hello + 7, &a.sin_addr, 4);
	memcpy(hello + 11, &a.sin_port, 2);
	memcpy(hello + 13, "early", 5);
	ectx_tunnel *t = tunnel(get(w.mesh, "d"), ECTX_TUNNEL_SOCKS, at.sun_path);
	cr_assert(connect(client, (struct sockaddr *)&at, sizeof at) == 0 && write(client, hello, 18) == 18);
	reads(client, answer, sizeof answer);
	cr_assert(!memcmp(answer, "\5\0\5\0", 4));
	goes_on(&w, t, client, server);
	ectx_tunnel_close(t);
	t = remote(&w);
	eci_lock(w.mesh);
	t->targets[0] = address(&a);
	eci_unlock(w.mesh);
	client = dial_there(&w);
	cr_assert(write(client, "early", 5) == 5);
	goes_on(&w, t, client, server);
	(void)close(server);
	ectx_tunnel_close(t);
	world_close(&w);
}

/* What does not answer is given up after 20 s, and that is said. */
Test(tunnel, an_end_that_does_not_answer)
{
	struct world w = world_open();
	struct sockaddr_in a;
	int server = bound(&a, 0), fillers[8];
	for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++) { /* its backlog is full: it takes no more */
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fillers[i], (struct sockaddr *)&a, sizeof a);
	}
	ectx_tunnel *t = remote(&w);
	eci_lock(w.mesh);
	t->targets[0] = address(&a);
	eci_unlock(w.mesh);
	int client = dial_there(&w);
	struct timespec from = now();
	limit_ends(&w, t, &from);
	says(w.mesh, "Connection timed out");
	char byte;
	cr_expect(read(client, &byte, 1) <= 0, "it is reset");
	(void)close(client);
	for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++)
		(void)close(fillers[i]);
	(void)close(server);
	ectx_tunnel_close(t);
	world_close(&w);
}

/* A SOCKS proxy whose user was not set was anybody's, and what demanded a user of a plain tunnel had no effect. */
Test(tunnel, options_that_mean_nothing)
{
	static const char listen[] = "0", to[] = "127.0.0.1:1";
	static const struct {
		ectx_tunnel_options o;
		const char *says;
	} bad[] = {
		{{.kind = ECTX_TUNNEL_LOCAL, .listen = listen, .connect = to, .user = "u"}, "only a SOCKS"},
		{{.kind = ECTX_TUNNEL_LOCAL, .listen = listen, .connect = to, .password = "p"}, "only a SOCKS"},
		{{.kind = ECTX_TUNNEL_REMOTE, .listen = listen, .connect = to, .user = "u", .password = "p"},
		 "only a SOCKS"},
		{{.kind = ECTX_TUNNEL_SOCKS, .listen = listen, .connect = to}, "no address to connect to"},
		{{.kind = ECTX_TUNNEL_SOCKS, .listen = listen, .password = "p"}, "anybody could connect"},
		{{.kind = ECTX_TUNNEL_SOCKS}, "where to listen"},
		{{.kind = ECTX_TUNNEL_LOCAL, .listen = listen}, "and where to"},
		{{.kind = (enum ectx_tunnel_kind)7, .listen = listen, .connect = to}, "no such kind"},
	};
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ectx_error err = {0};
		ectx_tunnel *t = ectx_tunnel_open(d, &bad[i].o, WITHIN, &err);
		cr_expect(!t && err.code == ECTX_E_BAD_ARGUMENT && strstr(err.saw, bad[i].says), "%zu: %s", i, err.saw);
		ectx_tunnel_close(t);
		ectx_error_clear(&err);
	}
	cr_expect(d->state == ECI_IDLE, "nobody was asked");
	world_close(&w);
}
