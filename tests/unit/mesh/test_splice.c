/* A stream joined to two descriptors: what its time is for, and how it ends. */
#include "mesh/internal.h"
#include "mesh_support.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>

/* A socket that listens, for as many as that; where it is goes into address. */
static int listening(char address[40], struct sockaddr_in *a, int backlog)
{
	socklen_t n = sizeof *a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	cr_assert(bind(fd, (struct sockaddr *)a, n) == 0 && listen(fd, backlog) == 0);
	cr_assert(getsockname(fd, (struct sockaddr *)a, &n) == 0);
	(void)snprintf(address, 40, "127.0.0.1:%u", (unsigned)ntohs(a->sin_port));
	return fd;
}

/* A byte goes there. */
static void reaches(int from, int to)
{
	char byte = 0;
	cr_assert(write(from, "x", 1) == 1);
	cr_assert(poll(&(struct pollfd){.fd = to, .events = POLLIN}, 1, WITHIN) == 1, "nothing comes");
	cr_assert(read(to, &byte, 1) == 1 && byte == 'x');
}

/* Once it is connected it has no time that ends, and is lost with its exit only. */
Test(splice, its_time_is_for_connecting)
{
	struct world w = world_open();
	struct sockaddr_in a;
	char address[40];
	int server = listening(address, &a, 4), fd[2];
	ectx_context *c = get(w.mesh, "d");
	pid_t pid = pid_of(c);
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
	ectx_future *f = ectx_splice_start(c, address, fd[0], fd[0], WITHIN);
	cr_assert(f);
	int came = accepted(server);
	reaches(fd[1], came);
	reaches(came, fd[1]);
	eci_lock(w.mesh);
	cr_expect_eq(f->deadline_ms, UINT64_MAX);
	eci_unlock(w.mesh);
	cr_assert(kill(pid, SIGKILL) == 0);
	cr_expect_eq(error_of(f)->code, ECTX_E_LOST_RUNNING);
	ectx_future_free(f);
	(void)close(came);
	(void)close(fd[1]);
	(void)close(server);
	world_close(&w);
}

/* What does not answer is given up then, and not when the exit does that (20 s). */
Test(splice, that_time_ends)
{
	struct world w = world_open();
	struct sockaddr_in a;
	char address[40];
	int server = listening(address, &a, 0), fillers[8], fd[2];
	for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++) { /* its backlog is full: it takes no more */
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fillers[i], (struct sockaddr *)&a, sizeof a);
	}
	ectx_context *c = get(w.mesh, "d");
	(void)pid_of(c);
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
	ectx_future *f = ectx_splice_start(c, address, fd[0], fd[0], 1000);
	cr_assert(f);
	cr_expect_eq(error_of(f)->code, ECTX_E_DEADLINE);
	ectx_future_free(f);
	(void)close(fd[1]);
	for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++)
		(void)close(fillers[i]);
	(void)close(server);
	world_close(&w);
}

/* Whoever sits there need not end it by hand. */
Test(splice, a_terminal_is_not_waited_for)
{
	struct world w = world_open();
	struct sockaddr_in a;
	char address[40];
	int server = listening(address, &a, 4), out[2], master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	cr_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0 && pipe2(out, O_CLOEXEC) == 0);
	int in = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ectx_future *f = ectx_splice_start(get(w.mesh, "d"), address, in, out[1], WITHIN);
	cr_assert(in >= 0 && f);
	int came = accepted(server);
	reaches(came, out[0]);
	(void)close(came);
	cr_expect_eq(error_of(f)->code, ECTX_E_NONE);
	ectx_future_free(f);
	(void)close(out[0]);
	(void)close(master);
	(void)close(server);
	world_close(&w);
}
