/* Reading secrets: from the environment, a descriptor, a file or a command's output. Only the first line counts. The
 * value is read straight into the guarded buffer, and nothing else ever holds it. */
#include "io/secret.h"
#include "io/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMAND_MS 30000
#define LOOK_MS 200 /* from one look at whether it is still wanted to the next */

char *eci_secret_alloc(void)
{
	char *p = sodium_malloc(ECI_SECRET_MAX);
	if (p)
		memset(p, 0, ECI_SECRET_MAX);
	return p;
}

void eci_secret_free(char *value)
{
	sodium_free(value);
}

#define LINE_ENDS "\r\n" /* as on a terminal */

void eci_secret_cut(char *value)
{
	size_t n = strcspn(value, LINE_ENDS);
	eci_wipe(value + n, strlen(value + n));
}

void eci_wipe(void *p, size_t n)
{
	if (p)
		sodium_memzero(p, n);
}

static int complain(char *why, size_t cap, const char *name, const char *what)
{
	(void)snprintf(why, cap, "secret %s: %s", name, what);
	return -1;
}

static int64_t now_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool given_up(const struct eci_secret_wait *w)
{
	return w->give_up && w->give_up(w->arg);
}

/* The last of what a command wrote to its stderr. */
struct words {
	int fd; /* -1: it has been closed there */
	size_t n;
	char said[4096];
};

/* Takes what is there, but not for ever: it may write faster than it is read. Else it would wait for room in its pipe,
 * and not end. Behind the first line of stdout nothing is wanted (to NULL). False: it has been closed
 * there. */
static bool drain(int fd, struct words *to)
{
	char piece[2048];
	ssize_t r = -1;
	for (int i = 0; i < 64 && (r = read(fd, piece, sizeof piece)) > 0; i++) {
		if (!to)
			continue;
		size_t n = (size_t)r, room = sizeof to->said - 1;
		if (to->n + n > room) {
			size_t keep = room - n < to->n ? room - n : to->n;
			memmove(to->said, to->said + to->n - keep, keep);
			to->n = keep;
		}
		memcpy(to->said + to->n, piece, n);
		to->n += n;
	}
	eci_wipe(piece, sizeof piece);
	return r != 0;
}

/* As poll(2), for COMMAND_MS whatever signals come: a caller's thread has the program's handlers, and a terminal whose
 * size changes while somebody types must not be the end of it. What is said beside it (NULL: nothing is) is taken
 * meanwhile, so that who writes it does not stand. NULL, or what is wrong. */
static const char *wait_readable(int fd, const struct eci_secret_wait *w, struct words *beside)
{
	struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = beside ? beside->fd : -1, .events = POLLIN}};
	int64_t now = now_ms(), until = now + COMMAND_MS, look = now + LOOK_MS;
	for (; now < until; now = now_ms()) {
		int r = poll(p, 2, now < look ? (int)(look - now) : 0);
		if (r > 0 && p[0].revents)
			return NULL;
		if (r < 0 && errno != EINTR)
			return strerror(errno);
		if (r > 0 && !drain(beside->fd, beside))
			p[1].fd = beside->fd = -1;
		if (r > 0 && now < look)
			continue;
		if (given_up(w))
			return "it was given up";
		look = now + LOOK_MS;
	}
	return "no line came within 30 s";
}

/* Of that file or program. */
static int complain_of(char *why, size_t cap, const char *name, const char *of, const char *what)
{
	(void)snprintf(why, cap, "secret %s: %s: %s", name, of, what);
	return -1;
}

