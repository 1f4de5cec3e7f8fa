/* native: the numbers of the system calls that sockets need, as arch.h has the others. */
#ifndef ECI_NATIVE_ARCH_SOCKETS_H
#define ECI_NATIVE_ARCH_SOCKETS_H

#if defined(__x86_64__)
enum {
	NR_socket = 41,
	NR_connect = 42,
	NR_shutdown = 48,
	NR_bind = 49,
	NR_listen = 50,
	NR_getsockname = 51,
	NR_setsockopt = 54,
	NR_getsockopt = 55,
	NR_fchmod = 91,
	NR_unlinkat = 263,
	NR_accept4 = 288
};
#elif defined(__aarch64__) || defined(__riscv)
enum {
	NR_unlinkat = 35,
	NR_fchmod = 52,
	NR_socket = 198,
	NR_bind = 200,
	NR_listen = 201,
	NR_connect = 203,
	NR_getsockname = 204,
	NR_setsockopt = 208,
	NR_getsockopt = 209,
	NR_shutdown = 210,
	NR_accept4 = 242
};
#elif defined(__arm__)
enum {
	NR_fchmod = 94,
	NR_socket = 281,
	NR_bind = 282,
	NR_connect = 283,
	NR_listen = 284,
	NR_getsockname = 286,
	NR_shutdown = 293,
	NR_setsockopt = 294,
	NR_getsockopt = 295,
	NR_unlinkat = 328,
	NR_accept4 = 366
};
#else /* i386, Linux 4.3 and later: before there was socketcall(2) only */
enum {
	NR_fchmod = 94,
	NR_unlinkat = 301,
	NR_socket = 359,
	NR_bind = 361,
	NR_connect = 362,
	NR_listen = 363,
	NR_accept4 = 364,
	NR_getsockopt = 365,
	NR_setsockopt = 366,
	NR_getsockname = 367,
	NR_shutdown = 373
};
#endif

#endif
