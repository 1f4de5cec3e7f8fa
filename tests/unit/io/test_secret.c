/* Secrets while signals come: the thread that reads one is the program's, and so are its handlers. */
#include "io/random.h"
#include "io/secret.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static const struct eci_secret_wait NOBODY;

static void on_alarm(int sig)
{
	(void)sig;
}

static void alarms(long every_us)
{
	const struct sigaction a = {.sa_handler = on_alarm};
	const struct itimerval t = {{0, every_us}, {0, every_us}};
	cr_assert(sigaction(SIGALRM, &a, NULL) == 0 && setitimer(ITIMER_REAL, &t, NULL) == 0);
}

static void is_had(const struct eci_secret *s)
{
	cr_assert(eci_random_init() == 0);
	char why[256] = "", *value = eci_secret_alloc();
	cr_assert(value);
	alarms(20000);
	int r = eci_secret_read(s, NULL, value, ECI_SECRET_MAX, &NOBODY, why, sizeof why);
	alarms(0);
	cr_expect(r == 0 && strcmp(value, "late") == 0, "%d %s", r, why);
	eci_secret_free(value);
}

Test(secret, a_signal_is_not_the_end_of_a_command)
{
	const char *command[] = {"sh", "-c", "sleep 0.3; echo late", NULL};
	is_had(&(struct eci_secret){.name = (char[]){"s"}, .kind = ECI_SECRET_COMMAND, .command = command});
}

/* Whoever writes to it may come late. */
Test(secret, nor_of_a_fifo)
{
	char path[] = "/tmp/econtext-secret-XXXXXX", fifo[64];
	cr_assert(mkdtemp(path));
	(void)snprintf(fifo, sizeof fifo, "%s/fifo", path);
	cr_assert(mkfifo(fifo, 0600) == 0);
	pid_t writer = fork();
	if (writer == 0) {
		(void)usleep(300000);
		int fd = open(fifo, O_WRONLY | O_CLOEXEC);
		_exit(write(fd, "late\n", 5) == 5 ? 0 : 1);
	}
	is_had(&(struct eci_secret){.name = (char[]){"s"}, .kind = ECI_SECRET_FILE, .text = fifo});
	(void)unlink(fifo);
	(void)rmdir(path);
}

Test(secret, nor_of_a_descriptor)
{
	int fd[2];
	cr_assert(pipe2(fd, O_CLOEXEC) == 0);
	pid_t writer = fork();
	if (writer == 0) {
		(void)usleep(300000);
		_exit(write(fd[1], "late\n", 5) == 5 ? 0 : 1);
	}
	is_had(&(struct eci_secret){.name = (char[]){"s"}, .kind = ECI_SECRET_FD, .fd = fd[0], .opened = true});
	(void)close(fd[0]);
	(void)close(fd[1]);
}

/* One that came later and is closed on exec is the library's own. */
Test(secret, a_descriptor_that_was_not_opened_for_it)
{
	int fd[2];
	char why[256] = "", value[ECI_SECRET_MAX];
	struct eci_secret s = {.name = (char[]){"s"}, .kind = ECI_SECRET_FD};
	cr_assert(pipe2(fd, O_CLOEXEC) == 0 && write(fd[1], "its own\n", 8) == 8);
	s.fd = fd[0];
	cr_expect(eci_secret_read(&s, NULL, value, sizeof value, &NOBODY, why, sizeof why) != 0 &&
			  strstr(why, "was not opened for it"),
		  "%s", why);
	cr_assert(fcntl(fd[0], F_SETFD, 0) == 0);
	cr_expect(eci_secret_read(&s, NULL, value, sizeof value, &NOBODY, why, sizeof why) == 0 &&
			  strcmp(value, "its own") == 0,
		  "%s", why);
	(void)close(fd[0]);
	(void)close(fd[1]);
}

static int at_last(void *arg)
{
	return ++*(int *)arg > 2;
}

static void is_given_up(const struct eci_secret *s)
{
	char why[256] = "", value[ECI_SECRET_MAX];
	int looks = 0;
	cr_expect(eci_secret_read(s, NULL, value, sizeof value, &(struct eci_secret_wait){at_last, &looks}, why,
				  sizeof why) != 0);
	cr_expect(looks >= 3 && strstr(why, "it was given up"), "%d, %s", looks, why);
}

