/* What a copy says of a file, word by word: of one with holes, of one that does not say its size, of one that shrinks.
 */
#include "core/cbor.h"
#include "io/random.h"
#include "mesh/copy.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

struct said {
	uint64_t size, offset; /* in its head */
	size_t pieces, holes, words;
	uint64_t bytes, hole_bytes, longest;
	bool whole; /* `done` has the digest of what was said */
	int failed;
};

static void on_failed(void *arg, const char *full, int error)
{
	(void)full;
	((struct said *)arg)->failed = error;
}

static void zeros(struct eci_digest *d, uint64_t n)
{
	static const uint8_t some[MIB];
	for (; n; n -= n < MIB ? n : MIB)
		eci_digest_add(d, some, n < MIB ? (size_t)n : MIB);
}

static void take(struct said *s, struct eci_digest *d, const uint8_t *p, size_t n)
{
	struct eci_cbor c = eci_cbor_open(p, n);
	const uint8_t *bytes;
	const char *what;
	size_t len;
	s->words++;
	if (p[0] >> 5 == 2) { /* bytes */
		cr_assert(eci_cbor_get_bytes(&c, &bytes, &len) && len <= ECI_COPY_PIECE);
		eci_digest_add(d, bytes, len);
		s->pieces++;
		s->bytes += len;
		return;
	}
	(void)eci_cbor_get_array(&c);
	cr_assert(eci_cbor_get_text(&c, &what, &len));
	if (!memcmp(what, "file", len)) {
		(void)eci_cbor_skip(&c);
		(void)eci_cbor_skip(&c);
		(void)eci_cbor_skip(&c);
		s->size = eci_cbor_get_uint(&c);
		s->offset = eci_cbor_get_uint(&c);
	} else if (!memcmp(what, "hole", len)) {
		uint64_t hole = eci_cbor_get_uint(&c);
		zeros(d, hole);
		s->holes++;
		s->hole_bytes += hole;
		s->longest = hole > s->longest ? hole : s->longest;
		cr_assert(s->hole_bytes <= s->size, "holes without an end");
	} else if (!eci_cbor_get_null(&c)) {
		uint8_t mine[ECI_DIGEST_SIZE];
		cr_assert(eci_cbor_get_bytes(&c, &bytes, &len) && len == sizeof mine);
		eci_digest_end(d, mine);
		s->whole = !memcmp(mine, bytes, len);
		return;
	} else {
		eci_digest_end(d, NULL);
	}
	cr_assert(!c.bad);
}

/* Of the file fd, that says it has `size` bytes and is on no more of the disk than it is. */
static struct said feed_from(int fd, uint64_t size, const uint64_t *offset)
{
	static struct eci_feeder f;
	char full[40], path[] = "f";
	struct said s = {0};
	(void)snprintf(full, sizeof full, "/proc/self/fd/%d", fd);
	struct eci_entry_here e = {.kind = ECI_ENTRY_FILE, .full = full, .path = path};
	cr_assert(fstat(fd, &e.st) == 0);
	e.st.st_size = (off_t)size;
	struct eci_sources sources = {.v = &e, .n = 1};
	cr_assert(eci_random_init() == 0);
	struct eci_digest *d = eci_digest_new("blake2b");
	eci_feeder_init(&f, &sources, 0, "blake2b", &eci_form_values);
	f.failed = on_failed;
	f.arg = &s;
	f.offsets = offset;
	while (eci_feeder_more(&f))
		while (eci_buf_len(&f.out)) {
			const uint8_t *p = eci_buf_data(&f.out);
			size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
			take(&s, d, p + 4, n);
			eci_buf_drain(&f.out, n + 4);
		}
	if (!s.words)
		eci_digest_end(d, NULL);
	eci_feeder_deinit(&f);
	(void)close(fd);
	return s;
}

static struct said feed(int fd, uint64_t size)
{
	return feed_from(fd, size, NULL);
}

