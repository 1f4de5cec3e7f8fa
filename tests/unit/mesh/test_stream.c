/* Streams from several threads at once: each its own, or two at one stream, one that reads and one that writes. What is
 * at the other end is a server in this process, which gives back what it gets, or does not read at all. */
#include "mesh/tunnel.h"
#include "mesh_support.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <termios.h>

enum { THREADS = 8, ROUNDS = 6, LONG = 3 << 20 };

/* ---- the other end ---- */
struct server {
	int fd;
	char address[40];
	bool deaf; /* accepts, and neither reads nor writes */
};

static void *give_back(void *arg)
{
	static _Thread_local char buf[65536];
	int fd = (int)(intptr_t)arg;
	ssize_t n;
	while ((n = read(fd, buf, sizeof buf)) > 0)
		for (ssize_t at = 0, m; at < n; at += m)
			if ((m = send(fd, buf + at, (size_t)(n - at), MSG_NOSIGNAL)) <= 0)
				break;
	(void)close(fd);
	return NULL;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;) {
		pthread_t id;
		if (!s->deaf && pthread_create(&id, NULL, give_back, (void *)(intptr_t)fd) == 0)
			(void)pthread_detach(id);
	}
	return NULL;
}

/* Serves until the process ends, and a test is one. */
static void server_open(struct server *s, bool deaf)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	pthread_t id;
	*s = (struct server){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .deaf = deaf};
	cr_assert(bind(s->fd, (struct sockaddr *)&a, n) == 0 && listen(s->fd, 64) == 0 &&
		  getsockname(s->fd, (struct sockaddr *)&a, &n) == 0);
	(void)snprintf(s->address, sizeof s->address, "127.0.0.1:%u", (unsigned)ntohs(a.sin_port));
	cr_assert(pthread_create(&id, NULL, serve, s) == 0 && pthread_detach(id) == 0);
}

/* ---- what the threads do ---- */
struct user {
	ectx_context *context;
	const char *address;
	ectx_stream *stream;
	unsigned number;
	size_t size, done; /* done: guarded by the joining */
	int wrong, error;
};

static unsigned char byte_at(unsigned number, size_t i)
{
	return (unsigned char)(i * 31 + i / 251 + number * 7);
}

static void open_one(struct user *u)
{
	ectx_error err = {0};
	u->wrong += ectx_stream_open(u->context, u->address, WITHIN, &u->stream, &err) != ECTX_OK;
	if (u->wrong)
		(void)fprintf(stderr, "%s: %s\n", ectx_context_name(u->context), err.saw);
	ectx_error_clear(&err);
}

/* Writes `size` bytes and the end. */
static void *write_all(void *arg)
{
	struct user *u = arg;
	unsigned char buf[20000];
	size_t at = 0;
	while (at < u->size) {
		size_t n = u->size - at < sizeof buf ? u->size - at : sizeof buf;
		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(u->number, at + i);
		long m = ectx_stream_write(u->stream, buf, n, WITHIN);
		if (m <= 0) {
			u->error = errno;
			break;
		}
		at += (size_t)m;
	}
	u->done = at;
	ectx_stream_end(u->stream);
	return NULL;
}

/* Reads to the end. */
static void *read_all(void *arg)
{
	struct user *u = arg;
	unsigned char buf[30000];
	size_t at = 0;
	long n;
	while ((n = ectx_stream_read(u->stream, buf, sizeof buf, WITHIN)) > 0)
		for (long i = 0; i < n; i++, at++)
			u->wrong += buf[i] != byte_at(u->number, at);
	u->error = n < 0 ? errno : 0;
	u->done = at;
	return NULL;
}

static void *open_to_free(void *arg)
{
	struct user *u = arg;
	for (unsigned i = 0; i < ROUNDS && !u->wrong; i++) {
		open_one(u);
		if (u->wrong)
			break;
		u->size = i * 9000;
		(void)write_all(u); /* less than a window: the other end's answer may wait */
		if (i % 3 == 2) {   /* and may also find nobody */
			ectx_stream_free(u->stream);
			continue;
		}
		u->wrong += u->error != 0;
		(void)read_all(u);
		u->wrong += u->error != 0 || u->done != u->size || *ectx_stream_why(u->stream);
		ectx_stream_free(u->stream);
	}
	return NULL;
}

