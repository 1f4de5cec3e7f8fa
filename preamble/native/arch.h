/* native: what differs between processors: the entry and the numbers of the system calls that we make (the call itself:
 * arch_call.h).
 *
 * A processor is one block in each and one row of make.py. The entry hands the initial stack (argc, argv, environment,
 * one after the other) to native_main() and never returns. The numbers are Linux's ABI and never change; aarch64 and
 * riscv64 share the generic table. No kernel header is used, so that a compiler without any library builds this.
 *
 * On 32-bit machines the time types are the old ones: what is asked is the monotonic clock, which starts at boot. */
#ifndef ECI_NATIVE_ARCH_H
#define ECI_NATIVE_ARCH_H

#define NATIVE_SYSCALL_COMMON NR_close_range = 436

#if defined(__x86_64__)

#define NATIVE_ENTRY                                                                              \
	".section .text.entry\n.globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tcall " \
	"native_main\n\thlt\n.text"
enum {
	NR_read = 0,
	NR_write = 1,
	NR_close = 3,
	NR_mmap = 9,
	NR_munmap = 11,
	NR_sigaction = 13,
	NR_sigprocmask = 14,
	NR_ioctl = 16,
	NR_getpid = 39,
	NR_clone = 56,
	NR_execve = 59,
	NR_exit = 231,
	NR_wait4 = 61,
	NR_kill = 62,
	NR_uname = 63,
	NR_fcntl = 72,
	NR_chdir = 80,
	NR_getuid = 102,
	NR_setsid = 112,
	NR_getpgid = 121,
	NR_getsid = 124,
	NR_sched_setscheduler = 144,
	NR_prctl = 157,
	NR_getdents64 = 217,
	NR_clock_gettime = 228,
	NR_waitid = 247,
	NR_openat = 257,
	NR_ppoll = 271,
	NR_signalfd4 = 289,
	NR_dup3 = 292,
	NR_pipe2 = 293,
	NR_prlimit64 = 302,
	NATIVE_SYSCALL_COMMON
};

#elif defined(__aarch64__) || defined(__riscv)

enum {
	NR_fcntl = 25,
	NR_dup3 = 24,
	NR_ioctl = 29,
	NR_chdir = 49,
	NR_openat = 56,
	NR_close = 57,
	NR_pipe2 = 59,
	NR_getdents64 = 61,
	NR_read = 63,
	NR_write = 64,
	NR_ppoll = 73,
	NR_signalfd4 = 74,
	NR_exit = 94,
	NR_waitid = 95,
	NR_clock_gettime = 113,
	NR_sched_setscheduler = 119,
	NR_kill = 129,
	NR_sigaction = 134,
	NR_sigprocmask = 135,
	NR_getpgid = 155,
	NR_getsid = 156,
	NR_setsid = 157,
	NR_uname = 160,
	NR_prctl = 167,
	NR_getpid = 172,
	NR_getuid = 174,
	NR_munmap = 215,
	NR_clone = 220,
	NR_execve = 221,
	NR_mmap = 222,
	NR_wait4 = 260,
	NR_prlimit64 = 261,
	NATIVE_SYSCALL_COMMON
};
#if defined(__aarch64__)
#define NATIVE_ENTRY                                                                                   \
	".section .text.entry\n.globl _start\n_start:\n\tmov x29,#0\n\tmov x30,#0\n\tmov x0,sp\n\tbl " \
	"native_main\n.text"
#else
#define NATIVE_ENTRY                                                                              \
	".section .text.entry\n.globl _start\n_start:\n\t.option push\n\t.option norelax\n\tlla " \
	"gp,__global_pointer$\n"                                                                  \
	"\t.option pop\n\tmv a0,sp\n\tandi sp,sp,-16\n\tcall native_main\n.text"
#endif

#elif defined(__arm__) || defined(__i386__)

/* Of one descent: only what is younger than the split differs. */
enum {
	NR_read = 3,
	NR_write = 4,
	NR_close = 6,
	NR_execve = 11,
	NR_chdir = 12,
	NR_getpid = 20,
	NR_kill = 37,
	NR_ioctl = 54,
	NR_setsid = 66,
	NR_munmap = 91,
	NR_wait4 = 114,
	NR_clone = 120,
	NR_uname = 122,
	NR_getpgid = 132,
	NR_getsid = 147,
	NR_sched_setscheduler = 156,
	NR_prctl = 172,
	NR_sigaction = 174,
	NR_sigprocmask = 175,
	NR_mmap = 192,   /* mmap2 */
	NR_getuid = 199, /* getuid32 */
	NR_fcntl = 221,  /* fcntl64 */
#if defined(__arm__)
	NR_getdents64 = 217,
	NR_exit = 248,
	NR_clock_gettime = 263,
	NR_waitid = 280,
	NR_openat = 322,
	NR_ppoll = 336,
	NR_signalfd4 = 355,
	NR_dup3 = 358,
	NR_pipe2 = 359,
	NR_prlimit64 = 369,
#else
	NR_getdents64 = 220,
	NR_exit = 252,
	NR_clock_gettime = 265,
	NR_waitid = 284,
	NR_openat = 295,
	NR_ppoll = 309,
	NR_signalfd4 = 327,
	NR_dup3 = 330,
	NR_pipe2 = 331,
	NR_prlimit64 = 340,
#endif
	NATIVE_SYSCALL_COMMON
};
#if defined(__arm__)
#define NATIVE_ENTRY                                                                                             \
	".section .text.entry\n.globl _start\n.type _start,%function\n_start:\n\tmov fp,#0\n\tmov lr,#0\n\tmov " \
	"r0,sp\n"                                                                                                \
	"\tbic sp,sp,#7\n\tbl native_main\n.text"
#else
#define NATIVE_ENTRY                                                                                              \
	".section .text.entry\n.globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %esp,%eax\n\tand $-16,%esp\n\tsub " \
	"$12,%esp\n"                                                                                              \
	"\tpush %eax\n\tcall native_main\n\thlt\n.text"
#endif

#else
#error "no native agent for this processor"
#endif

#endif
