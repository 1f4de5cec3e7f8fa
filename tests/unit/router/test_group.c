/* Groups: membership, one copy a link, who may use them, and their limit. */
#include "router_support.h"

#define FULL eci_wire(ECI_BULK_BODY_MAX)

static void group(struct world *w, uint32_t gid, uint32_t reply_to, const uint64_t *v, size_t n)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_uint(&b, gid);
	eci_cbor_put_array(&b, n);
	for (size_t i = 0; i < n; i++)
		eci_cbor_put_uint(&b, v[i]);
	feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_GROUP, reply_to, eci_buf_data(&b), eci_buf_len(&b));
	eci_buf_deinit(&b);
}

static void cast(struct world *w, struct eci_link *l, uint32_t gid, uint8_t hops)
{
	struct eci_frame f = {
		.cls = ECI_CALL, .flags = ECI_F_MULTICAST, .hops = hops, .dst = gid, .handle = ECI_H_CALL};
	f.src = f.auth = l == w->up ? 0 : eci_link_peer(l);
	f.reply_to = 300;
	f.body = (const uint8_t *)"m";
	f.len = 1;
	feed_frame(w, l, &f);
}

static int copies(struct world *w, struct eci_link *l, uint8_t hops)
{
	struct eci_frame f;
	int n = 0;
	while (take(w, l, &f)) {
		cr_assert(f.flags == ECI_F_MULTICAST && f.hops == hops && f.handle == ECI_H_CALL && f.reply_to == 300);
		n++;
	}
	return n;
}

static bool ranges(struct eci_frame *f, uint32_t gid, const uint64_t *v, size_t n)
{
	struct eci_cbor c = eci_cbor_open(f->body, f->len);
	if (f->handle != ECI_H_GROUP || eci_cbor_get_array(&c) != 2 || eci_cbor_get_uint(&c) != gid ||
	    eci_cbor_get_array(&c) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (eci_cbor_get_uint(&c) != v[i])
			return false;
	return true;
}

Test(group, one_copy_a_link_and_each_its_part)
{
	struct world *w = world_relay();
	struct eci_frame f;
	static const uint64_t v[] = {60, 65, 73, 75, 79, 81, 200, 300};
	group(w, 7, 0, v, 8);
	cr_assert(take(w, w->kid[0], &f) && f.dst == 72 && ranges(&f, 7, (uint64_t[]){73, 75, 79, 80}, 4));
	cr_assert(take(w, w->kid[1], &f) && f.dst == 80 && ranges(&f, 7, (uint64_t[]){80, 81}, 2));
	cr_assert_not(take(w, w->kid[2], &f));
	cast(w, w->up, 7, 64);
	cr_assert_eq(copies(w, w->kid[0], 63), 1);
	cr_assert_eq(copies(w, w->kid[1], 63), 1);
	cr_assert_eq(copies(w, w->kid[2], 63), 0);
	cr_assert(w->delivered == 1 && w->last.dst == 7 && w->from == ECI_FROM_PARENT, "64 is a member");
	cr_assert_not(take(w, w->up, &f), "nobody is told that it went well");
	world_free(w);
}

Test(group, the_whole_id_space)
{
	struct world *w = world_relay();
	struct eci_frame f;
	group(w, 7, 0, (uint64_t[]){0, UINT64_C(1) << 32}, 2);
	cr_assert(take(w, w->kid[2], &f) && ranges(&f, 7, (uint64_t[]){96, 112}, 2));
	world_free(w);
}

Test(group, from_the_parent_only)
{
	struct world *w = world_relay();
	group(w, 7, 0, (uint64_t[]){64, 128}, 2);
	for (int i = 0; i < KIDS; i++)
		drop_output(w, w->kid[i]);
	cast(w, w->kid[0], 7, 64);
	cr_assert_eq(w->r->stats.bad_auth, 1);
	cr_assert_eq(w->delivered + copies(w, w->kid[1], 63), 0);
	cast(w, w->up, 8, 64);
	cr_assert_eq(w->r->stats.no_group, 1);
	feed(w, w->kid[0], ECI_CONTROL, 0, ME, 72, ECI_H_GROUP, 300, "\x82\x01\x80", 3);
	struct eci_frame f;
	cr_assert(take(w, w->kid[0], &f) && is_dead(w, &f, 72, 300, "no-authority", ME));
	world_free(w);
}

Test(group, replaced_and_taken_back)
{
	struct world *w = world_relay();
	struct eci_frame f;
	group(w, 7, 0, (uint64_t[]){72, 88}, 2);
	drop_output(w, w->kid[0]), drop_output(w, w->kid[1]);
	group(w, 7, 0, (uint64_t[]){80, 97}, 2);
	cr_assert(take(w, w->kid[0], &f) && f.handle == ECI_H_UNGROUP);
	drop_output(w, w->kid[1]), drop_output(w, w->kid[2]);
	cast(w, w->up, 7, 64);
	cr_assert_eq(copies(w, w->kid[0], 63), 0);
	cr_assert_eq(copies(w, w->kid[1], 63) + copies(w, w->kid[2], 63), 2);
	cr_assert_eq(w->delivered, 0);
	feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_UNGROUP, 0, "\x81\x07", 2);
	cr_assert(take(w, w->kid[1], &f) && f.handle == ECI_H_UNGROUP && f.len == 2 && f.body[1] == 7);
	cr_assert(take(w, w->kid[2], &f) && f.handle == ECI_H_UNGROUP);
	cast(w, w->up, 7, 64);
	cr_assert_eq(w->r->stats.no_group, 1);
	feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_UNGROUP, 0, "\x81\x07", 2);
	cr_assert_eq(w->broken, 0);
	world_free(w);
}