Test(stream, eight_threads_each_with_its_own)
{
	static const char *const names[THREADS] = {"a", "b", "c", "d", "d", "b", "c", "a"};
	struct world w = world_open();
	struct server s;
	struct user u[THREADS];
	pthread_t id[THREADS];
	server_open(&s, false);
	for (unsigned i = 0; i < THREADS; i++) {
		u[i] = (struct user){.context = get(w.mesh, names[i]), .address = s.address, .number = i};
		cr_assert(pthread_create(&id[i], NULL, open_to_free, &u[i]) == 0);
	}
	for (int i = 0; i < THREADS; i++) {
		cr_assert(pthread_join(id[i], NULL) == 0);
		cr_expect(u[i].wrong == 0, "thread %d", i);
	}
	world_close(&w);
}

Test(stream, one_reads_and_one_writes)
{
	static const char *const names[] = {"a", "c", "d"};
	struct world w = world_open();
	struct server s;
	struct user in[3], out[3];
	pthread_t id[6];
	server_open(&s, false);
	for (unsigned i = 0; i < 3; i++) {
		out[i] = (struct user){.context = get(w.mesh, names[i]), .address = s.address, .number = i};
		out[i].size = LONG;
		open_one(&out[i]);
		cr_assert(out[i].stream, "%s", names[i]);
		in[i] = out[i];
		cr_assert(pthread_create(&id[i], NULL, read_all, &in[i]) == 0);
		cr_assert(pthread_create(&id[3 + i], NULL, write_all, &out[i]) == 0);
	}
	for (int i = 0; i < 6; i++)
		cr_assert(pthread_join(id[i], NULL) == 0);
	for (int i = 0; i < 3; i++) {
		cr_expect(out[i].done == LONG && !out[i].error, "%s: %zu written", names[i], out[i].done);
		cr_expect(in[i].done == LONG && !in[i].error && !in[i].wrong, "%s: %zu read", names[i], in[i].done);
		ectx_stream_free(out[i].stream);
	}
	world_close(&w);
}

/* Somebody comes, all descriptors are taken, and no connection of the tunnel will end: it looks again in a while. */
Test(stream, a_tunnel_without_a_descriptor_does_not_spin)
{
	struct world w = world_open();
	struct server s;
	server_open(&s, false);
	struct user u = {.context = get(w.mesh, "d")};
	ectx_error err = {0};
	const ectx_tunnel_options o = {.listen = "0", .connect = s.address};
	ectx_tunnel *t = ectx_tunnel_open(u.context, &o, WITHIN, &err);
	cr_assert(t, "%s", err.saw);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	a.sin_port = htons((uint16_t)atoi(strrchr(ectx_tunnel_address(t), ':') + 1));
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct rlimit old, none;
	cr_assert(ectx_connect(u.context, WITHIN, &err) == ECTX_OK && getrlimit(RLIMIT_NOFILE, &old) == 0);
	none = old;
	none.rlim_cur = 3;
	cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
	struct timespec from = now();
	cr_assert(connect(fd, (const struct sockaddr *)&a, sizeof a) == 0);
	ectx_event *first = ectx_event_next(w.mesh, WITHIN);
	cr_assert(first, "nobody looked");
	ectx_event_free(first);
	nap_ms(500);
	cr_assert(setrlimit(RLIMIT_NOFILE, &old) == 0);
	long said = 1, most = 1 + (long)((double)ms_since(&from) / 1000. / ECI_TUNNEL_AGAIN_S);
	for (ectx_event *e; (e = ectx_event_next(w.mesh, 0)) && said < 100; said++)
		ectx_event_free(e);
	cr_expect(said <= most, "%ld", said);
	char c = 'x';
	cr_expect(write(fd, &c, 1) == 1 && read(fd, &c, 1) == 1); /* it has been taken since */
	(void)close(fd);
	ectx_tunnel_close(t);
	world_close(&w);
}

static void *ask_why(void *arg)
{
	struct user *u = arg;
	for (int i = 0; i < 10 * WITHIN && !*ectx_stream_why(u->stream); i++)
		nap_ms(1);
	u->done = strlen(ectx_stream_why(u->stream));
	return NULL;
}

