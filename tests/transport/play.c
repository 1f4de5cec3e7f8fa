/* Plays a real boot dialogue against real tools: ssh, sudo, su, doas of the machine (or lab host) that it runs on.
 *
 * It is the smallest driver that obeys transport.h: one process at a time, pipes or pty, events in, actions out. It
 * prints every action, the marker, the verdict and the evidence, so that the patterns of transport/messages.c and the
 * order of prompts can be checked against the versions that are installed. With -x CODE the exit status says whether
 * the verdict was that code (`up` for success); tests/transport/real.sh is made of such lines.
 *
 *   play [-m local|ssh|sudo|su|doas] [-u USER] [-h HOST] [-p PORT] [-F CONFIG] [-i KEY] [-o OPTION]... [-P PASSWORD]
 *        [-k strict|accept-new|off] [-T SHELL_MS] [-B BECOME_MS] [-C CONNECT_MS] [-g PROGRAM] [-f] [-v] [-x CODE]
 */
#include "transport/transport.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char stage[] =
	"[ -t 0 ]&&stty raw -echo;for p in python3 python python2 perl sh;do [ \"`command -v $p`\" ]&&"
	"break;done;echo EC:k3j9x2ab:$p:`uname -sm`;read -r l;exec $p -c \"$l\"";
static const char line[] = "import os;os.write(1,b'UP')\n";

static struct {
	pid_t pid;
	int fd[4]; /* stdin (to write), stdout, stderr, terminal; -1 */
	int tty;
	enum eci_spawn_mode mode;
} proc;
static bool verbose;

static uint64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void child(const struct eci_recipe *r, int pipes[3][2], int tty, int report)
{
	setsid();
	if (tty >= 0)
		ioctl(tty, TIOCSCTTY, 0);
	bool pty = r->mode == ECI_SPAWN_PTY;
	dup2(pty ? tty : pipes[0][0], 0);
	dup2(pty ? tty : pipes[1][1], 1);
	dup2(pty ? tty : pipes[2][1], 2);
	for (int fd = 3; fd < 64; fd++)
		if (fd != report)
			close(fd);
	for (const char *const *e = r->env; *e; e++)
		putenv((char *)(uintptr_t)*e); /* without '=': removes it */
	execvp(r->argv[0], r->argv);
	int err = errno;
	if (write(report, &err, sizeof err) < 0)
		_exit(126);
	_exit(127);
}

static int spawn(const struct eci_recipe *r)
{
	int pipes[3][2], report[2], master = -1, tty = -1, err = 0;
	for (int i = 0; i < 3; i++)
		if (pipe2(pipes[i], O_CLOEXEC))
			return errno;
	if (pipe2(report, O_CLOEXEC))
		return errno;
	if (r->mode != ECI_SPAWN_PIPES) {
		master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		grantpt(master);
		unlockpt(master);
		tty = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	}
	proc.mode = r->mode;
	proc.pid = fork();
	if (!proc.pid)
		child(r, pipes, tty, report[1]);
	close(report[1]);
	close(pipes[0][0]);
	close(pipes[1][1]);
	close(pipes[2][1]);
	bool pty = r->mode == ECI_SPAWN_PTY;
	if (pty)
		close(tty);
	proc.tty = pty ? -1 : tty; /* kept: else reading the master fails while nobody has the terminal open */
	proc.fd[0] = pty ? master : pipes[0][1];
	proc.fd[1] = pty ? master : pipes[1][0];
	proc.fd[2] = pty ? -1 : pipes[2][0];
	proc.fd[3] = r->mode == ECI_SPAWN_CTTY ? master : -1;
	if (read(report[0], &err, sizeof err) <= 0)
		err = 0;
	close(report[0]);
	return err;
}

static void close_all(void)
{
	if (proc.tty >= 0)
		close(proc.tty);
	proc.tty = -1;
	for (int i = 0; i < 4; i++) {
		if (proc.fd[i] >= 0 && !(i == 1 && proc.mode == ECI_SPAWN_PTY))
			close(proc.fd[i]);
		proc.fd[i] = -1;
	}
}

static void show_argv(const struct eci_recipe *r)
{
	printf("SPAWN mode %d:", (int)r->mode);
	for (char **a = r->argv; *a; a++)
		if (verbose || strlen(*a) < 80)
			printf(" [%s]", *a);
	printf("\n");
}

static const char *verdict(const struct eci_fail *f)
{
	printf("FAIL phase=%s code=%s after=%u limit=%u\n  saw: %s\n  hint: %s\n", ectx_phase_name(f->phase),
	       ectx_code_name(f->code), f->after_ms, f->limit_ms, f->saw, *f->hint ? f->hint : ectx_code_hint(f->code));
	return ectx_code_name(f->code);
}

static void put(int to, const void *p, size_t n)
{
	int fd = proc.fd[to == ECI_TO_TTY ? 3 : 0];
	if (write(fd, p, n) < 0)
		printf("  (write: %s)\n", strerror(errno));
}