/* What would say it in the end says nothing in 30 s, or has said it and does not end. */
Test(secret, is_given_up, .timeout = 25)
{
	const char *silent[] = {"sleep", "100", NULL}, *goes_on[] = {"sh", "-c", "echo it; sleep 100", NULL};
	is_given_up(&(struct eci_secret){.name = (char[]){"s"}, .kind = ECI_SECRET_COMMAND, .command = silent});
	is_given_up(&(struct eci_secret){.name = (char[]){"s"}, .kind = ECI_SECRET_COMMAND, .command = goes_on});
	int fd[2];
	cr_assert(pipe2(fd, O_CLOEXEC) == 0);
	is_given_up(&(struct eci_secret){.name = (char[]){"s"}, .kind = ECI_SECRET_FD, .fd = fd[0], .opened = true});
	(void)close(fd[0]);
	(void)close(fd[1]);
}

static void first_line_is(const struct eci_secret *s, const char *expected)
{
	char why[256] = "", value[ECI_SECRET_MAX];
	memset(value, '!', sizeof value);
	cr_expect(eci_secret_read(s, NULL, value, sizeof value, &NOBODY, why, sizeof why) == 0, "%s", why);
	cr_expect_str_eq(value, expected);
}

/* What stands behind it would be the next thing that is typed there: to the shell of who one became. */
Test(secret, of_a_variable_the_first_line_counts)
{
	const struct eci_secret s = {.name = (char[]){"s"}, .kind = ECI_SECRET_ENV, .text = (char[]){"ECTX_TEST_PW"}};
	static const char *const lines[][2] = {
		{"right", "right"},     {"right\n", "right"}, {"right\nhunter2", "right"},
		{"right\r\n", "right"}, {"\n", ""},           {"\nright", ""},
	};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		cr_assert(setenv("ECTX_TEST_PW", lines[i][0], 1) == 0);
		first_line_is(&s, lines[i][1]);
	}
	char text[2 * ECI_SECRET_MAX], why[256];
	memset(text, 'w', sizeof text - 1);
	text[sizeof text - 1] = 0;
	text[ECI_SECRET_MAX - 1] = '\n';
	cr_assert(setenv("ECTX_TEST_PW", text, 1) == 0);
	text[ECI_SECRET_MAX - 1] = 0;
	first_line_is(&s, text);
	memset(text, 'w', ECI_SECRET_MAX);
	text[ECI_SECRET_MAX] = '\n';
	cr_assert(setenv("ECTX_TEST_PW", text, 1) == 0);
	cr_expect(eci_secret_read(&s, NULL, text, ECI_SECRET_MAX, &NOBODY, why, sizeof why) < 0 &&
			  strstr(why, "too long"),
		  "%s", why);
}

Test(secret, of_a_command_the_first_line_counts_however_much_it_says)
{
	const char *command[] = {"sh", "-c",
				 "printf 'right\\r\\n'; head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2", NULL};
	first_line_is(&(struct eci_secret){.name = (char[]){"s"}, .kind = ECI_SECRET_COMMAND, .command = command},
		      "right");
}

/* It stood at a pipe that nobody read until the line was there, and was ended after 30 s. */
Test(secret, of_a_command_that_says_much_beside_it_first)
{
	const char *much[] = {"sh", "-c", "head -c 300000 /dev/zero >&2; echo right", NULL},
		   *closes[] = {"sh", "-c", "exec 2>&-; sleep 0.3; echo right", NULL};
	first_line_is(&(struct eci_secret){.name = (char[]){"s"}, .kind = ECI_SECRET_COMMAND, .command = much},
		      "right");
	first_line_is(&(struct eci_secret){.name = (char[]){"s"}, .kind = ECI_SECRET_COMMAND, .command = closes},
		      "right");
}

/* What a command printed that failed would be given as a password, and be a wrong one of that account. */
Test(secret, a_command_whose_status_is_taken_has_failed)
{
	static const char *const scripts[][2] = {
		{"echo pw; exit 1", ""}, {"echo pw", ""}, {"echo no >&2; exit 1", ": no"}};
	(void)signal(SIGCHLD, SIG_IGN); /* then the kernel takes it, as a thread that waits for any child may */
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		const char *command[] = {"sh", "-c", scripts[i][0], NULL};
		char why[256] = "", wanted[256], value[ECI_SECRET_MAX];
		const struct eci_secret s = {.name = (char[]){"s"}, .kind = ECI_SECRET_COMMAND, .command = command};
		(void)snprintf(wanted, sizeof wanted,
			       "secret s: sh: this program has taken its exit status (waitpid(2), SIGCHLD)%s",
			       scripts[i][1]);
		cr_expect(eci_secret_read(&s, NULL, value, sizeof value, &NOBODY, why, sizeof why) == -1, "%s", value);
		cr_expect_str_eq(why, wanted);
	}
}
