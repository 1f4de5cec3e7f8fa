/* mesh: a copy from a context (copy_from.c), what it does here with what is said (copy_take.c), and whether that was
 * asked for (copy_asked.c). */
#ifndef ECI_MESH_COPY_TAKE_H
#define ECI_MESH_COPY_TAKE_H

#include "mesh/copy_folders.h"
#include "mesh/copy_in.h"
#include "mesh/copy_lines.h"
#include "mesh/copy_run.h"

struct eci_fetch_folder {
	char *place;
	unsigned mode;
	double mtime;
};

struct eci_fetch {
	struct eci_copy k;
	ectx_context *c;
	ectx_channel *ch;
	struct eci_copy_shell *shell; /* instead of ch */
	const char *const *sources;   /* that were asked for */
	char **given;                 /* by source: the name that the far end has for it; NULL: for none yet */
	char *dest;
	const char *algorithm;
	bool into, folder; /* dest is one that things come into; it is there */
	bool contents;     /* what is in a folder was asked for: its entry "." is dest */
	bool refused;      /* nothing can come */
	bool ended;        /* all was said */
	bool begun;        /* a file whose end was not said */
	char path[ECI_PLACE_LONGEST], place[ECI_PLACE_LONGEST];
	struct eci_folders at;            /* below dest, or where dest is */
	struct eci_incoming file;         /* that is coming */
	char *missing;                    /* a folder that is not there, with a slash */
	struct eci_fetch_folder *folders; /* whose modes and times come last */
	size_t nfolders, cap;
};

void eci_fetch_init(struct eci_fetch *f); /* one that is all zeroes */
/* Whether the first part of a path is what one of the sources may be called; folder: it is one itself. */
bool eci_fetch_asked(struct eci_fetch *f, const char *path, bool folder);
void eci_fetch_forget(struct eci_fetch *f); /* the names that were given */
/* One thing that the other end has said: an entry, a piece of a file, an end, an error. */
void eci_fetch_take(struct eci_fetch *f, const ectx_value *v);
void eci_fetch_not_ended(struct eci_fetch *f); /* no more comes of the file that has begun, if one has */
void eci_fetch_settle(struct eci_fetch *f);    /* nothing comes any more: folders get their modes and times */

#endif
