/* econtext: the declared topology: nodes, how each is reached, who one becomes there; node sets; the plan. Nothing here
 * connects anywhere. See econtext.h for what holds for all functions.
 *
 * A topology is read-only once it is made: any number of threads and meshes may use it. It must outlive the meshes that
 * were made with it. Functions block on what they name only: a file, or `ssh -G`. On failure err is filled: code
 * topology for a file's content, bad-argument or unknown-target for a name or set (status usage), no-memory, system. */
#ifndef ECONTEXT_TOPOLOGY_H
#define ECONTEXT_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include "econtext/error.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct ectx_topology ectx_topology;

/* Reads a file (a subset of YAML: econtext-topology(5)). NULL and *err on failure: code topology, saw "FILE:LINE:COL:
 * what", hint a suggestion. Blocks on the file only. */
ectx_topology *ectx_topology_load(const char *path, ectx_error *err);
/* The same of n bytes of text (NULL when n is 0), which stay the caller's; name_for_errors stands for FILE. Does not
 * block. */
ectx_topology *ectx_topology_parse(const char *text, size_t n, const char *name_for_errors, ectx_error *err);
/* The file the command line would use: $ECONTEXT_TOPOLOGY, ./econtext.yaml, ~/.config/econtext/topology.yaml; NULL if
 * none, or out of memory. malloc'd. Blocks on looking for them. */
char *ectx_topology_default_path(void);
/* Loads that file, and *path is its name (malloc'd). NULL with *path NULL: there is none, and *err is as it was. A
 * ./econtext.yaml that nobody named is taken only if it is the caller's, root's or (for root) of the user in $SUDO_UID,
 * and not everybody may write to it or put one there; else the error says why. Blocks on the file only. */
ectx_topology *ectx_topology_load_default(char **path, ectx_error *err);
/* No file: every name is a host that the user's ssh_config resolves (ProxyJump included, by ssh -G: started when a name
 * is first used, and waited for up to 10 s). NULL: out of memory. Does not block itself. */
ectx_topology *ectx_topology_none(void);
/* NULL-safe. Not while a mesh or another thread uses it. Does not block. */
void ectx_topology_free(ectx_topology *t);

/* Node-set language: "web[001-010],@db,!db03", "a[01-09/2]", "relay-[a,b]", "r[1-2]n[1-4]". select: comma list;
 * exclude, groups may be NULL. Result: NULL-terminated array of names in order of first mention (NODE or NODE:USER),
 * one malloc'd block (free()); NULL and *err when something is unknown, empty or malformed (status usage), or without
 * memory (no-memory). Without topology nodes (ectx_topology_none) names are taken as they are. Does not block. */
char **ectx_topology_select(const ectx_topology *t, const char *select, const char *exclude, const char *groups,
			    ectx_error *err);
/* Folds names: "a[01-04],b01". malloc'd; NULL: out of memory. Order: natural. Does not block. */
char *ectx_nodeset_fold(const char *const *names, size_t n);
/* Expands without a topology (no @groups). Result and errors as of ectx_topology_select(). Does not block. */
char **ectx_nodeset_expand(const char *set, ectx_error *err);

/* A tunnel of the file's `tunnels:`. Strings are the topology's. */
typedef struct ectx_tunnel_spec {
	const char *listen;  /* "[ADDR:]PORT" or "unix:PATH" */
	const char *exit;    /* a context */
	const char *connect; /* "HOST:PORT" or "unix:PATH"; NULL: SOCKS */
} ectx_tunnel_spec;
/* The tunnel of this name. 0; -1 and *err (unknown-target, with a suggestion). Does not block. */
int ectx_topology_tunnel(const ectx_topology *t, const char *name, ectx_tunnel_spec *out, ectx_error *err);

/* Resolved settings of these nodes (a NULL-terminated array; NULL: all that are declared) with where each came from
 * (FILE:LINE:COL, default, built in), as text or JSON lines; malloc'd. NULL and *err: an unknown name, or no memory.
 * Names of ectx_topology_none() may take up to 10 s each (ssh -G); else this does not block. */
char *ectx_topology_show(const ectx_topology *t, const char *const *names, bool json, ectx_error *err);
/* Per context: hop path, exact argv at each hop, secrets that will be asked, round trips. As ectx_topology_show(). */
char *ectx_topology_plan(const ectx_topology *t, const char *const *names, bool json, ectx_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
