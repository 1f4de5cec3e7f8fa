/* The native agent: a context whose router, verbs and commands are the C sources that the master has too, in a shell
 * without any library. This file is its loop: one parent link on descriptors 0 and 1, one ppoll(2), nothing that
 * blocks.
 *
 * It begins silent: the first thing that it writes answers HELLO. Until then it is one process; with HELLO it becomes
 * two (watcher.c). Invariant: whatever ends the parent link (its end, SHUTDOWN, silence, a frame that breaks the rules)
 * sets `end`, the loop stops at once, and all that was started is killed: a context does not outlive its parent.
 *
 * There is no Python here, so CALL and PART are answered `no-python`; the master boots one behind us where it wants it.
 */
#include "preamble/native/sockets.h"

#include "core/cbor.h"
#include "service/hello.h"
#include "service/stats.h"

#define QUIET_MS 1000u /* of sleep, after which no bulk is expected */
#define TURN_US 128u   /* about what a turn takes beside its sleep */

enum { UP_IN, UP_OUT, WATCHER, SIGNALS, FIRST };

__asm__(NATIVE_ENTRY);

__attribute__((used, section(".bss.native"))) struct native_state native_at;

_Noreturn void native_exit(int status)
{
	for (;;)
		(void)SYS1(NR_exit, status);
}

void native_signal(int sig, unsigned how)
{
	uint64_t act[4] = {how, 0, 0, 0};
	(void)SYS4(NR_sigaction, sig, act, 0, 8);
}

static uint64_t clock_ms(void)
{
	long t[2] = {0, 0};
	(void)SYS2(NR_clock_gettime, 1, t); /* CLOCK_MONOTONIC; both parts fit 32 bits */
	return (uint64_t)(unsigned long)t[0] * 1000 + (uint32_t)t[1] / 1000000u;
}

/* ---- HELLO ---- */

/* What `ps` shows, in the room that our arguments have. */
static void set_title(const struct eci_hello *h)
{
	if (!h->title_len || native.args_len < 2)
		return;
	size_t n = h->title_len < native.args_len - 1 ? h->title_len : native.args_len - 1;
	memset(native.args, 0, native.args_len);
	memcpy(native.args, h->title, n);
	(void)SYS2(NR_prctl, 15, native.args); /* PR_SET_NAME */
}

static void answer(const struct eci_frame *f)
{
	char u[6][65];
	struct eci_buf b = ECI_BUF_NULL;
	memset(u, 0, sizeof u);
	(void)SYS1(NR_uname, u);
	struct eci_hello_self self = {"native", "", u[4], u[1], (uint32_t)SYS0(NR_getpid), (uint32_t)SYS0(NR_getuid)};
	eci_hello_answer(&b, &self);
	(void)eci_router_send(native.router, ECI_CONTROL, 0, f->src, ECI_H_HELLO, 0, eci_buf_data(&b), eci_buf_len(&b),
			      native.now);
	eci_buf_deinit(&b);
}

static void become_agent(void)
{
	uint64_t chld = (uint64_t)1 << (SYS_SIGCHLD - 1);
	native_watcher_start();
	(void)SYS4(NR_prlimit64, 0, SYS_NOFILE, 0, native.nofile);
	native.nofile[2] = native.nofile[1];
	(void)SYS4(NR_prlimit64, 0, SYS_NOFILE, native.nofile + 1, 0);
	(void)SYS4(NR_sigprocmask, 0, &chld, 0, 8); /* SIG_BLOCK */
	native_signal(SYS_SIGCHLD, SYS_SIG_DFL); /* ignored, as it may have come, the kernel would wait in our place */
	native_signal(SYS_SIGPIPE, SYS_SIG_IGN);
	native.signals = (int)SYS4(NR_signalfd4, -1, &chld, 8, SYS_CLOEXEC | SYS_NONBLOCK);
	if (native.signals < 0) /* of no end of a process would it hear */
		native.end = "poll";
	native_procs_reap(); /* whether it can */
}

static const char *on_hello(void *ctx, struct eci_link *link, const struct eci_frame *f)
{
	struct eci_hello h;
	bool parent = eci_link_is_parent(link);
	(void)ctx;
	if (!eci_hello_read(&h, f, parent))
		return "bad-body";
	if (!parent) {
		if (h.version != ECI_PROTOCOL_VERSION)
			return "version";
		eci_spawn_up(eci_link_user(link), f->body, f->len, native.now);
		return NULL;
	}
	eci_router_set_block(native.router, h.lo, h.size);
	if (eci_router_id(native.router) != f->dst)
		return "bad-hello";
	set_title(&h);
	become_agent();
	if (!native.end) /* else it is none, and the master takes another agent */
		answer(f);
	eci_link_set_idle(link, h.idle_ms);
	return h.version == ECI_PROTOCOL_VERSION ? NULL : "version";
}

/* ---- the router's other hooks ---- */

static void stats(const struct eci_frame *f)
{
	struct eci_buf b = ECI_BUF_NULL;
	if (!f->reply_to)
		return;
	struct eci_stats_rest rest = {eci_modcache_count(native.modules), eci_modcache_requests(native.modules),
				      eci_spawns_dials(native.spawns)};
	eci_stats_put(&b, native.router, &rest);
	(void)eci_router_send_buf(native.router, f->src, f->reply_to, 0, &b, native.now);
}

