/* mesh: a file that comes here from a context (copy_in.c). */
#ifndef ECI_MESH_COPY_IN_H
#define ECI_MESH_COPY_IN_H

#include "mesh/copy.h"

#define ECI_PLACE_LONGEST 4096u

struct eci_incoming {
	int fd;                  /* -1: nothing is written, because of error, or all of it is there */
	int dir;                 /* the folder of `place`, its own; -1: none */
	bool named;              /* `part` is in its folder */
	bool keep, whole;        /* resume; the file in its place is it already, as far as one knows */
	const atomic_bool *stop; /* once true, what is here is counted no further; NULL: it always is */
	char place[ECI_PLACE_LONGEST], part[ECI_PLACE_LONGEST]; /* as they are said; their last names are below `dir` */
	const char *algorithm;
	struct eci_digest *digest;
	uint64_t size, at;
	unsigned mode;
	double mtime;
	int error; /* why it does not come */
	const char *why;
	bool left;   /* `part` is in its folder, and could not be removed */
	bool theirs; /* which is the other end's doing, or the way's */
};

/* What a user calls the target: without slashes at its end, and of a link what it leads to (of one to a folder only if
 * `contents`). malloc'd; NULL and *why: nothing may come there. *folder: it is one. */
char *eci_incoming_dest(const char *dest, bool contents, bool *folder, const char **why);
/* What it is called before it is renamed: beside `place`, and no longer than a name may be. 0 or an errno. */
int eci_incoming_part(char part[ECI_PLACE_LONGEST], const char *place, const char *extra);

/* Why nothing may come in the place of what is there: a pipe, a socket and a device stay. NULL: it may, or it is a
 * folder, of which the system says so. */
const char *eci_incoming_over(const struct stat *st);

/* For a file whose dir, place, size, mode, mtime, algorithm and keep are set. What goes wrong is kept in `error`. */
void eci_incoming_begin(struct eci_incoming *f);
/* What is here of it already: bytes and their digest, or 0. */
uint64_t eci_incoming_have(struct eci_incoming *f, uint8_t sum[ECI_DIGEST_SIZE]);
/* The other end begins at n, which is what was had, or 0. */
void eci_incoming_from(struct eci_incoming *f, uint64_t n);
void eci_incoming_bytes(struct eci_incoming *f, const uint8_t *p, size_t n);
void eci_incoming_hole(struct eci_incoming *f, uint64_t n);
/* All has come: NULL, and it is in its place; or why not, and it is gone. */
const char *eci_incoming_end(struct eci_incoming *f, const ectx_value *digest);
void eci_incoming_drop(struct eci_incoming *f); /* of one that did not end; harmless else */

/* The last name of a path. */
const char *eci_incoming_name(const char *path);
/* The mode and time of what the descriptor is of, file or folder, which may be one of O_PATH; a link is left as it is.
 */
void eci_dress(int fd, unsigned mode, double mtime);

#endif
