/* io: starts a process on pipes or a pty and knows when it has ended. Does not block, but for the moment between fork
 * and exec. */
#ifndef ECI_IO_PROC_H
#define ECI_IO_PROC_H

#include <stdbool.h>
#include <sys/types.h>

/* SPAWN's mode, docs/protocol.md section 7. */
enum eci_proc_mode { ECI_PROC_PIPES = 0, ECI_PROC_PTY = 1, ECI_PROC_CTTY = 2 };
#define ECI_PROC_SURVIVES 4u /* or-ed to it: see eci_proc_start() */
#define ECI_PROC_IMAGE 8u

struct eci_proc {
	pid_t pid;   /* also its process group and session */
	int pidfd;   /* readable when it has ended; -1 on kernels before 5.3: poll eci_proc_reap() */
	int in, out; /* non-blocking, close-on-exec; of a pty two of its one side */
	int err;     /* -1 for a pty */
	int slave;   /* its other side, held open until the process is reaped, else -1 */
	int tty;     /* master side of the controlling terminal in mode CTTY, else -1 */
};
#define ECI_PROC_NULL ((struct eci_proc){-1, -1, -1, -1, -1, -1, -1})

/* env: NULL-terminated "K=V" to set and "K" to unset, over this process's own; NULL: none. The child has a session of
 * its own, default signal dispositions, an empty mask, descriptors 0 to 2 only, and is killed when the calling THREAD
 * ends (prctl(2), PR_SET_PDEATHSIG), so call it from one that lives as long as the process should; but not if mode has
 * ECI_PROC_SURVIVES: it sees that its stdin has ended, and has more to end than itself. ECI_PROC_IMAGE: argv[0] is the
 * path of a program for this kernel, and what the kernel refuses is not read by a shell, as it is otherwise
 * (execvp(3)). 0, or an errno: of fork and friends, or of exec itself; negative, where it is the terminal that is not
 * to be had. */
int eci_proc_start(struct eci_proc *p, const char *const *argv, const char *const *env, unsigned mode);
/* Has what is started from now on have this soft limit of descriptors (RLIMIT_NOFILE), and not this process's. */
void eci_proc_limit_files(unsigned long soft);
/* True once it has ended: *wait_status is set, the pid is gone. -1: somebody else has waited for it, and how it ended
 * is not known. Never blocks. */
bool eci_proc_reap(struct eci_proc *p, int *wait_status);
/* SIGKILL to its process group (and to it). Harmless once reaped, by whomever. */
void eci_proc_kill(const struct eci_proc *p);
/* Closes descriptors; does not kill. Idempotent. */
void eci_proc_close(struct eci_proc *p);

/* Makes a pipe hold 256 KiB, four times what it begins with: for bulk, its two ends wake each other as much less often.
 * Only for a pipe that was seen full or half full, since what a user's pipes may hold together is limited (pipe(7));
 * where no more is to be had, or fd is no pipe, nothing changes. */
void eci_proc_widen(int fd);

#endif