Test(group, sixty_four)
{
	struct world *w = world_relay();
	struct eci_frame f;
	for (uint32_t gid = 0; gid < ECI_GROUPS_MAX; gid++)
		group(w, gid, 300, (uint64_t[]){72, 73}, 2);
	cr_assert_not(take(w, w->up, &f));
	group(w, 64, 300, (uint64_t[]){72, 73}, 2);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "group-limit", ME));
	group(w, 63, 300, (uint64_t[]){72, 74}, 2); /* one that is there may change */
	cr_assert_not(take(w, w->up, &f));
	feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_UNGROUP, 0, "\x81\x05", 2);
	group(w, 64, 300, (uint64_t[]){72, 73}, 2);
	cr_assert_not(take(w, w->up, &f));
	world_free(w);
}

Test(group, a_lost_link_takes_its_membership_along)
{
	struct world *w = world_relay();
	group(w, 7, 0, (uint64_t[]){72, 88}, 2);
	drop_output(w, w->kid[1]);
	eci_link_lost(w->kid[0], "eof", "", w->now);
	cast(w, w->up, 7, 64);
	cr_assert_eq(copies(w, w->kid[1], 63), 1);
	cr_assert_eq(w->r->stats.no_group, 0);
	world_free(w);
}

/* It has just failed and nobody has been told yet: what is lost with it is said when that is. */
Test(group, a_link_that_is_broken_is_not_busy)
{
	struct world *w = world_relay();
	struct eci_frame f;
	group(w, 7, 0, (uint64_t[]){72, 88}, 2);
	drop_output(w, w->kid[1]);
	feed(w, w->kid[0], ECI_CONTROL, 0, ME, 72, ECI_H_PAUSE, 0, "\xF6", 1);
	cr_assert(w->broken == 1 && w->broken_link == w->kid[0]);
	cast(w, w->up, 7, 64);
	cr_assert_eq(copies(w, w->kid[1], 63), 1);
	cr_assert_not(take(w, w->up, &f));
	world_free(w);
}

