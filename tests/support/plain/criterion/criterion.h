/* The part of Criterion that the tests use, for builds with a sanitizer: on their include path this stands before the
 * real one.
 *
 * Criterion's own runner wants memory at addresses that the thread sanitizer keeps for itself; it executes the program
 * anew for each test, with a dozen libraries of its own, which under the address sanitizer takes three times as long as
 * all that is tested; and it counts a test as passed before its process ends, and so before the leaks of that are
 * known. Here a test is a fork, and how that ends is how the test ends. Include it in one file of a program. */
#ifndef ECI_TESTS_PLAIN_CRITERION_H
#define ECI_TESTS_PLAIN_CRITERION_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

/* What may follow the names in Test and TestSuite. ctest's limit is the only one. */
struct plain_options {
	void (*init)(void);
	void (*fini)(void);
	double timeout;
};

struct plain_test {
	const char *suite, *name;
	void (*fn)(void);
	struct plain_options with;
	struct plain_test *next; /* the list of tests, or that of suites, which have no fn */
};
static struct plain_test *plain_tests, *plain_suites;
static int plain_failures;

#define PLAIN_ENTRY(list, entry, ...)                              \
	static struct plain_test entry = {__VA_ARGS__};            \
	__attribute__((constructor)) static void entry##_add(void) \
	{                                                          \
		entry.next = list;                                 \
		list = &entry;                                     \
	}
#define TestSuite(suite, ...) PLAIN_ENTRY(plain_suites, suite##_suite, #suite, "", NULL, {__VA_ARGS__}, NULL)
#define Test(suite, test, ...)                                                                                      \
	static void suite##_##test##_test(void);                                                                    \
	PLAIN_ENTRY(plain_tests, suite##_##test##_entry, #suite, #test, suite##_##test##_test, {__VA_ARGS__}, NULL) \
	static void suite##_##test##_test(void)

__attribute__((format(printf, 5, 6))) static void plain_fail(int fatal, const char *file, int line, const char *what,
							     const char *fmt, ...)
{
	va_list ap;
	(void)fprintf(stderr, "%s:%d: %s: ", file, line, what);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	plain_failures++;
	if (fatal)
		exit(1);
}

#define PLAIN_CHECK(fatal, good, what, ...) \
	((good) ? (void)0 : plain_fail(fatal, __FILE__, __LINE__, what, " " __VA_ARGS__))
#define PLAIN_TEXTS(fatal, op, a, b, ...) \
	PLAIN_CHECK(fatal, strcmp((a), (b)) op 0, "strcmp(" #a ", " #b ") " #op " 0", __VA_ARGS__)
#define PLAIN_BYTES(fatal, a, b, n, ...) \
	PLAIN_CHECK(fatal, memcmp((a), (b), (n)) == 0, "bytes of " #a " and " #b, __VA_ARGS__)
#define PLAIN_COMPARE(fatal, a, op, b, ...) PLAIN_CHECK(fatal, (a)op(b), #a " " #op " " #b, __VA_ARGS__)

#define cr_assert(cond, ...) PLAIN_CHECK(1, cond, #cond, __VA_ARGS__)
#define cr_expect(cond, ...) PLAIN_CHECK(0, cond, #cond, __VA_ARGS__)
#define cr_assert_fail(...) PLAIN_CHECK(1, 0, "", __VA_ARGS__)
#define cr_assert_not(cond, ...) PLAIN_CHECK(1, !(cond), "not " #cond, __VA_ARGS__)
#define cr_expect_not(cond, ...) PLAIN_CHECK(0, !(cond), "not " #cond, __VA_ARGS__)
#define cr_assert_null(p, ...) PLAIN_COMPARE(1, p, ==, NULL, __VA_ARGS__)
#define cr_expect_null(p, ...) PLAIN_COMPARE(0, p, ==, NULL, __VA_ARGS__)
#define cr_assert_not_null(p, ...) PLAIN_COMPARE(1, p, !=, NULL, __VA_ARGS__)
#define cr_expect_not_null(p, ...) PLAIN_COMPARE(0, p, !=, NULL, __VA_ARGS__)
#define cr_assert_eq(a, b, ...) PLAIN_COMPARE(1, a, ==, b, __VA_ARGS__)
#define cr_expect_eq(a, b, ...) PLAIN_COMPARE(0, a, ==, b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) PLAIN_COMPARE(1, a, !=, b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) PLAIN_COMPARE(0, a, !=, b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) PLAIN_COMPARE(1, a, <, b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) PLAIN_COMPARE(0, a, <, b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) PLAIN_COMPARE(1, a, <=, b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) PLAIN_COMPARE(0, a, <=, b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) PLAIN_COMPARE(1, a, >, b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) PLAIN_COMPARE(0, a, >, b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) PLAIN_COMPARE(1, a, >=, b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) PLAIN_COMPARE(0, a, >=, b, __VA_ARGS__)
#define cr_expect_float_eq(a, b, within, ...) \
	PLAIN_CHECK(0, fabs((a) - (b)) <= (within), #a " is about " #b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) PLAIN_TEXTS(1, ==, a, b, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) PLAIN_TEXTS(0, ==, a, b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) PLAIN_TEXTS(1, !=, a, b, __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...) PLAIN_TEXTS(0, !=, a, b, __VA_ARGS__)
#define cr_expect_str_empty(a, ...) PLAIN_CHECK(0, !(a)[0], #a " is empty", __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) PLAIN_BYTES(1, a, b, n, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...) PLAIN_BYTES(0, a, b, n, __VA_ARGS__)

static _Noreturn void plain_play(const struct plain_test *t)
{
	const struct plain_test *s = plain_suites;
	while (s && strcmp(s->suite, t->suite) != 0)
		s = s->next;
	if (s && s->with.init)
		s->with.init();
	if (t->with.init)
		t->with.init();
	t->fn();
	if (t->with.fini)
		t->with.fini();
	if (s && s->with.fini)
		s->with.fini();
	exit(plain_failures != 0);
}

/* The first search for leaks maps what it reads, some MiB that are the sanitizer's own: before the forks it does so for
 * all. */
static void plain_prepare(void)
{
#ifdef __SANITIZE_ADDRESS__
	__lsan_do_recoverable_leak_check();
#endif
}

int main(int argc, char **argv)
{
	plain_prepare();
	int passed = 0, failed = 0;
	for (const struct plain_test *t = plain_tests; t; t = t->next) {
		if (argc > 1 && !strstr(t->name, argv[1]))
			continue;
		pid_t pid = fork();
		if (pid == 0)
			plain_play(t);
		int status = -1;
		bool good = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
		*(good ? &passed : &failed) += 1;
		printf("%s %s::%s (%d)\n", good ? "ok" : "FAILED", t->suite, t->name, status);
		(void)fflush(stdout);
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed || !passed;
}

#endif