/* Until end of file or a newline; what comes before it must fit. NULL, or what is wrong. */
static const char *read_line(int fd, char *buf, size_t cap, const struct eci_secret_wait *w, struct words *beside)
{
	size_t n = 0;
	char c;
	for (;;) {
		const char *wrong = wait_readable(fd, w, beside);
		if (wrong)
			return wrong;
		ssize_t r = read(fd, &c, 1);
		if (r < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (r < 0)
			return strerror(errno);
		if (r > 0 && c != '\n' && n + 1 == cap)
			return "its first line is too long";
		if (r == 0 || c == '\n')
			break;
		buf[n++] = c;
	}
	buf[n] = 0;
	eci_secret_cut(buf);
	return NULL;
}

static int from_file(const struct eci_secret *s, char *buf, size_t cap, const struct eci_secret_wait *w, char *why,
		     size_t why_cap)
{
	struct stat st;
	/* A fifo that nobody writes to yet is waited for as long as a command, and not by open(). */
	int fd = open(s->text, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = complain_of(why, why_cap, s->name, s->text, strerror(errno));
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	const char *wrong;
	int r = 0;
	if ((st.st_mode & 077) || (st.st_uid != geteuid() && st.st_uid != 0))
		r = complain_of(why, why_cap, s->name, s->text, "it must be yours and mode 0600");
	else if ((wrong = read_line(fd, buf, cap, w, NULL)))
		r = complain_of(why, why_cap, s->name, s->text, wrong);
	(void)close(fd);
	return r;
}

/* How the command failed, with the last line that it wrote to its stderr: "gpg: decryption failed" is what helps. One
 * whose status is not known may have: what it printed is no password to try. */
static void say_failed(struct words *words, const char *wrong, int status, char *what, size_t cap)
{
	char *said = words->said;
	size_t n;
	said[words->n] = 0;
	for (n = strlen(said); n > 0 && strchr("\r\n\t ", said[n - 1]);)
		said[--n] = 0;
	const char *last = strrchr(said, '\n') ? strrchr(said, '\n') + 1 : said;
	char how[96];
	if (wrong)
		(void)snprintf(how, sizeof how, "the command failed, %s", wrong);
	else if (status < 0)
		(void)snprintf(how, sizeof how, "this program has taken its exit status (waitpid(2), SIGCHLD)");
	else if (WIFEXITED(status))
		(void)snprintf(how, sizeof how, "the command failed, exit status %d", WEXITSTATUS(status));
	else
		(void)snprintf(how, sizeof how, "the command failed, ended by signal %d", WTERMSIG(status));
	(void)snprintf(what, cap, "%s%s%s", how, *last ? ": " : "", last);
}

static int from_command(const struct eci_secret *s, const char *const *env, char *buf, size_t cap,
			const struct eci_secret_wait *w, char *why, size_t why_cap)
{
	struct eci_proc p;
	int err = eci_proc_start(&p, s->command, env, ECI_PROC_PIPES), status = 0;
	if (err)
		return complain_of(why, why_cap, s->name, s->command[0], strerror(err));
	(void)close(p.in);
	p.in = -1;
	struct words words = {.fd = p.err};
	const char *wrong = read_line(p.out, buf, cap, w, &words);
	bool ended = false;
	for (int i = 0; i < COMMAND_MS / 10 && !wrong && !(ended = eci_proc_reap(&p, &status)) && !given_up(w); i++) {
		drain(p.out, NULL);
		drain(p.err, &words);
		(void)poll(NULL, 0, 10);
	}
	if (!wrong && !ended)
		wrong = given_up(w) ? "it was given up" : "it did not end within 30 s";
	eci_proc_kill(&p);
	for (int i = 0; i < 100 && !ended && !(ended = eci_proc_reap(&p, &status)); i++)
		(void)poll(NULL, 0, 10);
	char what[512];
	if (wrong || status != 0) {
		drain(p.err, &words);
		say_failed(&words, wrong, status, what, sizeof what);
	}
	eci_proc_close(&p);
	if (wrong || status != 0) {
		eci_wipe(buf, cap);
		return complain_of(why, why_cap, s->name, s->command[0], what);
	}
	return 0;
}

/* One that nobody opened for it may be open all the same, as one of ours: a pipe of a hop, which waits, and whose bytes
 * must not be taken. All of ours are closed on exec and were opened after the topology was loaded. */
static int from_fd(const struct eci_secret *s, char *buf, size_t cap, const struct eci_secret_wait *w, char *why,
		   size_t why_cap)
{
	int flags = fcntl(s->fd, F_GETFD);
	if (flags < 0 || (flags & FD_CLOEXEC && !s->opened)) {
		(void)snprintf(why, why_cap, "secret %s: descriptor %d was not opened for it (%d<FILE)", s->name, s->fd,
			       s->fd);
		return -1;
	}
	const char *wrong = read_line(s->fd, buf, cap, w, NULL);
	return wrong ? complain(why, why_cap, s->name, wrong) : 0;
}

int eci_secret_read(const struct eci_secret *s, const char *const *env, char *buf, size_t cap,
		    const struct eci_secret_wait *w, char *why, size_t why_cap)
{
	if (s->kind == ECI_SECRET_ENV) {
		const char *v = getenv(s->text);
		size_t n = v ? strcspn(v, LINE_ENDS) : 0;
		if (!v || n >= cap) {
			(void)snprintf(why, why_cap, "secret %s: environment variable %s is %s", s->name, s->text,
				       v ? "too long" : "not set");
			return -1;
		}
		memcpy(buf, v, n);
		buf[n] = 0;
		return 0;
	}
	if (s->kind == ECI_SECRET_FD)
		return from_fd(s, buf, cap, w, why, why_cap);
	if (s->kind == ECI_SECRET_FILE)
		return from_file(s, buf, cap, w, why, why_cap);
	return from_command(s, env, buf, cap, w, why, why_cap);
}