static bool on_frame(void *ctx, enum eci_origin from, struct eci_link *link, const struct eci_frame *f)
{
	(void)ctx, (void)from;
	switch (f->handle) {
	case ECI_H_STATS:
		stats(f);
		return true;
	case ECI_H_GET_MODULE:
		if (!eci_modcache_deliver(native.modules, f, native.now))
			eci_spawn_broken(eci_link_user(link), "bad-body", "GET_MODULE does not decode");
		return true;
	case ECI_H_SHUTDOWN:
		native.end = "shutdown";
		return true;
	case ECI_H_PART:
	case ECI_H_CALL:
		eci_router_dead(native.router, f, "no-python", "a native agent runs no Python", native.now);
		return true;
	default:
		return eci_spawns_deliver(native.spawns, f, native.now) || native_socks_deliver(f) ||
		       native_jobs_deliver(f);
	}
}

static void on_wake(void *ctx, struct eci_link *link)
{
	(void)ctx, (void)link;
	native.dirty = true;
}

static void on_broken(void *ctx, struct eci_link *link, const char *reason, const char *detail)
{
	(void)ctx;
	if (!eci_link_is_parent(link))
		eci_spawn_broken(eci_link_user(link), reason, detail);
	else if (!native.end)
		native.end = reason;
}

static const struct eci_router_ops ops = {.deliver = on_frame, .hello = on_hello, .wake = on_wake, .broken = on_broken};

/* ---- the loop ---- */

/* True: there is no more to write. */
static bool flush_up(void)
{
	int done = native_flush(native.up, 1);
	if (done < 0)
		native.end = "eof";
	return done;
}

static void read_up(void)
{
	long n = SYS3(NR_read, 0, native.buf, NATIVE_READ_MAX);
	if (n > 0)
		native_feed(native.up, 0, (size_t)n, &native.wide);
	else if (n != -SYS_EAGAIN && n != -SYS_EINTR && !native.end)
		native.end = "eof";
}

static void sleep_until(uint64_t until)
{
	if (native_mem_kept() && until > native.now + QUIET_MS)
		until = native.now + QUIET_MS;
	uint32_t ms = until <= native.now ? 0 : until - native.now > 60000 ? 60000 : (uint32_t)(until - native.now);
	long t[2] = {(long)(ms / 1000), (long)(ms % 1000 * 1000000)};
	long n = SYS5(NR_ppoll, native.poll, native.npoll, t, 0, 8);
	for (int i = 0; n < 0 && i < native.npoll; i++)
		native.poll[i].revents = 0;
	if (n < 0 && n != -SYS_EINTR) /* else it would be for ever */
		native.end = "poll";
	/* A system call costs about what a frame costs here, so the clock is read once a millisecond: the kernel has
	 * left in t what it did not wait (ppoll(2), "C library/kernel differences"). With bulk about, when round trips
	 * are measured (router/credit.c), it is read four times as often. */
	native.unread_us += ms * 1000 - ((uint32_t)t[0] * 1000000 + (uint32_t)t[1] / 1000) + TURN_US;
	if (native.unread_us < (native_mem_kept() ? 256 : 1000))
		return;
	native.unread_us = 0;
	uint64_t woke = clock_ms();
	if (woke - native.now >= QUIET_MS)
		native_mem_trim();
	native.now = woke;
}

static void turn(void)
{
	/* Writing may make something due (an ACK for the link that the bytes came from), and what is due may be to
	 * write. */
	uint64_t until;
	bool done;
	do {
		native.dirty = false;
		native_procs_flush();
		done = flush_up();
		eci_modcache_turn(native.modules, native.now);
		until = eci_router_tick(native.router, native.now);
	} while (native.dirty && !native.end);
	if (native.end)
		return;
	native.npoll = 0;
	native_watch(0, SYS_POLLIN);
	native_watch(done ? -1 : 1, SYS_POLLOUT);
	native_watch(native.watcher, 0);
	native_watch(native.signals, SYS_POLLIN);
	native_procs_watch(&until);
	int last = native.npoll;
	native_socks_watch(&until);
	sleep_until(until);
	if (native.poll[WATCHER].revents) /* it was killed: we must not go on without it */
		native.end = "watcher";
	if (native.poll[SIGNALS].revents) {
		(void)SYS3(NR_read, native.signals, native.buf, NATIVE_READ_MAX);
		native_procs_reap();
	}
	native_procs_serve(FIRST, last);
	native_socks_serve();
	if (native.poll[UP_IN].revents)
		read_up();
}

/* stack: argc, argv with its NULL, the environment with its. */
void native_main(long *stack);
__attribute__((used)) _Noreturn void native_main(long *stack)
{
	char **argv = (char **)(stack + 1);
	long argc = *stack;
	native.environ = argv + argc + 1;
	if (argc > 0) {
		native.args = argv[0];
		char *last = argv[argc - 1];
		while (*last)
			last++;
		native.args_len = (size_t)(last - argv[0]) + 1;
	}
	/* Nothing of ours may become 0 to 2. Where it cannot be opened, none of them is known to be closed. */
	while ((unsigned long)SYS3(NR_openat, -100, "/dev/null", SYS_RDWR) < 3)
		;
	native.top = 1023; /* as many as a shell has by default */
	native_close_from(3);
	(void)SYS0(NR_setsid);
	native_schedule(3); /* SCHED_BATCH: docs/adr/0002-few-wake-ups.md */
	(void)SYS3(NR_fcntl, 1, SYS_F_SETFL, SYS_NONBLOCK);
	native.watcher = native.signals = -1;
	native.now = clock_ms();
	native.router = eci_router_new(1, 0, &ops, NULL);
	native.up = native.router ? eci_router_add_parent(native.router, NULL) : NULL;
	native.spawns = native.up ? eci_spawns_new(native.router, &native_spawn_host, NULL) : NULL;
	native.modules = native.spawns ? eci_modcache_new(native.router) : NULL;
	while (native.modules && !native.end)
		turn();
	if (native.modules)
		(void)flush_up(); /* a version's answer, a notice that was made before the end */
	native_procs_kill();
	native_socks_end();
	native_watcher_end();
	native_exit(0);
}
