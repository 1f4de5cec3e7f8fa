/* The frame codec: one fixed vector, random frames there and back, each limit and one past it, and hostile bytes. */
#include "core/frame.h"
#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct eci_frame example = {.cls = ECI_BULK,
					 .flags = ECI_F_MORE | ECI_F_MULTICAST,
					 .hops = 64,
					 .dst = 0x01020304,
					 .src = 0x05060708,
					 .auth = 0x090A0B0C,
					 .handle = 0x0D0E0F10,
					 .reply_to = 0x11121314,
					 .len = 5};
static const uint8_t example_bytes[] = {0xEC, 1,  0x1A, 64, 1,  2,  3,  4, 5, 6, 7, 8,   9,   10,  11,  12, 13,
					14,   15, 16,   17, 18, 19, 20, 0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o'};

/* Unpacks a copy in an allocation of exactly n bytes, so that the sanitizer sees a read past the end. */
static long unpack(const uint8_t *p, size_t n, struct eci_frame *f)
{
	uint8_t *exact = malloc(n ? n : 1);
	long used;

	if (n)
		memcpy(exact, p, n);
	used = eci_frame_unpack(n ? exact : exact + 1, n, f);
	if (used > 0)
		f->body = p + (f->body - exact);
	free(exact);
	return used;
}

static void expect_same(const struct eci_frame *a, const struct eci_frame *b)
{
	cr_assert_eq(a->cls, b->cls);
	cr_assert_eq(a->flags, b->flags);
	cr_assert_eq(a->hops, b->hops);
	cr_assert_eq(a->dst, b->dst);
	cr_assert_eq(a->src, b->src);
	cr_assert_eq(a->auth, b->auth);
	cr_assert_eq(a->handle, b->handle);
	cr_assert_eq(a->reply_to, b->reply_to);
	cr_assert_eq(a->len, b->len);
}

Test(frame, vector)
{
	uint8_t head[ECI_FRAME_HEADER];
	struct eci_frame f;

	eci_frame_pack(head, &example);
	cr_assert_arr_eq(head, example_bytes, sizeof(head));
	cr_assert_eq(unpack(example_bytes, sizeof(example_bytes), &f), (long)sizeof(example_bytes));
	expect_same(&f, &example);
	cr_assert_eq(f.body, example_bytes + ECI_FRAME_HEADER);
}

Test(frame, every_prefix_needs_more)
{
	struct eci_frame f;
	size_t n;

	memset(&f, 0xA5, sizeof(f));
	for (n = 0; n < sizeof(example_bytes); n++)
		cr_assert_eq(unpack(example_bytes, n, &f), 0, "%zu bytes", n);
	cr_assert_eq(f.len, 0xA5A5A5A5u, "an unfinished frame writes nothing");
}

Test(frame, takes_only_the_first_of_two)
{
	uint8_t two[2 * sizeof(example_bytes)];
	struct eci_frame f;

	memcpy(two, example_bytes, sizeof(example_bytes));
	memcpy(two + sizeof(example_bytes), example_bytes, sizeof(example_bytes));
	cr_assert_eq(unpack(two, sizeof(two), &f), (long)sizeof(example_bytes));
	cr_assert_eq(unpack(two, sizeof(two) - 1, &f), (long)sizeof(example_bytes));
}

Test(frame, empty_body)
{
	uint8_t bytes[ECI_FRAME_HEADER];
	struct eci_frame f = {.hops = 1}, g;

	eci_frame_pack(bytes, &f);
	cr_assert_eq(unpack(bytes, sizeof(bytes), &g), ECI_FRAME_HEADER);
	expect_same(&f, &g);
}

/* Each of the first three bytes, with each value, is judged as soon as it is there. */
Test(frame, bad_bytes_are_seen_at_once)
{
	uint8_t bytes[sizeof(example_bytes)];
	struct eci_frame f;
	int at, value, good;

	for (at = 0; at < 3; at++) {
		for (value = 0; value < 256; value++) {
			memcpy(bytes, example_bytes, sizeof(bytes));
			bytes[at] = (uint8_t)value;
			if (at == 2)
				good = (value & 3) != 3 && value < 0x40;
			else
				good = value == example_bytes[at];
			cr_assert_eq(unpack(bytes, (size_t)at, &f), 0);
			cr_assert_eq(unpack(bytes, (size_t)at + 1, &f), good ? 0 : ECI_FRAME_E_BAD, "byte %d = %02x",
				     at, (unsigned)value);
			cr_assert_eq(unpack(bytes, sizeof(bytes), &f), good ? (long)sizeof(bytes) : ECI_FRAME_E_BAD);
		}
	}
}

Test(frame, length_limits)
{
	static const struct {
		uint8_t cls;
		uint32_t len;
		long result;
	} cases[] = {
		{ECI_CONTROL, ECI_FRAME_BODY_MAX, ECI_FRAME_HEADER + ECI_FRAME_BODY_MAX},
		{ECI_CONTROL, ECI_FRAME_BODY_MAX + 1, ECI_FRAME_E_BIG},
		{ECI_CALL, ECI_FRAME_BODY_MAX, ECI_FRAME_HEADER + ECI_FRAME_BODY_MAX},
		{ECI_CALL, ECI_FRAME_BODY_MAX + 1, ECI_FRAME_E_BIG},
		{ECI_BULK, ECI_BULK_BODY_MAX, ECI_FRAME_HEADER + ECI_BULK_BODY_MAX},
		{ECI_BULK, ECI_BULK_BODY_MAX + 1, ECI_FRAME_E_BIG},
		{ECI_CALL, UINT32_MAX, ECI_FRAME_E_BIG},
		{ECI_CALL, 0x80000000u, ECI_FRAME_E_BIG},
	};
	static uint8_t bytes[ECI_FRAME_HEADER + ECI_FRAME_BODY_MAX + 1];
	struct eci_frame f, g;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		f = (struct eci_frame){.cls = cases[i].cls, .len = cases[i].len};
		eci_frame_pack(bytes, &f);
		cr_assert_eq(unpack(bytes, sizeof(bytes), &g), cases[i].result, "case %zu", i);
		/* Too long is known from the header alone; a legal body is awaited to its last byte. */
		cr_assert_eq(unpack(bytes, ECI_FRAME_HEADER, &g), cases[i].result < 0 ? cases[i].result : 0);
		if (cases[i].result > 0)
			cr_assert_eq(unpack(bytes, (size_t)cases[i].result - 1, &g), 0);
	}
}

