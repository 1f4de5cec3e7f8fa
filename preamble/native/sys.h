/* native: the system calls, by their names, and the constants that go with them. Each returns what the kernel does: a
 * result, or the negative errno. */
#ifndef ECI_NATIVE_SYS_H
#define ECI_NATIVE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preamble/native/arch.h"
#include "preamble/native/arch_call.h"

enum {
	SYS_ENOENT = 2,
	SYS_EINTR = 4,
	SYS_ENOEXEC = 8,
	SYS_ECHILD = 10,
	SYS_EAGAIN = 11,
	SYS_ENOMEM = 12,
	SYS_ENOTDIR = 20,
	SYS_EMFILE = 24,
	SYS_ECONNABORTED = 103
};
enum { SYS_RDWR = 2, SYS_NOCTTY = 0x100 };
enum { SYS_NONBLOCK = 0x800, SYS_CLOEXEC = 0x80000 };
enum { SYS_POLLIN = 1, SYS_POLLOUT = 4 };
enum { SYS_NOFILE = 7 }; /* RLIMIT_NOFILE: getrlimit(2) */
enum { SYS_SIGKILL = 9, SYS_SIGPIPE = 13, SYS_SIGTERM = 15, SYS_SIGCHLD = 17, SYS_SIGNALS = 64 };
enum { SYS_SIG_DFL = 0, SYS_SIG_IGN = 1 };
enum { SYS_P_ALL = 0, SYS_P_PID = 1, SYS_WNOHANG = 1, SYS_WEXITED = 4, SYS_WNOWAIT = 0x1000000 };
enum { SYS_CLD_EXITED = 1 };
enum { SYS_F_SETFL = 4, SYS_F_DUPFD_CLOEXEC = 1030, SYS_F_SETPIPE_SZ = 1031 };

/* Most take three arguments at most: the others' registers are not worth setting. */
#define SYS0(nr) native_call3(nr, 0, 0, 0)
#define SYS1(nr, a) native_call3(nr, (long)(a), 0, 0)
#define SYS2(nr, a, b) native_call3(nr, (long)(a), (long)(b), 0)
#define SYS3(nr, a, b, c) native_call3(nr, (long)(a), (long)(b), (long)(c))
#define SYS4(nr, a, b, c, d) native_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS5(nr, a, b, c, d, e) native_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS6(nr, a, b, c, d, e, f) native_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