/* Whoever sleeps in a stream is told when another thread ends it, and when its context is lost. */
Test(stream, sleepers_are_told)
{
	struct world w = world_open();
	struct server s;
	pthread_t reader, writer, third;
	server_open(&s, true);
	struct user in = {.context = get(w.mesh, "d"), .address = s.address};
	pid_t pid = pid_of(in.context);
	open_one(&in);
	cr_assert(in.stream != NULL);
	struct user out = in, why = in;
	out.size = SIZE_MAX;
	cr_assert(pthread_create(&reader, NULL, read_all, &in) == 0);
	cr_assert(pthread_create(&third, NULL, ask_why, &why) == 0);
	cr_assert(pthread_create(&writer, NULL, write_all, &out) == 0);
	nap_ms(300); /* nobody reads: it has come to a stand, most likely */
	ectx_stream_end(in.stream);
	cr_assert(pthread_join(writer, NULL) == 0);
	cr_expect(out.error == EPIPE && out.done > 0, "%d", out.error);
	cr_assert(kill(pid, SIGKILL) == 0);
	cr_assert(pthread_join(reader, NULL) == 0 && pthread_join(third, NULL) == 0);
	cr_expect(in.error == ECONNRESET && in.done == 0, "%d", in.error);
	cr_expect(why.done > 0);
	char byte;
	cr_expect(ectx_stream_write(in.stream, "x", 1, 0) == -1 && errno == EPIPE);
	cr_expect(ectx_stream_read(in.stream, &byte, 1, 0) == -1 && errno == ECONNRESET);
	ectx_mesh_free(w.mesh);
	ectx_stream_free(in.stream);
	w.mesh = NULL;
	world_close(&w);
}

static enum ectx_code splice_code(ectx_context *c, const char *address, int in, int out)
{
	ectx_future *f = ectx_splice_start(c, address, in, out, WITHIN);
	cr_assert(f);
	enum ectx_code code = error_of(f)->code;
	ectx_future_free(f);
	return code;
}

/* An assertion of the loop's library ended the program. */
Test(stream, what_is_no_descriptor_is_not_spliced)
{
	struct world w = world_open();
	struct server s;
	server_open(&s, false);
	ectx_context *c = get(w.mesh, "d");
	cr_expect(splice_code(c, s.address, -1, -1) == ECTX_E_BAD_ARGUMENT);
	int fd = dup(0);
	cr_expect(splice_code(c, s.address, fd, 1 << 30) == ECTX_E_BAD_ARGUMENT);
	cr_expect(fcntl(fd, F_GETFD) < 0 && errno == EBADF, "on failure too it is closed");
	world_close(&w);
}

/* One descriptor given twice need not be a socket. What comes back is behind what was read, as for anybody who writes
 * to a file at its end. */
