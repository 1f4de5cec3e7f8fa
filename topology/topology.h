/* topology: what mesh/ takes from a loaded topology beyond the public header: the contexts on the way to some names. */
#ifndef ECI_TOPOLOGY_H
#define ECI_TOPOLOGY_H

#include "core/target.h"
#include "econtext/topology.h"

#include <sys/types.h>

/* Bytes of a unix socket's path: Linux's sun_path less its NUL, or that before an abstract name (unix(7)). */
#define ECI_SUN_PATH_MAX 107u

enum eci_secret_kind { ECI_SECRET_PROMPT, ECI_SECRET_ENV, ECI_SECRET_FD, ECI_SECRET_FILE, ECI_SECRET_COMMAND };
struct eci_secret {
	const char *name;
	enum eci_secret_kind kind;
	const char *text; /* prompt text, variable, path */
	int fd;
	bool opened;                /* fd was, when the topology was loaded */
	const char *const *command; /* NULL-terminated */
};
const struct eci_secret *eci_topology_secret(const ectx_topology *t, const char *name); /* NULL: not declared */
const struct eci_secret *eci_topology_secret_at(const ectx_topology *t, size_t i);      /* NULL: no more */

/* Who may write what the caller obeys beside himself and root: for root the user in $SUDO_UID, who asked sudo to be it;
 * else the caller again. */
uid_t eci_topology_caller(void);

/* One context: a node, or a become step on it. Strings live as long as the topology (for ectx_topology_none(): as long
 * as the plan). */
struct eci_plan_item {
	const char *name; /* "a01", "a01:vlab-deploy", "a01:vlab-app" */
	size_t parent;    /* index of an earlier item; SIZE_MAX: the master */
	struct eci_target target;
	uint32_t subtree;     /* contexts declared at and below it in the whole topology (for the size of its block) */
	uint32_t dial_window; /* children it dials at once; default 4 */
};
struct eci_plan {
	struct eci_plan_item *items; /* parents first */
	size_t count;
	size_t *wanted; /* for each name asked, the index of its item */
	void *owned;
	const struct eci_plan_wait *wait; /* while it is made */
};
/* Who waits for ssh -G: give_up(arg) is asked some five times a second, not 0 ends it (`cancelled`). NULL: nobody. */
struct eci_plan_wait {
	int (*give_up)(void *arg);
	void *arg;
};
/* The contexts named and all on their way. NULL-free; 0 or -1 with *err (status usage; unknown-target with a "did you
 * mean"). `bastion/web001:root` is an ad-hoc path. */
int eci_plan_make(const ectx_topology *t, const char *const *names, size_t n, struct eci_plan *out, ectx_error *err);
int eci_plan_make_for(const struct eci_plan_wait *wait, const ectx_topology *t, const char *const *names, size_t n,
		      struct eci_plan *out, ectx_error *err);
void eci_plan_deinit(struct eci_plan *p);
/* ectx_topology_plan() shows argv through this, which transport/ sets up (topology does not include transport): argv
 * for a target as one malloc'd NULL-terminated block, and the round trips it takes. mesh/ registers it once. */
typedef char **(*eci_argv_fn)(const struct eci_target *t, unsigned *round_trips);
void eci_topology_set_argv(eci_argv_fn fn);

#endif
