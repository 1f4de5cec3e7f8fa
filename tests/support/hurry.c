/* Linked into a program, this makes its clock run HURRY times as fast (10, if the environment does not say): what is
 * given up after a minute is given up after six seconds, and by the limit that everybody has, not by one of the tests'.
 * THREADS is how many it can make, as where RLIMIT_NPROC is reached (which root is not held to).
 *
 * What the program defines stands before the C library's, for libecontext and libev too. All that these ask the time of
 * or sleep in is here; the other side's processes are started as ever, and live in real time. CLOCK_REALTIME is left as
 * it is: only what is printed comes of it. */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BILLION 1000000000

static int64_t began;
static int64_t factor = 10;
static atomic_int threads = 1 << 30;

static int64_t now(void)
{
	struct timespec t;
	(void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * BILLION + t.tv_nsec;
}

__attribute__((constructor)) static void begin(void)
{
	const char *how = getenv("HURRY");
	if (how)
		factor = atoi(how);
	if ((how = getenv("THREADS")) != NULL)
		threads = atoi(how);
	began = now();
}

static struct timespec of(int64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / BILLION), .tv_nsec = (long)(ns % BILLION)};
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	if (clock != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, clock, t);
	*t = of(began + (now() - began) * factor);
	return 0;
}

/* Rounded up, as a sleep that ends early would only be slept again. */
static int real_ms(int ms)
{
	return ms < 0 ? ms : (int)((ms + factor - 1) / factor);
}

int poll(struct pollfd *p, nfds_t n, int ms)
{
	return (int)syscall(SYS_poll, p, n, real_ms(ms));
}

int epoll_wait(int fd, struct epoll_event *e, int n, int ms)
{
	return (int)syscall(SYS_epoll_wait, fd, e, n, real_ms(ms));
}

int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, const struct timespec *restrict t)
{
	int64_t ns = (int64_t)t->tv_sec * BILLION + t->tv_nsec;
	struct timespec at = of(began + (ns - began + factor - 1) / factor);
	return pthread_cond_clockwait(c, m, CLOCK_MONOTONIC, &at);
}

int pthread_create(pthread_t *restrict id, const pthread_attr_t *restrict a, void *(*f)(void *), void *restrict arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return atomic_fetch_sub(&threads, 1) > 0 ? real(id, a, f, arg) : EAGAIN;
}
