/* Stands in for the native agent behind a loader: says in one line how it came to be, and what was left on stdin for
 * it. A static program, as the agent is; large, so that more than one read and one pipe's worth is loaded. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char exe[300] = "?", rest[128];
	unsigned fds = 0;
	size_t n = 0;
	ssize_t r = readlink("/proc/self/exe", exe, sizeof exe - 1);
	exe[r > 0 ? r : 1] = 0;
	while (n < sizeof rest && (r = read(0, rest + n, sizeof rest - n)) > 0)
		n += (size_t)r;
	for (int fd = 3; fd < 64; fd++)
		fds += fcntl(fd, F_GETFD) >= 0;
	mode_t mask = umask(0);
	printf("exe=%s|args=%d|room=%zu|umask=%o|fds=%u|rest=%.*s\n", exe, argc, argc > 1 ? strlen(argv[1]) : 0,
	       (unsigned)mask, fds, (int)n, rest);
	return 0;
}
