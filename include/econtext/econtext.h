/* econtext: a mesh of execution contexts under this program's control. This header is all of the library.
 *
 *     ectx_topology *t = ectx_topology_load("hosts.yaml", &err);
 *     ectx_mesh_new(&mesh, &(ectx_options){.topology = t}, &err);
 *     ectx_context *c = ectx_context_get(mesh, "web01", &err);
 *     ectx_call(c, "os:getuid", NULL, NULL, 10000, &result, &err);
 *
 * Threads: every function may be called from any thread at any time, unless its comment says otherwise. A mesh has one
 * private thread that runs its loop; a function that blocks holds up its caller only. Several meshes may live in one
 * process; they share nothing. Not from signal handlers, and no thread may be cancelled (pthread_cancel(3)) while it is
 * in one. In a child that fork() made, a mesh of the parent must not be touched, and a new one may be made. A child
 * that lives on without an exec keeps the descriptors of the parent's links: should the parent be killed, its contexts
 * end when that child does.
 *
 * The process: the library never calls exit(), prints nothing, installs no signal handler, changes no environment and
 * has no globals that change, but what ectx_options.files says. SIGPIPE raised by its own writes is kept from the
 * program, and its threads block all signals. Its descriptors are close-on-exec. The processes it starts are its own:
 * do not wait for them, as waitpid(-1) does, and libev's ev_default_loop() (ev_loop_new() does not), and do not set
 * SIGCHLD to be ignored. An exit status that is lost by that is not known, and none of success: the end is noticed all
 * the same, but a secret's command and what ssh says of its configuration are refused. One thing does end the program:
 * where libev, which runs the loop, finds no memory for its own tables, it says so on stderr and calls abort();
 * ev_set_allocator() is the program's, and is not touched.
 *
 * Times are milliseconds. A timeout_ms below 0 means no limit: then only the liveness of the links bounds the wait; 0
 * means do not wait at all.
 *
 * Strings are NUL-terminated UTF-8 and copied, unless a comment says bytes or borrowed. What is malloc'd for the caller
 * is given back with free(). A pointer that a comment does not call NULL-safe must not be NULL.
 *
 * Errors: a function that can fail says how, and fills *err (error.h), which must point to one that was
 * zero-initialised or cleared. Out of memory (no-memory) is possible wherever memory is taken and not listed each time.
 */
#ifndef ECONTEXT_ECONTEXT_H
#define ECONTEXT_ECONTEXT_H

#include "econtext/call.h"
#include "econtext/channel.h"
#include "econtext/copy.h"
#include "econtext/error.h"
#include "econtext/event.h"
#include "econtext/future.h"
#include "econtext/mesh.h"
#include "econtext/stream.h"
#include "econtext/topology.h"
#include "econtext/value.h"

#endif