Test(group, hop_limit)
{
	struct world *w = world_relay();
	struct eci_frame f;
	group(w, 7, 0, (uint64_t[]){64, 80}, 2);
	drop_output(w, w->kid[0]);
	cast(w, w->up, 7, 1);
	cr_assert_eq(w->delivered, 1, "for me it has arrived");
	cr_assert_eq(copies(w, w->kid[0], 0), 0);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "hop-limit", 7));
	world_free(w);
}

Test(group, bodies_that_do_not_decode_end_the_link)
{
	static const char *const bad[] = {"\xF6",
					  "\x81\x01",
					  "\x82\x01\x81\x01",
					  "\x82\x01\x82\x02\x01",
					  "\x82\x01\x82\x02\x02",
					  "\x82\x01\x82\x01\x1B\x00\x00\x00\x01\x00\x00\x00\x01"};
	static const size_t len[] = {1, 2, 4, 5, 5, 13};
	for (size_t i = 0; i < 6; i++) {
		struct world *w = world_relay();
		feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_GROUP, 300, bad[i], len[i]);
		cr_assert(w->broken == 1 && w->broken_link == w->up, "body %zu", i);
		cr_assert_str_eq(w->reason, "bad-body");
		world_free(w);
	}
	static const char *const none[] = {"\xF6", "\x80", "\x81\x61x"};
	for (size_t i = 0; i < 3; i++) {
		struct world *w = world_relay();
		feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_UNGROUP, 300, none[i], strlen(none[i]));
		cr_assert(w->broken == 1 && w->broken_link == w->up, "body %zu", i);
		cr_assert_str_eq(w->reason, "bad-body");
		world_free(w);
	}
}

Test(group, link_local_handles_cannot_be_cast)
{
	struct world *w = world_relay();
	struct eci_frame f;
	group(w, 7, 0, (uint64_t[]){64, 65}, 2);
	feed(w, w->up, ECI_CONTROL, ECI_F_MULTICAST, 7, 0, ECI_H_PING, 300, "\x01", 1);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "no-authority", 7));
	world_free(w);
}

Test(group, of_the_master)
{
	struct world *w = world_master();
	struct eci_frame f;
	struct eci_interval v[] = {{0, 0}, {73, 90}};
	cr_assert_eq(eci_router_group(w->r, 9, v, 2, w->now), 0);
	cr_assert(take(w, w->kid[0], &f) && ranges(&f, 9, (uint64_t[]){73, 80}, 2));
	cr_assert(take(w, w->kid[1], &f) && ranges(&f, 9, (uint64_t[]){80, 88}, 2));
	/* large: each link gets its fragments, the body is stored once */
	uint8_t *big = calloc(1, 100000);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, ECI_F_MULTICAST, 9, ECI_H_CALL, 0, big, 100000, w->now), 0);
	cr_assert_eq(w->r->blob_bytes, 100000);
	cr_assert(w->delivered == 1 && w->last.len == 100000 && w->from == ECI_FROM_SELF);
	for (int i = 0; i < 2; i++) {
		size_t all = 0;
		while (take(w, w->kid[i], &f)) {
			cr_assert_eq(f.flags & ECI_F_MULTICAST, ECI_F_MULTICAST);
			all += f.len;
			feed_int(w, w->kid[i], eci_link_peer(w->kid[i]), ECI_H_ACK, eci_wire(f.len));
		}
		cr_assert_eq(all, 100000);
	}
	cr_assert_eq(w->r->blob_bytes, 0);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, ECI_F_MULTICAST, 10, ECI_H_CALL, 0, big, 1, w->now), -3);
	for (uint32_t i = 1; i < ECI_GROUPS_MAX; i++)
		cr_assert_eq(eci_router_group(w->r, 100 + i, v, 1, w->now), 0);
	cr_assert_eq(eci_router_group(w->r, 500, v, 1, w->now), -6);
	eci_router_ungroup(w->r, 9, w->now);
	cr_assert(take(w, w->kid[0], &f) && f.handle == ECI_H_UNGROUP);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, ECI_F_MULTICAST, 9, ECI_H_CALL, 0, big, 1, w->now), -3);
	free(big);
	world_free(w);
}

