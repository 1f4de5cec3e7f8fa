/* native: the system call of each processor: by three registers, which most calls need, and by six. */
#ifndef ECI_NATIVE_ARCH_CALL_H
#define ECI_NATIVE_ARCH_CALL_H

#if defined(__x86_64__)
static inline long native_call3(long nr, long a, long b, long c)
{
	long out;
	__asm__ volatile("syscall" : "=a"(out) : "0"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return out;
}
static inline long native_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	long out;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(out)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return out;
}
#elif defined(__aarch64__)
static inline long native_call3(long nr, long a, long b, long c)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
}
static inline long native_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#elif defined(__riscv)
static inline long native_call3(long nr, long a, long b, long c)
{
	register long a7 __asm__("a7") = nr;
	register long a0 __asm__("a0") = a;
	register long a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c;
	__asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
	return a0;
}
static inline long native_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long a7 __asm__("a7") = nr;
	register long a0 __asm__("a0") = a;
	register long a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c;
	register long a3 __asm__("a3") = d;
	register long a4 __asm__("a4") = e;
	register long a5 __asm__("a5") = f;
	__asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
	return a0;
}
#elif defined(__arm__)
/* r7 is the frame pointer of Thumb code, and so not the compiler's to give. */
static inline long native_call3(long nr, long a, long b, long c)
{
	register long r0 __asm__("r0") = a;
	register long r1 __asm__("r1") = b;
	register long r2 __asm__("r2") = c;
	__asm__ volatile("push {r7}\n\tmov r7,%[nr]\n\tsvc #0\n\tpop {r7}"
			 : "+r"(r0)
			 : [nr] "r"(nr), "r"(r1), "r"(r2)
			 : "memory");
	return r0;
}
static inline long native_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r0 __asm__("r0") = a;
	register long r1 __asm__("r1") = b;
	register long r2 __asm__("r2") = c;
	register long r3 __asm__("r3") = d;
	register long r4 __asm__("r4") = e;
	register long r5 __asm__("r5") = f;
	__asm__ volatile("push {r7}\n\tmov r7,%[nr]\n\tsvc #0\n\tpop {r7}"
			 : "+r"(r0)
			 : [nr] "r"(nr), "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5)
			 : "memory");
	return r0;
}
#else
static inline long native_call3(long nr, long a, long b, long c)
{
	long out;
	__asm__ volatile("int $0x80" : "=a"(out) : "0"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return out;
}
/* Six arguments and as few registers: the sixth goes by the stack. Not inlined: each place would pay for it. */
static __attribute__((noinline, unused)) long native_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	long args[7] = {nr, a, b, c, d, e, f}, out;
	__asm__ volatile("push %%ebx\n\tpush %%ebp\n\tmov %%eax,%%esi\n\tmov (%%esi),%%eax\n\tmov 4(%%esi),%%ebx\n"
			 "\tmov 8(%%esi),%%ecx\n\tmov 12(%%esi),%%edx\n\tmov 20(%%esi),%%edi\n\tmov 24(%%esi),%%ebp\n"
			 "\tmov 16(%%esi),%%esi\n\tint $0x80\n\tpop %%ebp\n\tpop %%ebx"
			 : "=a"(out)
			 : "0"(args)
			 : "ecx", "edx", "esi", "edi", "memory");
	return out;
}
#endif

#endif