/* Does what the dialogue says; the code when it is over. */
static const char *act(struct eci_dialogue *d, const char *password)
{
	for (;;) {
		struct eci_action a = eci_dialogue_next(d);
		int err;
		switch (a.kind) {
		case ECI_ACT_NONE:
			return NULL;
		case ECI_ACT_SPAWN:
			show_argv(a.recipe);
			err = spawn(a.recipe);
			if (err) {
				waitpid(proc.pid, NULL, 0);
				close_all();
				proc.pid = 0;
				eci_dialogue_spawn_failed(d, err, strerror(err), now_ms());
			} else {
				eci_dialogue_started(d, now_ms());
			}
			break;
		case ECI_ACT_KILL:
			printf("KILL\n");
			kill(-proc.pid, SIGKILL);
			close_all();
			break;
		case ECI_ACT_WRITE:
			printf("WRITE %zu bytes\n", a.len);
			put(a.to, a.bytes, a.len);
			break;
		case ECI_ACT_ANSWER:
			printf("ANSWER to %s\n", a.to == ECI_TO_TTY ? "terminal" : "stdin");
			put(a.to, password, strlen(password));
			put(a.to, "\n", 1);
			break;
		case ECI_ACT_PROMOTE:
			printf("PROMOTE %s on %s\n", a.interpreter, a.system);
			put(ECI_TO_STDIN, line, sizeof line - 1);
			return "promoted";
		case ECI_ACT_NEXT_AGENT: /* its targets name no native agent */
		case ECI_ACT_FAIL:
			return verdict(a.fail);
		}
	}
}

static bool read_from(struct eci_dialogue *d, int i)
{
	uint8_t buf[4096];
	ssize_t n = read(proc.fd[i], buf, sizeof buf);
	if (n <= 0) {
		if (!(i == 1 && proc.mode == ECI_SPAWN_PTY))
			close(proc.fd[i]);
		proc.fd[i] = -1;
		return false;
	}
	if (verbose)
		printf("  %d< %.*s\n", i, (int)n, (const char *)buf);
	eci_dialogue_bytes(d, (enum eci_from)i, buf, (size_t)n, now_ms());
	return true;
}

static const char *play(struct eci_dialogue *d, const char *password)
{
	bool promoted = false;
	for (;;) {
		const char *r = act(d, password);
		if (r && strcmp(r, "promoted"))
			return r;
		promoted |= r != NULL;
		uint64_t at = eci_dialogue_tick(d, now_ms()), now = now_ms();
		struct pollfd pf[3] = {{proc.fd[1], POLLIN, 0}, {proc.fd[2], POLLIN, 0}, {proc.fd[3], POLLIN, 0}};
		uint64_t wait_ms = at > now ? at - now : 0;
		if (wait_ms > 50)
			wait_ms = 50;
		poll(pf, 3, (int)wait_ms);
		for (int i = 0; i < 3; i++) {
			if (!pf[i].revents || proc.fd[i + 1] < 0)
				continue;
			if (promoted && i == 0) {
				char up[2] = {0};
				bool ok = read(proc.fd[1], up, 2) == 2 && !memcmp(up, "UP", 2);
				printf("UP %s\n", ok ? "yes" : "no");
				return ok ? "up" : "no answer";
			}
			read_from(d, i + 1);
			if ((r = act(d, password)) && strcmp(r, "promoted"))
				return r;
			promoted |= r != NULL;
		}
		int ws;
		bool drained = proc.fd[1] < 0 && proc.fd[2] < 0;
		if (proc.pid && drained && waitpid(proc.pid, &ws, WNOHANG) == proc.pid) {
			proc.pid = 0;
			close_all();
			printf("EXIT %#x\n", (unsigned)ws);
			eci_dialogue_exited(d, ws, now_ms());
		}
	}
}

static uint32_t number(const char *s)
{
	return (uint32_t)strtoul(s, NULL, 10);
}

static enum eci_method method(const char *s)
{
	static const char *const names[] = {"local", "ssh", "sudo", "su", "doas"};
	for (unsigned i = 0; i < 5; i++)
		if (!strcmp(s, names[i]))
			return (enum eci_method)i;
	exit(2);
}

int main(int argc, char **argv)
{
	struct eci_target t = {.timeout = ECI_TIMEOUTS_DEFAULT};
	const char *options[16] = {NULL}, *password = "", *expect = NULL, *got;
	size_t n = 0;
	int c;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	proc.tty = proc.fd[0] = proc.fd[1] = proc.fd[2] = proc.fd[3] = -1;
	while ((c = getopt(argc, argv, "m:u:h:p:F:i:o:P:k:T:B:C:g:x:fv")) != -1) {
		switch (c) {
		case 'm':
			t.method = method(optarg);
			break;
		case 'u':
			t.user = optarg;
			break;
		case 'h':
			t.host = optarg;
			break;
		case 'p':
			t.port = number(optarg);
			break;
		case 'F':
			t.config = optarg;
			break;
		case 'i':
			t.identity = optarg;
			break;
		case 'o':
			if (n < 15)
				options[n++] = optarg;
			break;
		case 'P':
			t.secret = "pw";
			password = optarg;
			break;
		case 'k':
			t.hostkey = optarg[0] == 's'   ? ECI_HOSTKEY_STRICT
				    : optarg[0] == 'a' ? ECI_HOSTKEY_ACCEPT_NEW
						       : ECI_HOSTKEY_OFF;
			break;
		case 'T':
			t.timeout.shell_ms = number(optarg);
			break;
		case 'B':
			t.timeout.become_ms = number(optarg);
			break;
		case 'C':
			t.timeout.connect_ms = number(optarg);
			break;
		case 'g':
			t.program = optarg;
			break;
		case 'x':
			expect = optarg;
			break;
		case 'f':
			t.feed = true;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			return 2;
		}
	}
	t.options = options;
	struct eci_dialogue *d = eci_dialogue_new(&t, "k3j9x2ab", stage, now_ms());
	if (!d)
		return 2;
	got = play(d, password);
	if (verbose)
		printf("evidence: %s\n", eci_dialogue_evidence(d));
	if (proc.pid) {
		kill(-proc.pid, SIGKILL);
		close_all();
	}
	eci_dialogue_free(d);
	if (expect && strcmp(expect, got))
		printf("NOT OK: expected %s\n", expect);
	return expect && strcmp(expect, got) ? 1 : 0;
}