/* A part of the group that fills a frame to the byte is told; one that is a byte longer is refused, and a link that was
 * a member is none any more, so that no copy goes where the routers below know of no group. */
Test(group, whose_part_fills_a_frame)
{
	struct world *w = world_master();
	struct eci_frame f;
	struct eci_link *l = eci_router_add_child(w->r, 65536, 65536, w);
	static struct eci_interval v[6553]; /* of 10 bytes each; with two heads and a gid of 2 bytes, 65,536 */
	child_up(w, l);
	for (uint32_t i = 0; i < 6553; i++)
		v[i] = (struct eci_interval){65536 + 2 * i, 65536 + 2 * i};
	cr_assert_eq(eci_router_group(w->r, 255, v, 6553, w->now), 0);
	cr_assert(take(w, l, &f) && f.handle == ECI_H_GROUP && f.len == ECI_FRAME_BODY_MAX);
	cr_assert_eq(eci_router_group(w->r, 256, v, 6552, w->now), 0);
	cr_assert(take(w, l, &f) && f.handle == ECI_H_GROUP);
	cr_assert_eq(eci_router_group(w->r, 256, v, 6553, w->now), -2);
	cr_assert(take(w, l, &f) && f.handle == ECI_H_UNGROUP);
	for (uint32_t gid = 256; gid >= 255; gid--)
		cr_assert_eq(eci_router_send(w->r, ECI_CALL, ECI_F_MULTICAST, gid, ECI_H_CALL, 0, NULL, 0, w->now), 0);
	cr_assert(take(w, l, &f) && f.dst == 255 && f.flags == ECI_F_MULTICAST);
	cr_assert_not(take(w, l, &f), "256 has no member");
	world_free(w);
}

/* Own bulk that waits; test_collect.c fills the limit with messages to one context. */
Test(group, what_waits_for_one_is_bounded)
{
	static const uint8_t zeros[ECI_FRAME_BODY_MAX + 2];
	struct world *w = world_master();
	struct eci_interval v = {72, 87};
	const size_t large = ECI_FRAME_BODY_MAX + 1, most = ECI_LOCAL_MAX - large;
	static const int rc[] = {-4, 0, -4};
	cr_assert_eq(eci_router_group(w->r, 9, &v, 1, w->now), 0);
	w->r->blob_bytes += most; /* stands for messages */
	for (int i = 0; i < 3; i++)
		cr_assert_eq(eci_router_send(w->r, ECI_CALL, ECI_F_MULTICAST, 9, ECI_H_CALL, 0, zeros,
					     i ? large : large + 1, w->now),
			     rc[i]);
	cr_assert_eq(w->r->blob_bytes, ECI_LOCAL_MAX, "once for two links");
	w->r->blob_bytes -= most;
	eci_link_lost(w->kid[0], "eof", "", w->now);
	cr_assert_eq(w->r->blob_bytes, large);
	eci_link_lost(w->kid[1], "eof", "", w->now);
	cr_assert_eq(w->r->blob_bytes, 0);
	world_free(w);
}

static bool copy(struct world *w, struct eci_link *l, uint32_t len)
{
	struct eci_frame f;
	return take(w, l, &f) && f.flags & ECI_F_MULTICAST && f.dst == 7 && f.len == len;
}

/* PAUSE of the whole link, and of more parts than are kept: a group's frames go on, and what is for the link itself
 * waits. What waits of them is in memory once, and never a reason for a PAUSE of ours. */
