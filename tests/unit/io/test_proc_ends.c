/* Ends of processes: of one and its group, by somebody else's hand or with who started it. */
#include "proc_support.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

Test(ends, kill_ends_the_group)
{
	struct eci_proc p;
	const char *argv[] = {"sh", "-c", "sleep 1000 & echo up; wait", NULL};
	char out[16];

	cr_assert(eci_proc_start(&p, argv, NULL, ECI_PROC_PIPES) == 0);
	cr_assert(read_all(p.out, out, 4) == 3);
	int status = 0;
	cr_expect(!eci_proc_reap(&p, &status), "it runs");
	eci_proc_kill(&p);
	status = ended(&p);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	/* The sleep held the pipe too: its end shows that it is gone. */
	cr_expect(read_all(p.out, out, sizeof(out)) == 0);
	eci_proc_close(&p);
}

/* As if nobody had waited for it, it has ended; and none can say that it ended well. */
Test(ends, a_status_that_somebody_else_has_taken_is_not_known)
{
	static const char *const ends[] = {"exit 0", "exit 7", "kill -9 $$"};
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		struct eci_proc p;
		const char *argv[] = {"sh", "-c", ends[i], NULL};
		int status = 0;
		cr_assert(eci_proc_start(&p, argv, NULL, ECI_PROC_PIPES) == 0);
		cr_assert(waitpid(p.pid, NULL, 0) == p.pid);
		cr_expect(eci_proc_reap(&p, &status) && p.pid < 0);
		cr_expect_eq(status, -1, "%s: %d", ends[i], status);
		eci_proc_close(&p);
	}
}

static void *start_and_leave(void *arg)
{
	const char *argv[] = {"sleep", "1000", NULL};

	cr_assert(eci_proc_start(arg, argv, NULL, ECI_PROC_PIPES) == 0);
	return NULL;
}

/* What is left of its group shows whom a kill would have met: by now they might be strangers. */
Test(ends, a_number_that_somebody_else_has_freed_is_not_killed)
{
	struct eci_proc p;
	const char *argv[] = {"/bin/sh", "-c", "exec 2>&-; sleep 1000 & echo $!", NULL};
	char out[64];

	cr_assert(eci_proc_start(&p, argv, NULL, ECI_PROC_PIPES) == 0);
	cr_assert(waitpid(p.pid, NULL, 0) == p.pid);
	struct pollfd fd = {.fd = p.out, .events = POLLIN};
	cr_assert(poll(&fd, 1, 20000) == 1);
	ssize_t n = read(p.out, out, sizeof out - 1);
	cr_assert(n > 0);
	out[n] = '\0';
	eci_proc_kill(&p);
	fd.events = 0; /* it holds stdout: no end of file, no death */
	cr_expect(poll(&fd, 1, 200) == 0);
	cr_expect(kill((pid_t)strtol(out, NULL, 10), SIGKILL) == 0);
	cr_expect(poll(&fd, 1, 20000) == 1);
	(void)ended(&p);
	eci_proc_close(&p);
}

Test(ends, it_dies_with_the_thread_that_started_it)
{
	struct eci_proc p;
	pthread_t id;

	cr_assert(pthread_create(&id, NULL, start_and_leave, &p) == 0);
	pthread_join(id, NULL);
	int status = ended(&p);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	eci_proc_close(&p);
}

static void *start_what_survives(void *arg)
{
	const char *argv[] = {"sh", "-c", "read x; echo end; sleep 1000", NULL};

	cr_assert(eci_proc_start(arg, argv, NULL, ECI_PROC_PIPES | ECI_PROC_SURVIVES) == 0);
	return NULL;
}

Test(ends, or_not_until_its_stdin_ends)
{
	struct eci_proc p;
	pthread_t id;
	char out[8];

	cr_assert(pthread_create(&id, NULL, start_what_survives, &p) == 0);
	pthread_join(id, NULL);
	(void)close(p.in);
	p.in = -1;
	cr_expect(read_all(p.out, out, 5) == 4 && !memcmp(out, "end\n", 4), "it lived to see the end of its stdin");
	eci_proc_kill(&p);
	(void)ended(&p);
	eci_proc_close(&p);
}
