/* mesh: one context that a copy goes to (copy_target.c; one without Python: copy_shell_to.c). */
#ifndef ECI_MESH_COPY_TARGET_H
#define ECI_MESH_COPY_TARGET_H

#include "mesh/copy_lines.h"
#include "mesh/copy_run.h"

struct eci_copy_target {
	struct eci_copy_job *job;
	ectx_context *c;
	struct eci_copy_watch *watch;
	ectx_channel *ch; /* to `put` there */
	ectx_future *call;
	uint64_t begun_ms;            /* when it was asked for */
	struct eci_copy_shell *shell; /* or to a shell; made by its own eci_shell_put() */
	ectx_future *greeting;        /* whose answer has not come; NULL: it has */
	bool apart;                   /* of no group: it has no Python, or had not answered */
	bool by_shell;                /* it has no Python */
	const char *algorithm;
	size_t next;          /* entry that will be answered next */
	const bool *left_out; /* the feeder's: what was not said to it; NULL: before there is one */
	bool refused;         /* it said that nothing at all can come there */
	bool gone;            /* nothing more is to be done here */
};

struct eci_copy_job { /* of one ectx_copy_to() */
	struct eci_copy k;
	struct eci_sources s;
	const char *dest;
	bool single;
	struct eci_copy_target *v;
	size_t n;
};

void eci_target_fail(struct eci_copy_target *t, enum ectx_code code, const char *saw);
/* Starts `put`; group 0: no group. false: told already. */
bool eci_target_begin(struct eci_copy_target *t, uint32_t group);
/* An answer: text NULL: it is there; else why not, the place it is about (NULL: its path; LEFT: what
 * stays of it), and how far that goes. */
enum { ECI_ANSWER_ONE, ECI_ANSWER_ALL, ECI_ANSWER_BELOW, ECI_ANSWER_LEFT };
void eci_target_answered(struct eci_copy_target *t, const char *text, const char *place, long how);
/* Takes answers, up to wait_ms for each; false: there will be none any more. */
bool eci_target_answers(struct eci_copy_target *t, long wait_ms);
/* The end of a put that was told all: its last answers, its outcome. */
void eci_target_conclude(struct eci_copy_target *t);
void eci_target_let_go(struct eci_copy_target *t);
struct ectx_stream *eci_target_stream(const struct eci_copy_target *t);
/* What is there already, for resume: offsets by entry; UINT64_MAX: all of it. Before `put` begins; a shell is asked
 * when it has begun. Where t is gone then, it could not be asked, and that is told. */
uint64_t *eci_target_have(struct eci_copy_target *t);
/* What one call of `have` names, and its arguments for entries from first on: up to *end. NULL: memory. */
#define ECI_HAVE_ENTRIES 20000u   /* three items each, and no call has more than ECI_CBOR_VALUE_ITEMS_MAX */
#define ECI_HAVE_BYTES (1u << 20) /* of paths, until when one more is named: ECI_LOCAL_MAX has room for a hundred */
ectx_value *eci_target_have_args(const struct eci_copy_target *t, size_t first, size_t *end);
/* Says of entry i that n bytes (< 0: all) are there, with this digest (NULL: none): what can be gone on from, as above.
 */
void eci_target_had(const struct eci_copy_target *t, uint64_t *offsets, size_t i, int64_t n, const uint8_t *sum);

/* ---- the same for one without Python ---- */
bool eci_shell_put(struct eci_copy_target *t);
int eci_shell_opened(struct eci_copy_target *t); /* 1: it has begun; 0: not yet; -1: it is over, and told */
bool eci_shell_answers(struct eci_copy_target *t, long wait_ms);
uint64_t *eci_shell_have_there(struct eci_copy_target *t);

#endif