Test(group, heeds_no_pause_and_counts_for_none)
{
	static const uint8_t zeros[ECI_BULK_BODY_MAX];
	struct world *w = world_relay();
	struct eci_frame f;
	const uint32_t n = 2 * ECI_PAUSE_AT / ECI_BULK_BODY_MAX;
	group(w, 7, 0, (uint64_t[]){72, 88}, 2);
	cr_assert(take(w, w->kid[0], &f) && f.handle == ECI_H_GROUP && take(w, w->kid[1], &f));
	for (uint32_t i = 0; i <= ECI_PAUSED_MAX; i++)
		feed_pair(w, w->kid[0], ME, 72, ECI_H_PAUSE, 0, 72 + i % 8, 73 + i % 8);
	feed(w, w->up, ECI_BULK, 0, 72, 0, 300, 9, zeros, 9);
	for (uint32_t i = 0; i < n; i++)
		feed(w, w->up, ECI_BULK, ECI_F_MULTICAST, 7, 0, 300, 9, zeros, sizeof zeros);
	cr_assert_eq(w->r->blob_bytes, n * sizeof zeros, "once for two links");
	cr_assert(w->kid[0]->active_bytes == 0 && !w->kid[0]->up_paused && !w->kid[1]->up_paused);
	for (uint32_t i = 0; i < n; i++)
		for (int k = 0; k < 2; k++) {
			cr_assert(copy(w, w->kid[k], sizeof zeros), "%u", i);
			feed_int(w, w->kid[k], eci_link_peer(w->kid[k]), ECI_H_ACK, FULL);
		}
	cr_assert_eq(w->r->blob_bytes, 0);
	cr_assert_not(take(w, w->kid[0], &f), "it is paused");
	for (uint32_t i = 0; i <= ECI_PAUSED_MAX; i++)
		feed_pair(w, w->kid[0], ME, 72, ECI_H_RESUME, 0, 72 + i % 8, 73 + i % 8);
	cr_assert(take(w, w->kid[0], &f) && f.len == 9 && !(f.flags & ECI_F_MULTICAST));
	world_free(w);
}

/* A relay without memory for the shared body: the link copies it; and who finds no memory for its own is the only one
 * without. */
extern long eci_test_fail_after;
Test(group, no_memory_for_a_shared_body)
{
	static const uint8_t zeros[ECI_BULK_BODY_MAX];
	static uint8_t bytes[ECI_FRAME_HEADER + ECI_BULK_BODY_MAX];
	struct eci_frame f = {.cls = ECI_BULK, .flags = ECI_F_MULTICAST, .hops = 64, .dst = 7, .handle = 300};
	f.reply_to = 9;
	f.len = sizeof zeros;
	eci_frame_pack(bytes, &f);
	for (long n = 0; n < 6; n++) { /* the body; of each link an item and a flow; nothing */
		struct world *w = world_relay();
		group(w, 7, 0, (uint64_t[]){72, 88}, 2);
		cr_assert(take(w, w->kid[0], &f) && f.handle == ECI_H_GROUP && take(w, w->kid[1], &f));
		feed(w, w->up, ECI_BULK, ECI_F_MULTICAST, 7, 0, 300, 9, zeros,
		     sizeof zeros); /* what a link makes once */
		cr_assert(copy(w, w->kid[0], sizeof zeros) && copy(w, w->kid[1], sizeof zeros));
		eci_test_fail_after = n;
		eci_link_feed(w->up, bytes, sizeof bytes, w->now);
		eci_test_fail_after = -1;
		cr_assert_eq(w->r->blob_bytes, sizeof zeros, "%ld", n);
		cr_assert(n || !w->kid[0]->turn->head->blob, "what the first link has is its own copy");
		cr_assert_eq(copy(w, w->kid[0], sizeof zeros), n != 1 && n != 2, "%ld", n);
		cr_assert_eq(copy(w, w->kid[1], sizeof zeros), n != 3 && n != 4, "%ld", n);
		cr_assert_eq(w->r->blob_bytes, 0);
		world_free(w);
	}
}