Test(frame, every_byte_flipped)
{
	uint8_t bytes[sizeof(example_bytes)];
	struct eci_frame f;
	uint32_t len;
	long used;
	size_t at;
	int bit;

	for (at = 0; at < sizeof(bytes); at++) {
		for (bit = 0; bit < 8; bit++) {
			memcpy(bytes, example_bytes, sizeof(bytes));
			bytes[at] ^= (uint8_t)(1 << bit);
			used = unpack(bytes, sizeof(bytes), &f);
			len = eci_get32(bytes + 24);
			if (at < 2)
				cr_assert_eq(used, ECI_FRAME_E_BAD);
			else if (used > 0)
				cr_assert(used == ECI_FRAME_HEADER + (long)f.len && f.len == len);
			else if (at >= 24 && at < 28)
				cr_assert_eq(used, len > ECI_BULK_BODY_MAX ? ECI_FRAME_E_BIG : 0);
			else
				cr_assert(used == ECI_FRAME_E_BAD && at == 2);
		}
	}
}

static struct eci_frame random_frame(struct eci_random *r)
{
	struct eci_frame f = {.cls = (uint8_t)eci_random_below(r, 3),
			      .flags = (uint8_t)(eci_random_u64(r) & 0x3C),
			      .hops = (uint8_t)eci_random_u64(r),
			      .dst = (uint32_t)eci_random_magnitude(r),
			      .src = (uint32_t)eci_random_magnitude(r),
			      .auth = (uint32_t)eci_random_magnitude(r),
			      .handle = (uint32_t)eci_random_magnitude(r),
			      .reply_to = (uint32_t)eci_random_magnitude(r),
			      .len = eci_random_below(r, 300)};

	return f;
}

/* A stream of random frames, cut up at random, comes out as it went in; body byte i of frame n is n + i. */
Test(frame, stream_in_random_pieces)
{
	enum { FRAMES = 2000 };
	static struct eci_frame sent[FRAMES];
	struct eci_random r = eci_random_open("frame/stream_in_random_pieces", 2);
	struct eci_buf out = ECI_BUF_NULL, in = ECI_BUF_NULL;
	uint8_t head[ECI_FRAME_HEADER], byte;
	struct eci_frame f;
	size_t i, n, got = 0;
	long used;

	for (n = 0; n < FRAMES; n++) {
		sent[n] = random_frame(&r);
		eci_frame_pack(head, &sent[n]);
		eci_buf_append(&out, head, sizeof(head));
		for (i = 0; i < sent[n].len; i++) {
			byte = (uint8_t)(n + i);
			eci_buf_append(&out, &byte, 1);
		}
	}
	while (eci_buf_len(&out) > 0) {
		n = 1 + eci_random_below(&r, 500);
		if (n > eci_buf_len(&out))
			n = eci_buf_len(&out);
		eci_buf_append(&in, eci_buf_data(&out), n);
		eci_buf_drain(&out, n);
		while ((used = eci_frame_unpack(eci_buf_data(&in), eci_buf_len(&in), &f)) > 0) {
			expect_same(&f, &sent[got]);
			for (i = 0; i < f.len; i++)
				cr_assert_eq(f.body[i], (uint8_t)(got + i));
			eci_buf_drain(&in, (size_t)used);
			got++;
		}
		cr_assert_eq(used, 0);
	}
	cr_assert_eq(got, FRAMES);
	cr_assert_eq(eci_buf_len(&in), 0);
	eci_buf_deinit(&in);
	eci_buf_deinit(&out);
}
