/* io: where secret values come from and where they are kept. */
#ifndef ECI_IO_SECRET_H
#define ECI_IO_SECRET_H

#include "topology/topology.h"

#define ECI_SECRET_MAX 1024u /* bytes of a value with its NUL: longer than any password program accepts */

/* A guarded, locked, zeroed buffer of ECI_SECRET_MAX bytes; NULL: no memory. Freeing wipes; NULL-safe. */
char *eci_secret_alloc(void);
void eci_secret_free(char *value);
void eci_wipe(void *p, size_t n);
/* Who waits: give_up(arg) is asked now and then, not 0 ends it. NULL: nobody does. */
struct eci_secret_wait {
	int (*give_up)(void *arg);
	void *arg;
};
/* Of a secret the first line counts, wherever it comes from: given whole, the rest would be typed to whatever runs
 * behind the prompt, as the one whom one became. Ends value behind its first line, and wipes the rest. */
void eci_secret_cut(char *value);
/* Reads the first line of an env, fd, file or command secret, without its end. env is what changes in the
 * environment of a command, as for eci_proc_start(). Blocks on the file or command (30 s at
 * most, or until it is given up). 0, or -1 with why. A file must be ours and not readable by others (0600). */
int eci_secret_read(const struct eci_secret *decl, const char *const *env, char *buf, size_t cap,
		    const struct eci_secret_wait *wait, char *why, size_t why_cap);

#endif
