/* mesh: the parts of `copy`: what is sent (copy_source.c, copy_feed.c), to whom at once (cast.c), how (copy_to.c,
 * copy_from.c, copy_take.c). No lock is held but where it is said. */
#ifndef ECI_MESH_COPY_H
#define ECI_MESH_COPY_H

#include "econtext/copy.h"
#include "econtext/channel.h"
#include "io/digest.h"
#include "mesh/stream.h"

#include <stdatomic.h>
#include <sys/stat.h>

#define ECI_COPY_PIECE 65536u
#define ECI_COPY_UNSIZED_MOST (16u << 20) /* of a file that says it has 0 bytes, as it is kept in memory (/proc) */
#define ECI_COPY_HOLE_MOST (16u << 20)    /* in one word: both ends hash it, and ^C waits for that */
#define ECI_CAST_PATIENCE_MS 500u         /* a member that takes nothing for so long while others do leaves */
#define ECI_CAST_CHUNK 16384u             /* bytes of one frame */
#define ECI_CAST_WINDOW_MAX 1048576u      /* bytes that a member is asked to have room for */
#define ECI_CAST_WIDENED_MAX 6291456u     /* by how much a mesh widens those of all its groups */

/* ---- what is sent ---- */
enum eci_entry_kind { ECI_ENTRY_FILE, ECI_ENTRY_DIR, ECI_ENTRY_LINK };
struct eci_entry_here {
	enum eci_entry_kind kind;
	char *full, *path; /* here; as the far end has it */
	struct stat st;
	atomic_bool unreadable; /* found out while it was sent: it is left out from now on, and said once */
};
struct eci_sources {
	struct eci_entry_here *v;
	size_t n, cap;
	uint64_t total; /* bytes of files */
};
/* Called for what cannot be read: errno, or what is neither a file, a folder nor a link, or says 0 bytes and has more
 * than ECI_COPY_UNSIZED_MOST. */
#define ECI_SOURCE_KIND (-1)
#define ECI_SOURCE_UNSIZED (-2)
typedef void (*eci_source_failed)(void *arg, const char *full, int error);
int eci_sources_walk(struct eci_sources *s, const char *const *paths, eci_source_failed failed,
		     void *arg); /* -1: memory */
/* Of entries with one path only the first stays, or all if they are folders; `twice` is called for the others, but not
 * for what is the same file. -1: memory. */
typedef void (*eci_source_twice)(void *arg, const char *full, const char *first);
int eci_sources_once(struct eci_sources *s, eci_source_twice twice, void *arg);
void eci_sources_free(struct eci_sources *s);
/* Whether a source is what is in a folder, not the folder: its last name is ".", and so is the path of its entry. */
bool eci_source_contents(const char *path);
/* Where its last name begins, which is *n long, without slashes behind it; 0: it is "/", or nothing. */
const char *eci_source_last(const char *path, size_t *n);

struct eci_feeder;
/* How what is sent is written: as values of a channel (copy_values.c), or as lines for a shell (copy_lines.c). */
struct eci_feeder_form {
	void (*head)(struct eci_feeder *f, const struct eci_entry_here *e, uint64_t offset);
	void (*piece)(struct eci_feeder *f, const uint8_t *p, size_t n);
	void (*hole)(struct eci_feeder *f, uint64_t n);
	void (*done)(struct eci_feeder *f, bool whole, const uint8_t *sum); /* of a file; sum NULL: no digest */
	void (*finish)(struct eci_feeder *f);                               /* behind the last entry; NULL: nothing */
};
extern const struct eci_feeder_form eci_form_values, eci_form_lines;

/* The bytes that send entries [first, n). */
struct eci_feeder {
	const struct eci_feeder_form *form;
	struct eci_sources *s;
	size_t at;      /* entry */
	bool *left_out; /* by entry: not said here, so nothing is answered to it */
	int fd;
	uint64_t offset, sent; /* in the file; of files in all */
	uint64_t size;         /* as it was said */
	uint64_t data_until;   /* no hole is looked for before */
	uint64_t run;          /* lines: bytes that were promised, and are not there yet */
	bool finished;
	const char *algorithm; /* NULL: no digests */
	struct eci_digest *digest;
	struct eci_buf ahead;    /* what was read of it before its head */
	struct eci_buf out;      /* encoded, not taken */
	const uint64_t *offsets; /* by entry: go on from here; NULL: all from the start */
	eci_source_failed failed;
	bool (*stopped)(void *arg); /* asked between pieces that are only hashed; true: what is said then is not to be
				       sent. NULL: never */
	void *arg;
	uint8_t piece[ECI_COPY_PIECE];
};
void eci_feeder_init(struct eci_feeder *f, struct eci_sources *s, size_t first, const char *algorithm,
		     const struct eci_feeder_form *form);
/* Makes at least one byte ready in f->out, unless all is said: false. */
bool eci_feeder_more(struct eci_feeder *f);
void eci_feeder_deinit(struct eci_feeder *f);

/* ---- to several at once ---- */
struct eci_cast_member {
	struct ectx_stream *x;
	uint32_t id;
	bool in, dry; /* dry: it had no room when that was last looked at */
};
struct eci_cast {
	ectx_mesh *mesh;
	uint32_t gid;
	struct eci_cast_member *v;
	size_t n, ins;
	pthread_cond_t room;
	uint32_t window;       /* bytes: the widest that a member was asked for */
	uint64_t dry_since;    /* ms: somebody has had no room; 0: nobody */
	uint64_t behind_since; /* ms: somebody has had none while another had; 0: nobody */
};
/* The handle of a group's streams (docs/protocol.md 9.2). */
#define ECI_CAST_HANDLE(gid) (0xC0000000u + (gid))
uint32_t eci_cast_gid(ectx_mesh *m); /* a new one */
/* Members are streams whose other ends are known and take ECI_CAST_HANDLE(gid). 0 or -1: then nobody is in. */
int eci_cast_init(struct eci_cast *c, ectx_mesh *m, uint32_t gid, struct eci_cast_member *v, size_t n);
/* n <= ECI_CAST_CHUNK bytes to all that are in. Blocks while one of them has no room, up to wait_ms: 1 sent, 0 not yet,
 * -1 nobody is in. Members that are behind for too long, or dead, leave. */
int eci_cast_write(struct eci_cast *c, const uint8_t *p, size_t n, unsigned wait_ms);
void eci_cast_leave(struct eci_cast *c, size_t i);  /* one that is in is not any more */
void eci_cast_forget(struct eci_cast *c, size_t i); /* one that is not in; the last takes its place */
void eci_cast_end(struct eci_cast *c);              /* END to all that are in; who is not afterwards has not heard it */
void eci_cast_deinit(struct eci_cast *c);

/* ---- a channel from within ---- */
struct ectx_stream *eci_channel_stream(struct ectx_channel *ch);
/* The group that will send to it, which its call says; before that call. */
void eci_channel_group(struct ectx_channel *ch, uint32_t gid);
/* Waits until the other end is known: 1; 0: not in that time; -1: it is closed. */
int eci_channel_opened(struct ectx_channel *ch, long timeout_ms);

#endif