static int file(uint64_t size)
{
	int fd = memfd_create("feed", MFD_CLOEXEC);
	cr_assert(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	return fd;
}

static void put(int fd, uint64_t at, size_t n)
{
	static uint8_t some[MIB];
	memset(some, 'x', n);
	cr_assert(pwrite(fd, some, n, (off_t)at) == (ssize_t)n);
}

Test(feed, a_hole_is_a_word_and_no_more_than_one_may_say)
{
	int fd = file(40 * MIB);
	put(fd, 20 * MIB, 1);
	struct said s = feed(fd, 40 * MIB);
	cr_assert(s.whole && s.size == 40 * MIB && s.bytes + s.hole_bytes == s.size);
	cr_assert(s.pieces == 1, "%zu", s.pieces);
	cr_assert(s.holes == 4 && s.longest == ECI_COPY_HOLE_MOST, "%zu holes", s.holes);
	s = feed(file(ECI_COPY_HOLE_MOST), ECI_COPY_HOLE_MOST);
	cr_assert(s.whole && s.holes == 1 && !s.pieces);
	s = feed(file(ECI_COPY_HOLE_MOST + 1), ECI_COPY_HOLE_MOST + 1);
	cr_assert(s.whole && s.holes == 1 && s.pieces == 1, "what is left is less than a piece");
}

Test(feed, many_small_holes_cost_no_more_words_than_none)
{
	int fd = file(MIB);
	for (uint64_t at = 0; at < MIB; at += 16384)
		put(fd, at, 4096);
	struct said s = feed(fd, MIB);
	cr_assert(s.whole && s.bytes == MIB && s.pieces == MIB / ECI_COPY_PIECE, "%zu", s.pieces);
}

Test(feed, what_says_no_size_is_read_to_its_end)
{
	int fd = file(0);
	put(fd, 0, 3 * ECI_COPY_PIECE + 5);
	struct said s = feed(fd, 0);
	cr_assert(s.whole && s.size == 3 * ECI_COPY_PIECE + 5 && s.bytes == s.size && !s.failed);
	s = feed(file(0), 0);
	cr_assert(s.whole && s.size == 0 && s.words == 2);
	fd = file(0);
	put(fd, 0, 23);
	s = feed(fd, 4096);
	cr_assert(s.whole && s.size == 23 && s.bytes == 23);
	fd = file(0);
	put(fd, 0, 23);
	s = feed(fd, ECI_COPY_PIECE);
	cr_assert(s.whole && s.size == 23);
}

Test(feed, what_says_no_size_is_kept_up_to_a_limit)
{
	struct said s = feed(file(ECI_COPY_UNSIZED_MOST), 0);
	cr_assert(s.whole && s.size == ECI_COPY_UNSIZED_MOST && !s.failed);
	s = feed(file(ECI_COPY_UNSIZED_MOST + 1), 0);
	cr_assert(s.failed == ECI_SOURCE_UNSIZED && !s.words, "%d, %zu words", s.failed, s.words);
}

Test(feed, what_became_shorter_is_no_hole)
{
	struct said s = feed(file(10), 2 * MIB);
	cr_assert(!s.whole && s.size == 2 * MIB && s.bytes + s.hole_bytes <= 10, "%llu",
		  (unsigned long long)s.hole_bytes);
}

/* All of it is there, as it was when its size was said: a log goes on to grow. */
Test(feed, what_has_grown_is_gone_on_from_where_it_ended)
{
	static const uint64_t all = UINT64_MAX, some = 100;
	for (uint64_t size = 1; size <= 2 * MIB; size *= 2 * MIB) {
		int fd = file(0);
		put(fd, 0, 1);
		put(fd, 2 * MIB, 5);
		struct said s = feed_from(fd, size, &all);
		cr_expect(s.size == size && s.offset == size && !s.bytes && !s.holes, "%llu, %llu",
			  (unsigned long long)s.offset, (unsigned long long)s.bytes);
	}
	int fd = file(0);
	put(fd, 0, 300);
	struct said s = feed_from(fd, 200, &some);
	cr_expect(s.size == 200 && s.offset == 100 && s.bytes == 100);
}

static bool at_once(void *arg)
{
	return ++*(int *)arg > 3;
}

/* Whoever gives up does not wait until gigabytes have been read again. */
Test(feed, what_is_there_is_read_only_until_it_is_to_stop)
{
	static struct eci_feeder f;
	static const uint64_t all = UINT64_MAX;
	char full[40], path[] = "f";
	int fd = file(64 * MIB), asked = 0;
	(void)snprintf(full, sizeof full, "/proc/self/fd/%d", fd);
	struct eci_entry_here e = {.kind = ECI_ENTRY_FILE, .full = full, .path = path};
	cr_assert(fstat(fd, &e.st) == 0);
	eci_feeder_init(&f, &(struct eci_sources){.v = &e, .n = 1}, 0, NULL, &eci_form_values);
	f.offsets = &all;
	f.stopped = at_once;
	f.arg = &asked;
	cr_expect(eci_feeder_more(&f) && f.offset == 3 * ECI_COPY_PIECE, "%llu", (unsigned long long)f.offset);
	eci_feeder_deinit(&f);
	(void)close(fd);
}

/* Of two targets one may be told of a file before it is gone: what each was told is its own, the failure is said once.
 */
Test(feed, what_is_left_out_is_left_out_for_one)
{
	char path[] = "/tmp/econtext-feed-XXXXXX";
	int fd = mkstemp(path);
	cr_assert(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
	struct eci_sources s = {0};
	const char *const sources[] = {path, NULL};
	struct said said = {0};
	cr_assert(eci_sources_walk(&s, sources, on_failed, &said) == 0 && s.n == 1);
	struct eci_feeder *told = calloc(3, sizeof *told);
	cr_assert(told);
	for (int i = 0; i < 3; i++) {
		eci_feeder_init(&told[i], &s, 0, NULL, &eci_form_values);
		told[i].failed = on_failed;
		told[i].arg = &said;
	}
	cr_expect(eci_feeder_more(&told[0]) && !told[0].left_out[0]);
	cr_assert(unlink(path) == 0);
	cr_expect(!eci_feeder_more(&told[1]) && told[1].left_out[0] && said.failed == ENOENT);
	said.failed = 0;
	cr_expect(!eci_feeder_more(&told[2]) && told[2].left_out[0] && !said.failed);
	cr_expect(!told[0].left_out[0]);
	for (int i = 0; i < 3; i++)
		eci_feeder_deinit(&told[i]);
	free(told);
	eci_sources_free(&s);
}
