/* econtext: a mesh and its contexts. See econtext.h for what holds for all functions. */
#ifndef ECONTEXT_MESH_H
#define ECONTEXT_MESH_H

#include <stdbool.h>
#include <stddef.h>
#include "econtext/error.h"
#include "econtext/topology.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct ectx_mesh ectx_mesh;
typedef struct ectx_context ectx_context; /* owned by its mesh, valid until ectx_mesh_free() */

/* Zero-initialise it and set what is wanted. Only topology must outlive ectx_mesh_new(). */
typedef struct ectx_options {
	const ectx_topology *topology; /* borrowed for the mesh's life; NULL: as ectx_topology_none() */
	const char *const *roots; /* NULL-terminated folders that modules are served from, to every context that asks;
				     empty: none; NULL: default_roots. Of a folder with more than 262,144 items not
				     all are seen: ECTX_EVENT_LOG */
	const char *const *default_roots; /* NULL-terminated; NULL: the current folder. What is served of one that all
				       may write to is the caller's own, root's or (for root) of the user in $SUDO_UID,
				       each folder and file; else as if it were not there: ECTX_EVENT_LOG, once */
	const char *const *include;       /* NULL-terminated module prefixes to serve; NULL: all */
	const char *const *exclude;       /* never served; NULL: none */
	const char *const *override; /* prefixes for which served modules win over the remote's own, UTF-8, of 80 bytes
					together at most, 2 more counted for each; NULL: none */
	int log_level;     /* Python's numbers (10 debug ... 50 critical); records below are not sent; 0: 20 (info) */
	const char *title; /* of remote processes in ps, UTF-8 without control characters; NULL: the node's, else
			    * "econtext:%u@%h:%p" of this process */
	/* Called for a secret {prompt: ...}: once per secret and mesh, in the thread that calls a start or blocking
	 * function, without any lock held; one question at a time. It may block (the others' calls that need no secret,
	 * or only such as were had, go on) and must not call functions of this mesh. Writes a NUL-terminated answer of
	 * less than cap bytes into buf, of which the first line counts, and which the library wipes; returns 0, or -1:
	 * not to be had, as an empty answer is (the step that asks for it then fails with `secret`). NULL: prompts
	 * cannot be answered. */
	int (*ask)(void *arg, const char *prompt, char *buf, size_t cap);
	void *ask_arg;
	/* Called in the same way, some five times a second while a secret's command, file or descriptor is waited for,
	 * or ssh -G (ectx_context_get()), and once behind every secret, a prompt's too: not 0 means that nobody wants
	 * it any more. What is started then ends with `cancelled`, before anything was sent. NULL: each is waited for,
	 * 30 s at most (ssh -G: 10). ectx_tunnel_open() asks it as well while it waits for an exit to listen. */
	int (*give_up)(void *ask_arg);
	unsigned event_limit; /* log records kept while nobody takes them, beyond it (or beyond 16 MiB of their text)
				 the oldest are dropped, counted; 0: 65,536 */
	/* A context without `via` holds four descriptors of this process, so a program of many raises its limit
	 * (RLIMIT_NOFILE, setrlimit(2)). This is the soft limit that what is started here gets then: some programs walk
	 * through all that they may have. Of the process: the last mesh that says one counts. 0: this program's own. */
	unsigned long files;
} ectx_options;

/* Makes a mesh and starts its thread; connects to nothing. Blocks only where $USER is not set: the system is asked who
 * this is (getpwuid_r(3)), which may ask a server. options NULL: the defaults. 0 with *out, which the caller gives to
 * ectx_mesh_free(). -1 with *out NULL and *err: no-memory (also: no descriptor, no thread), bad-argument (override,
 * title). */
int ectx_mesh_new(ectx_mesh **out, const ectx_options *options, ectx_error *err);

/* Ends every context and what it started, and the mesh. Pending futures end with `closed`; futures and events stay
 * valid until they are freed, contexts do not. Blocks up to 3 s, for contexts to end by themselves, at most. In one
 * thread, once no other call on this mesh is under way, waiting for a future or an event included. NULL-safe. */
void ectx_mesh_free(ectx_mesh *m);

/* The declared context of this name: NODE, NODE:USER (after the node's become steps), or what an ad-hoc path names.
 * Does not connect; the same name gives the same context always, connected or not. Blocks only without a topology file,
 * where ssh -G is asked about a name that is new. Owned by the mesh. NULL with *err: unknown-target, bad-argument (an
 * ad-hoc path that is none), topology (its way cannot be made), cancelled (ssh -G was ended by ^C, or given up). */
ectx_context *ectx_context_get(ectx_mesh *m, const char *name, ectx_error *err);

/* Its name, as declared. Does not block. Owned by the context. */
const char *ectx_context_name(const ectx_context *c);

/* What a boot costs on the wire, as really sent: i = 0 is `command`, 1 `python`, then the parts served later. true with
 * *name (static) and *bytes; false past the end. Does not block. */
bool ectx_preamble_size(size_t i, const char **name, size_t *bytes);

/* "MAJOR.MINOR.PATCH", static. */
const char *ectx_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
