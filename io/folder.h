/* io: what a folder below a root holds, read once and kept. Not thread-safe; blocks on the disk. */
#ifndef ECI_IO_FOLDER_H
#define ECI_IO_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct eci_folder;
struct eci_folder_item {
	char *name;
	char *real; /* where it is, when it is a symbolic link; else NULL */
	bool is_folder;
	bool strange;              /* somebody else's, where all may write: as if it were not there */
	struct eci_folder *folder; /* once asked for */
};

#define ECI_FOLDER_ITEMS_MAX 262144u /* of one folder: 30 MB of names; code does not live in larger ones */

/* What a walk below some roots has with it. */
struct eci_fence {
	char **roots; /* links are followed only to what lies in one of these */
	size_t count;
	struct eci_folder *cut; /* those that had more items than are taken in, the latest first */
	bool guarded;           /* all may write there: only what is root's, or one of these two users', is taken */
	uid_t owners[2];
	/* The strange one that was looked for last, and its folder; without an item it is the folder. */
	const struct eci_folder *strange_in;
	const struct eci_folder_item *strange;
};

/* real: a path without symbolic links in it. rel: its path below its root, "" for the root itself. NULL: no memory. */
struct eci_folder *eci_folder_new(const char *real, const char *rel);
void eci_folder_free(struct eci_folder *f); /* and what lies below it. NULL-safe */
const char *eci_folder_real(const struct eci_folder *f);
const char *eci_folder_rel(const struct eci_folder *f);

/* Reads it, once. What is not readable is empty. 0, or -1 no memory, or no descriptor. The items are sorted by name. */
int eci_folder_scan(struct eci_folder *f, struct eci_fence *fence);
struct eci_folder *eci_folder_next_cut(const struct eci_folder *f); /* of fence->cut */
/* Of a folder that was scanned: */
const struct eci_folder_item *eci_folder_items(const struct eci_folder *f, size_t *count);
/* NULL: none, or a strange one, which the fence is told. */
struct eci_folder_item *eci_folder_find(const struct eci_folder *f, struct eci_fence *fence, const char *name);
/* The folder that an item is, or NULL: no memory. */
struct eci_folder *eci_folder_enter(const struct eci_folder *f, struct eci_folder_item *item);
/* Does a .py file lie in it or below it? Links are not followed here, and the search ends after *budget folders. 1, 0,
 * or -1 no memory. */
int eci_folder_has_python(struct eci_folder *f, struct eci_fence *fence, unsigned *budget);

/* Content of a file, malloc'd. 0; 1: cannot be read, is no plain file, has become strange, or has more than max bytes;
 * -1: no memory, or no descriptor. */
int eci_folder_read(const struct eci_folder *f, struct eci_fence *fence, struct eci_folder_item *item, size_t max,
		    uint8_t **bytes, size_t *len);

#endif