Test(group, no_memory_for_its_members)
{
	static uint8_t bytes[ECI_FRAME_HEADER + 7];
	struct world *w = world_relay();
	struct eci_frame f = {
		.cls = ECI_CONTROL, .hops = 64, .dst = ME, .handle = ECI_H_GROUP, .reply_to = 300, .len = 7};
	eci_frame_pack(bytes, &f);
	memcpy(bytes + ECI_FRAME_HEADER, "\x82\x07\x82\x18\x48\x18\x49", 7);
	eci_test_fail_after = 0;
	eci_link_feed(w->up, bytes, sizeof bytes, w->now);
	eci_test_fail_after = -1;
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "busy", ME));
	cr_assert(!w->broken && !eci_group_find(w->r, 7));
	world_free(w);
}

/* Whoever sent a large one knows when it has left for all of them. */
Test(group, gone_when_no_link_has_any_of_it)
{
	static const uint8_t zeros[ECI_BULK_BODY_MAX];
	struct world *w = world_master();
	struct eci_frame f;
	struct eci_interval v = {72, 87};
	cr_assert(eci_router_group(w->r, 9, &v, 1, w->now) == 0 && drop_output(w, w->kid[0]) &&
		  drop_output(w, w->kid[1]));
	cr_assert_eq(eci_router_send(w->r, ECI_BULK, ECI_F_MULTICAST, 9, 300, 300, zeros, sizeof zeros, w->now), 0);
	cr_assert(eci_router_group_gone(w->r, 9, 301) && eci_router_group_gone(w->r, 10, 300));
	for (int i = 0; i < 2; i++) {
		cr_assert_not(eci_router_group_gone(w->r, 9, 300));
		cr_assert(take(w, w->kid[i], &f) && f.flags & ECI_F_MULTICAST);
	}
	cr_assert(eci_router_group_gone(w->r, 9, 300));
	world_free(w);
}

/* It is held like all else, though: past HELD_AT the rest is paused, and past HELD_MAX nothing is taken. */
Test(group, is_held_like_all_else)
{
	static const uint8_t zeros[ECI_BULK_BODY_MAX];
	struct world *w = world_relay();
	struct eci_link *l = w->kid[0];
	struct eci_frame f;
	group(w, 7, 0, (uint64_t[]){72, 73}, 2);
	cr_assert(take(w, l, &f) && f.handle == ECI_H_GROUP);
	while (l->bulk_bytes + FULL <= ECI_HELD_MAX) {
		cr_assert_eq(l->up_paused, l->bulk_bytes > ECI_HELD_AT);
		feed(w, w->up, ECI_BULK, ECI_F_MULTICAST, 7, 0, 300, 9, zeros, sizeof zeros);
	}
	while (take(w, w->up, &f))
		cr_assert_not(f.flags & ECI_F_DEAD);
	feed(w, w->up, ECI_BULK, ECI_F_MULTICAST, 7, 0, 300, 9, zeros, sizeof zeros);
	cr_assert(take(w, w->up, &f) && f.flags & ECI_F_DEAD && f.handle == 9, "busy");
	eci_link_lost(l, "eof", "", w->now);
	cr_assert_eq(w->r->blob_bytes, 0);
	world_free(w);
}

/* A large multicast is put together beside a large message from the same source. */
Test(group, collected_apart)
{
	struct world *w = world_relay();
	group(w, 7, 0, (uint64_t[]){64, 65}, 2);
	feed(w, w->up, ECI_BULK, ECI_F_MORE | ECI_F_MULTICAST, 7, 0, ECI_H_CALL, 300, "group", 5);
	feed(w, w->up, ECI_BULK, ECI_F_MORE, ME, 0, ECI_H_CALL, 300, "single", 6);
	feed(w, w->up, ECI_BULK, ECI_F_MULTICAST, 7, 0, ECI_H_CALL, 300, "!", 1);
	cr_assert(w->delivered == 1 && w->last.len == 6);
	feed(w, w->up, ECI_BULK, 0, ME, 0, ECI_H_CALL, 300, "!", 1);
	cr_assert(w->delivered == 2 && w->last.len == 7);
	world_free(w);
}
