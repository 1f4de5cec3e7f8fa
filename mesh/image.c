/* The native agent's image on this machine, as something to be executed.
 *
 * A context that is `local` runs where its parent runs, and an agent that its parent has needs no shell, no interpreter
 * and no bytes on the way: the parent executes it. A native agent has one, which is itself (/proc/self/exe); the master
 * makes one, a memfd with the embedded agent for its machine, and names it by /proc/PID/fd/N, because no descriptor
 * survives into its children. A thousand contexts are up in the time that the shells of some hundred take.
 *
 * Where that cannot be (no memfd, a policy, no agent for this machine) the start fails, and the dialogue takes the
 * way that all other contexts take. */
#include "mesh/connect.h"
#include "preamble/preamble.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u /* Linux 6.3: vm.memfd_noexec=1 makes those without it that cannot be executed */
#endif

static int make(const struct eci_native *native)
{
	int fd = memfd_create("econtext", MFD_CLOEXEC | MFD_EXEC);
	if (fd < 0)
		fd = memfd_create("econtext", MFD_CLOEXEC);
	size_t done = 0;
	while (fd >= 0 && done < native->elf_len) {
		ssize_t n = write(fd, native->elf + done, native->elf_len - done);
		if (n <= 0) {
			(void)close(fd);
			return -1;
		}
		done += (size_t)n;
	}
	return fd;
}

static const char *of_master(ectx_mesh *m)
{
	struct utsname u;
	if (m->image_fd == ECI_IMAGE_UNTRIED) {
		const struct eci_native *native =
			uname(&u) == 0 && !strcmp(u.sysname, "Linux") ? eci_preamble_native_for(u.machine) : NULL;
		m->image_fd = native ? make(native) : -1;
		if (m->image_fd >= 0) {
			(void)snprintf(m->image, sizeof m->image, "/proc/%ld/fd/%d", (long)getpid(), m->image_fd);
			(void)snprintf(m->machine, sizeof m->machine, "%.31s", u.machine);
		}
	}
	return m->image_fd >= 0 ? m->image : NULL;
}

const char *eci_image_for(ectx_context *c)
{
	if (!eci_target_takes_image(&c->target))
		return NULL;
	if (!c->parent)
		return of_master(c->mesh);
	return c->parent->native ? "/proc/self/exe" : NULL; /* if that turns out wrong, c is dialled anew with it */
}

const char *eci_image_machine(const ectx_context *c)
{
	return c->parent ? c->parent->arch : c->mesh->machine;
}

void eci_image_close(ectx_mesh *m)
{
	if (m->image_fd >= 0)
		(void)close(m->image_fd);
	m->image_fd = -1;
}
