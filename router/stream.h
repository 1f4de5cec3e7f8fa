/* router: streams (docs/protocol.md section 4): ordered bytes in two directions between this context and another, each
 * with its own credit. Pure and freestanding, as router.h. Nothing here blocks; everything happens in the thread that
 * uses the router. */
#ifndef ECI_STREAM_H
#define ECI_STREAM_H

#include "router/router.h"

#define ECI_STREAM_WINDOW_MAX (16u * 1024u * 1024u)
#define ECI_STREAM_WIDENED_MAX (64u * 1024u * 1024u) /* by how much a router widens all its windows together */
#define ECI_STREAM_BACKLOG 262144u /* own bulk queued to the parent above which one stream alone adds nothing */

struct eci_stream;

/* What a stream tells its owner. Every function may free the stream (eci_stream_free()), and may be NULL. */
struct eci_stream_ops {
	/* n > 0 bytes of the other end, valid during the call. The owner gives them back with eci_stream_took() when
	 * they were consumed. */
	void (*data)(void *arg, const uint8_t *p, size_t n);
	void (*ended)(void *arg); /* the other end's direction is over; all its data was given */
	void (*room)(void *arg);  /* eci_stream_room() was 0, and may not be now */
	void (*settled)(
		void *arg); /* the other end has done with all that was sent, and its END (eci_stream_settled()) */
	/* Reset, or its way is lost: both directions are over. a is as a slot's (router.h). */
	void (*dead)(void *arg, const struct eci_answer *a);
	bool calls; /* frames of class call are data as well: what a listening socket announces (a master's only) */
};

/* A stream with peer, whose handle there is far, or 0 as long as that is not known (it is learned from the first
 * frame). NULL: no memory. ops and arg are the owner's and must live as long. */
struct eci_stream *eci_stream_new(struct eci_router *r, uint32_t peer, uint32_t far, const struct eci_stream_ops *ops,
				  void *arg);
/* Frees it. One that is not over is reset at the other end with this reason and text; reason NULL: without a word,
 * where the other end knows. text NULL: "". NULL-safe. */
void eci_stream_free(struct eci_stream *s, const char *reason, const char *text, uint64_t now_ms);
/* Something of it is missing, so nothing may follow, an END least of all: resets it at both ends. dead() is called. */
void eci_stream_fail(struct eci_stream *s, const char *reason, const char *text);
uint32_t eci_stream_handle(const struct eci_stream *s);
uint32_t eci_stream_far(const struct eci_stream *s); /* 0: not known yet */
void eci_stream_set_far(struct eci_stream *s, uint32_t far);
/* The stream of this handle here, or NULL. */
struct eci_stream *eci_stream_find(const struct eci_router *r, uint32_t handle);

/* How many bytes may be sent now; if 0, room() will be called when it may have become more. */
size_t eci_stream_room(struct eci_stream *s);
/* There is some room, but not enough: room() will be called when there is more. */
void eci_stream_want(struct eci_stream *s);
/* n <= eci_stream_room() bytes, copied. 0; or a code of eci_router_send(): then some of them may be missing, and the
 * stream should be freed. n may be 0: an empty frame, which tells the other end our handle. */
int eci_stream_send(struct eci_stream *s, const void *p, size_t n, uint64_t now_ms);
/* Nothing more will be sent: half-close. Once is enough. 0 or a code of eci_router_send(). */
int eci_stream_end(struct eci_stream *s, uint64_t now_ms);
/* n bytes of the other end were consumed. */
void eci_stream_took(struct eci_stream *s, size_t n, uint64_t now_ms);
/* All of the other end's bytes and its END are where they belong: it is told. Once. */
void eci_stream_settled(struct eci_stream *s, uint64_t now_ms);
/* How many bytes it lets be under way, as far as its credit says: one CREDIT of as much as all before widens it. */
uint32_t eci_stream_far_window(const struct eci_stream *s);
/* n bytes were sent to it in another way (to a group): their credit is used up. n <= eci_stream_room(). */
void eci_stream_spent(struct eci_stream *s, size_t n);
void eci_stream_ended_elsewhere(struct eci_stream *s); /* and END, in that way */
/* Both directions are over. */
bool eci_stream_over(const struct eci_stream *s);

#endif
