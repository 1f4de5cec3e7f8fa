/* The part of Criterion that the threaded tests use, for the thread sanitizer: Criterion's own runner wants memory at
 * addresses that the sanitizer keeps for itself. A process a test, as there. Include it in one file of a program. */
#ifndef ECI_TESTS_PLAIN_CRITERION_H
#define ECI_TESTS_PLAIN_CRITERION_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct plain_test {
	const char *name;
	void (*fn)(void);
	struct plain_test *next;
};
static struct plain_test *plain_tests;
static int plain_failures;

#define Test(suite, test, ...)                                                                              \
	static void suite##_##test##_test(void);                                                            \
	static struct plain_test suite##_##test##_entry = {#suite "::" #test, suite##_##test##_test, NULL}; \
	__attribute__((constructor)) static void suite##_##test##_add(void)                                 \
	{                                                                                                   \
		suite##_##test##_entry.next = plain_tests;                                                  \
		plain_tests = &suite##_##test##_entry;                                                      \
	}                                                                                                   \
	static void suite##_##test##_test(void)

static void plain_fail(int fatal, int line, const char *what, const char *fmt, ...)
{
	va_list ap;
	(void)fprintf(stderr, "line %d: %s: ", line, what);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	plain_failures++;
	if (fatal)
		exit(1);
}

#define cr_assert(cond, ...) ((cond) ? (void)0 : plain_fail(1, __LINE__, #cond, " " __VA_ARGS__))
#define cr_expect(cond, ...) ((cond) ? (void)0 : plain_fail(0, __LINE__, #cond, " " __VA_ARGS__))
#define cr_assert_eq(a, b, ...) cr_assert((a) == (b), __VA_ARGS__)
#define cr_expect_eq(a, b, ...) cr_expect((a) == (b), __VA_ARGS__)
#define cr_expect_str_empty(a, ...) cr_expect(!(a)[0], __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) \
	(strcmp((a), (b)) == 0 ? (void)0 : plain_fail(0, __LINE__, #a " is not " #b, "\"%s\", \"%s\"", (a), (b)))

int main(int argc, char **argv)
{
	int failed = 0, count = 0;
	for (struct plain_test *t = plain_tests; t; t = t->next) {
		if (argc > 1 && !strstr(t->name, argv[1]))
			continue;
		pid_t pid = fork();
		if (pid == 0) {
			t->fn();
			exit(plain_failures != 0);
		}
		int status = -1;
		bool ok = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
		count++;
		failed += !ok;
		printf("%s %s (%d)\n", ok ? "ok" : "FAILED", t->name, status);
		(void)fflush(stdout);
	}
	printf("%d tests, %d failed\n", count, failed);
	return failed != 0;
}

#endif