Test(stream, a_file_is_spliced_both_ways)
{
	struct world w = world_open();
	struct server s;
	server_open(&s, false);
	char path[96], text[16] = "";
	(void)snprintf(path, sizeof path, "%s/both", w.dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert(fd >= 0 && write(fd, "abc", 3) == 3 && lseek(fd, 0, SEEK_SET) == 0);
	cr_expect(splice_code(get(w.mesh, "d"), s.address, fd, fd) == ECTX_E_NONE);
	cr_expect(fcntl(fd, F_GETFD) < 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_expect(read(fd, text, sizeof text - 1) == 6 && strcmp(text, "abcabc") == 0, "%s", text);
	(void)close(fd);
	world_close(&w);
}

/* Whose fault it is, is said of one socket as of two descriptors. */
Test(stream, a_socket_of_ours_that_takes_nothing)
{
	struct world w = world_open();
	struct server s;
	int fd[2], copies;
	server_open(&s, false);
	for (copies = 1; copies <= 2; copies++) {
		cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
		cr_assert(write(fd[1], "abc", 3) == 3 && shutdown(fd[1], SHUT_RD) == 0);
		int out = copies == 1 ? fd[0] : fcntl(fd[0], F_DUPFD_CLOEXEC, 3);
		cr_expect(splice_code(get(w.mesh, "d"), s.address, fd[0], out) == ECTX_E_SYSTEM, "%d", copies);
		struct pollfd peer = {.fd = fd[1]};
		cr_expect(poll(&peer, 1, WITHIN) == 1 && peer.revents & POLLHUP, "all of it is closed");
		(void)close(fd[1]);
	}
	world_close(&w);
}

/* No deadline is kept by a loop that waits itself, so another thread asks. */
struct asking {
	ectx_context *context;
	sem_t answered;
};

static void *ask_pid(void *arg)
{
	struct asking *a = arg;
	(void)pid_of(a->context);
	(void)sem_post(&a->answered);
	return NULL;
}

/* A terminal, of which out is one side, that nobody reads until it takes nothing any more. The loop waited in its
 * write, with the lock. Into a pty's master each byte goes by itself, so what is under way there is not waited for. */
static void stopped_terminal(ectx_mesh *m, const char *address, int out, int far, bool master)
{
	ectx_context *c = get(m, "d");
	int in[2];
	char buf[4096];
	size_t sent = 0, got = 0;
	cr_assert(pipe2(in, O_CLOEXEC) == 0 && fcntl(in[1], F_SETFL, O_NONBLOCK) == 0);
	memset(buf, 'x', sizeof buf);
	buf[63] = '\n';
	ectx_future *f = ectx_splice_start(c, address, in[0], out, WITHIN);
	for (int stands = 0; stands < 500; stands++) { /* ms, most likely for good */
		ssize_t n = write(in[1], buf, sizeof buf);
		sent += n > 0 ? (size_t)n : 0;
		stands = n > 0 ? 0 : stands;
		nap_ms(1);
	}
	struct asking asking = {.context = c};
	struct timespec until;
	pthread_t id;
	cr_assert(sem_init(&asking.answered, 0, 0) == 0 && pthread_create(&id, NULL, ask_pid, &asking) == 0);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WITHIN / 1000;
	cr_expect(sem_timedwait(&asking.answered, &until) == 0, "a call has no answer");
	(void)close(in[1]);
	while (!master && got < sent) {
		ssize_t n = read(far, buf, sizeof buf);
		cr_assert(n > 0);
		for (ssize_t i = 0; i < n; i++)
			got += buf[i] != '\r';
	}
	cr_expect(master || (got == sent && error_of(f)->status == ECTX_OK), "%zu of %zu", got, sent);
	(void)close(far); /* of a pty that is full: nobody is there any more, which poll says without POLLOUT */
	cr_expect(!master || error_of(f)->code == ECTX_E_SYSTEM);
	cr_assert(pthread_join(id, NULL) == 0);
	ectx_future_free(f);
}

Test(stream, a_terminal_that_nobody_reads_holds_up_nobody)
{
	struct world w = world_open();
	struct server s;
	struct termios raw;
	server_open(&s, false);
	for (int master = 0; master <= 1; master++) {
		int side[2] = {posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
		cr_assert(side[0] >= 0 && unlockpt(side[0]) == 0);
		side[1] = open(ptsname(side[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
		cr_assert(tcgetattr(side[1], &raw) == 0);
		cfmakeraw(&raw);
		cr_assert(!master || tcsetattr(side[1], TCSANOW, &raw) == 0);
		stopped_terminal(w.mesh, s.address, side[!master], side[master], master);
	}
	world_close(&w);
}

Test(stream, a_tunnel_is_of_a_kind_that_there_is)
{
	struct world w = world_open();
	ectx_error err = {0};
	ectx_tunnel_options o = {.kind = (enum ectx_tunnel_kind)3, .listen = "0", .connect = "127.0.0.1:1"};
	cr_expect(!ectx_tunnel_open(get(w.mesh, "d"), &o, WITHIN, &err) && err.code == ECTX_E_BAD_ARGUMENT);
	ectx_error_clear(&err);
	world_close(&w);
}

static enum ectx_code open_code(ectx_context *c, const char *address)
{
	ectx_error err = {0};
	ectx_stream *s;
	(void)ectx_stream_open(c, address, WITHIN, &s, &err);
	ectx_stream_free(s);
	enum ectx_code code = err.code;
	ectx_error_clear(&err);
	return code;
}

Test(stream, an_address_that_no_one_can_be_reached_at_is_bad_before_it_is_sent)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	const char *const bad[] = {"", ":1", "127.0.0.1:0", "[]:1", "::1:1", "h:", "h:65536", "unix:"};
	char path[5 + 108 + 1] = "unix:/";
	memset(path + 6, 'x', 106);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect(open_code(d, bad[i]) == ECTX_E_BAD_ARGUMENT, "%s", bad[i]);
	cr_expect(open_code(d, path) == ECTX_E_OPEN_FAILED);
	path[5 + 107] = 'x';
	cr_expect(open_code(d, path) == ECTX_E_BAD_ARGUMENT);
	world_close(&w);
}
