/* econtext: files to and from contexts. See econtext.h for what holds for all functions.
 *
 * Folders are copied with all in them, with modes and times (to a tenth of a microsecond or so: as a float64 says it);
 * symbolic links are copied as such inside of a folder, and followed when they are named. Files are written beside
 * their place, their digest is compared (BLAKE2b or SHA-256, the first that both ends have; none with a Python
 * before 2.5), and then they are renamed: what fails leaves nothing. Holes stay holes. The far end is Python (a
 * native context runs one beside it for this), or a shell with its tools where there is none: then it is served alone,
 * verified only where there is a sha256sum, holes come from there as zeros, and what says it has 0 bytes comes up to
 * 1 MiB instead of 16. */
#ifndef ECONTEXT_COPY_H
#define ECONTEXT_COPY_H

#include <stdbool.h>
#include "econtext/mesh.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* A rate that several copies share, of one mesh or of several. */
typedef struct ectx_pace ectx_pace;

/* limit: bytes a second, 0 for none. NULL: out of memory. The caller frees it, when no copy that has it is under way;
 * NULL-safe. Neither blocks. */
ectx_pace *ectx_pace_new(uint64_t limit);
void ectx_pace_free(ectx_pace *p);

/* Zero-initialise it and set what is wanted. The functions are called in the thread that called, or (failed) in a
 * thread of the copy, one at a time. */
typedef struct ectx_copy_options {
	bool resume;     /* keep what has come of a file that fails, and go on from there next time; either way */
	uint64_t limit;  /* bytes a second, of all together, what goes to many at once counted once; 0: none */
	ectx_pace *pace; /* instead of limit: what all copies that have it keep to together; NULL: none */
	long connect_timeout_ms; /* to reach the contexts; 0 or below: no limit but those of the way */
	/* About five times a second while it connects and copies: bytes done, of total (0: not known). Not 0: give up.
	 */
	int (*progress)(void *arg, uint64_t done, uint64_t total);
	/* Of c nothing has moved for so many ms: 15,000 or more, then twice as many each time; `why` says what is
	 * waited for, and is static. 0 ms: it goes on. In the calling thread, before progress(). */
	void (*stalled)(void *arg, ectx_context *c, uint64_t ms, const char *why);
	long timeout_ms; /* for the copying, once all are connected or given up; 0 or below: none. Who is not done then
			    fails with deadline; so does one that is connected and has not answered for so long, or
			    for 15 s if that is longer */
	/* A file (path: there, or here for what cannot be read here), or all of a context (path NULL), did not arrive.
	 * c NULL: it is about this machine. */
	void (*failed)(void *arg, ectx_context *c, const char *path, const ectx_error *e);
	void *arg;
} ectx_copy_options;

/* What was done: all 0 when the copy was refused. */
typedef struct ectx_copy_result {
	uint64_t entries,
		bytes; /* files, folders and links that arrived (at all contexts together); bytes of files sent */
	size_t failed; /* how often failed() was called, or would have been */
} ectx_copy_result;

/* Sends sources (NULL-terminated, of this machine) to dest at each of n contexts of one mesh, each named once: into it
 * if it is a folder, ends in "/" or there are several sources; else as it, or as what a link of that name leads to. Of
 * a source whose last name is "." what is in it comes into dest, which then has its mode and time. Of what two sources
 * bring to one name the first comes and the other fails, but for folders, which become one, and for one file that both
 * of them name, which comes once. To several contexts it is sent once over each link, at the pace of the slowest; one
 * that does not answer or begin within a minute, or then takes nothing for half a second, is left to itself and served
 * alone. Blocks until all is done: who is slow is waited for. ECTX_OK, or the worst status of what was told to
 * failed(); then *err is the first (copy-failed: of one file; else as call.h). Nothing failed, and progress gave up:
 * cancelled. bad-argument: contexts of several meshes, one twice, or none; a path that is "". options, result: NULL
 * when not wanted. */
enum ectx_status ectx_copy_to(ectx_context *const *contexts, size_t n, const char *const *sources, const char *dest,
			      const ectx_copy_options *options, ectx_copy_result *result, ectx_error *err);

/* Fetches sources (NULL-terminated paths or patterns there) from one context to dest here, by the same rules; a pattern
 * that stands for several is several sources. Modes come without set-user-id, set-group-id and sticky. Several
 * threads may fetch from several contexts at once, each with a limit of its own or all with one pace. */
enum ectx_status ectx_copy_from(ectx_context *c, const char *const *sources, const char *dest,
				const ectx_copy_options *options, ectx_copy_result *result, ectx_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
