/* conformance_child SOCKET NAME: the process at the far end of a child link.
 *
 * It plays no part itself: it gives its three descriptors (and its controlling terminal, if it has one) to the runner
 * over SOCKET, lets go of them, and waits. So the runner reads and writes the very pipes of the implementation under
 * test, sees every end of file as it is, and no byte passes through a third hand. One byte from the runner is the
 * status to exit with; when the runner goes away it ends as well.
 *
 * C and not Python: a vector may start 70 of them. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 || strlen(path) >= sizeof a.sun_path)
		return -1;
	memcpy(a.sun_path, path, strlen(path));
	return connect(s, (struct sockaddr *)&a, sizeof a) ? -1 : s;
}

static int hand_over(int s, const char *name, const int *fd, size_t n)
{
	char room[CMSG_SPACE(4 * sizeof(int))] = {0};
	struct iovec v = {.iov_base = (void *)(uintptr_t)name, .iov_len = strlen(name)};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fd, n * sizeof(int));
	return sendmsg(s, &m, 0) < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	int fd[4] = {0, 1, 2, -1};
	int s = argc == 3 ? dial(argv[1]) : -1;
	if (s < 0) {
		(void)fprintf(stderr, "conformance_child: no socket\n");
		return 99;
	}
	fd[3] = open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (hand_over(s, argv[2], fd, fd[3] < 0 ? 3 : 4))
		return 98;
	for (int i = 0; i < 3; i++)
		(void)close(i);
	unsigned char status = 0;
	return read(s, &status, 1) == 1 ? status : 97;
}
