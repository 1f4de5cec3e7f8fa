/* What a copy says to a shell, and what is made of what a shell says: pieces are as long as they were promised,
 * whatever the file does meanwhile; words that no shell of ours says are refused. */
#include "io/random.h"
#include "mesh/copy_lines.h"
#include "mesh/copy_run.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

struct said {
	char words[64]; /* their first letters */
	uint64_t size, bytes, hole_bytes, longest;
	char end[128];
	char head[128];
};

static size_t line_of(const uint8_t *p, size_t n, char line[128])
{
	const uint8_t *end = memchr(p, '\n', n);
	cr_assert(end && end - p < 128);
	memcpy(line, p, (size_t)(end - p));
	line[end - p] = 0;
	return (size_t)(end - p) + 1;
}

/* All that is said of a file, as put.sh would read it. */
static struct said listen(struct eci_buf *all, struct eci_digest *d)
{
	struct said s = {0};
	char line[128];
	while (eci_buf_len(all)) {
		unsigned long long n = 0;
		eci_buf_drain(all, line_of(eci_buf_data(all), eci_buf_len(all), line));
		size_t at = strlen(s.words);
		if (at + 1 < sizeof s.words)
			s.words[at] = line[0];
		if (line[0] == 'f') {
			cr_assert(sscanf(line, "f %*s %*s %*s %llu", &n) == 1);
			s.size = n;
			strcpy(s.head, line);
		} else if (line[0] == 'p') {
			cr_assert(sscanf(line, "p %llu", &n) == 1 && n && n <= eci_buf_len(all));
			eci_digest_add(d, eci_buf_data(all), (size_t)n);
			eci_buf_drain(all, (size_t)n);
			s.bytes += n;
			s.longest = n > s.longest ? n : s.longest;
		} else if (line[0] == 'h') {
			cr_assert(sscanf(line, "h %llu", &n) == 1 && n);
			s.hole_bytes += n;
			for (uint8_t zero = 0; n; n--)
				eci_digest_add(d, &zero, 1);
		} else if (line[0] == '.') {
			snprintf(s.end, sizeof s.end, "%s", line + 2);
		}
	}
	return s;
}

/* Of the file fd, that says it has `size` bytes. *whole: its digest is that of what was said. */
static struct said feed(int fd, uint64_t size, bool *whole)
{
	struct eci_feeder *f = malloc(sizeof *f);
	char full[40], path[] = "a b", mine[2 * ECI_DIGEST_SIZE + 1] = "";
	uint8_t sum[ECI_DIGEST_SIZE];
	struct eci_buf all = ECI_BUF_NULL;
	(void)snprintf(full, sizeof full, "/proc/self/fd/%d", fd);
	struct eci_entry_here e = {.kind = ECI_ENTRY_FILE, .full = full, .path = path};
	cr_assert(f && fstat(fd, &e.st) == 0 && eci_random_init() == 0);
	if ((uint64_t)e.st.st_size < size) /* it became shorter; it was all on the disk */
		e.st.st_blocks = (blkcnt_t)(size / 512 + 1);
	e.st.st_size = (off_t)size;
	struct eci_sources sources = {.v = &e, .n = 1};
	struct eci_digest *d = eci_digest_new("sha256");
	eci_feeder_init(f, &sources, 0, "sha256", &eci_form_lines);
	while (eci_feeder_more(f)) {
		cr_assert(eci_buf_append(&all, eci_buf_data(&f->out), eci_buf_len(&f->out)) == 0);
		eci_buf_clear(&f->out);
	}
	struct said s = listen(&all, d);
	eci_digest_end(d, sum);
	for (size_t i = 0; i < sizeof sum; i++)
		(void)snprintf(mine + 2 * i, 3, "%02x", sum[i]);
	*whole = !strcmp(mine, s.end);
	eci_feeder_deinit(f);
	eci_buf_deinit(&all);
	free(f);
	(void)close(fd);
	return s;
}

static int file(uint64_t size)
{
	int fd = memfd_create("lines", MFD_CLOEXEC);
	cr_assert(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	return fd;
}

static void put(int fd, uint64_t at, size_t n)
{
	static uint8_t some[3 * MIB];
	memset(some, 'x', n);
	cr_assert(pwrite(fd, some, n, (off_t)at) == (ssize_t)n);
}

Test(lines, pieces_are_long_where_there_are_no_holes)
{
	bool whole;
	int fd = file(0);
	put(fd, 0, 2 * MIB + 5);
	struct said s = feed(fd, 2 * MIB + 5, &whole);
	cr_assert(whole && !strcmp(s.words, "fppp.") && s.longest == ECI_RUN_MAX && s.bytes == s.size, "%s", s.words);
	fd = file(0);
	put(fd, 0, ECI_RUN_MAX);
	s = feed(fd, ECI_RUN_MAX, &whole);
	cr_assert(whole && !strcmp(s.words, "fp."), "%s", s.words);
	fd = file(0);
	put(fd, 0, ECI_RUN_MAX + 1);
	s = feed(fd, ECI_RUN_MAX + 1, &whole);
	cr_assert(whole && !strcmp(s.words, "fpp."), "%s", s.words);
	s = feed(file(0), 0, &whole);
	cr_assert(whole && !strcmp(s.words, "f."), "%s", s.words);
}

/* Wherever data and holes begin and end, no piece says more than comes, and none less. */
Test(lines, holes)
{
	static const struct {
		uint64_t size, at;
		size_t n;
	} all[] = {{MIB, 0, 0},
		   {MIB, 0, 1},
		   {3 * MIB, MIB + 5, 70000},
		   {3 * MIB, 3 * MIB - 1, 1},
		   {3 * MIB, 0, 4096},
		   {3 * MIB + 7, MIB, ECI_COPY_PIECE},
		   {3 * MIB + 7, MIB, ECI_COPY_PIECE + 1},
		   {4 * MIB + 7, MIB - 1, 2 * MIB}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		bool whole;
		int fd = file(all[i].size);
		put(fd, all[i].at, all[i].n);
		struct said s = feed(fd, all[i].size, &whole);
		cr_assert(whole && s.size == all[i].size && s.bytes + s.hole_bytes == s.size, "%zu: %s", i, s.words);
		cr_assert(s.bytes <= all[i].n + 3 * ECI_COPY_PIECE, "%zu: %llu bytes", i, (unsigned long long)s.bytes);
	}
}

Test(lines, what_was_promised_comes_and_is_said_to_be_nothing)
{
	bool whole;
	int fd = file(0);
	put(fd, 0, ECI_COPY_PIECE + 10);
	struct said s = feed(fd, 3 * MIB, &whole);
	cr_assert(!whole && !strcmp(s.end, "-") && s.bytes == ECI_RUN_MAX, "%s, %llu", s.end,
		  (unsigned long long)s.bytes);
}

Test(lines, names_and_times)
{
	static const struct {
		time_t s;
		long ns;
		const char *said;
	} times[] = {{0, 0, "0.000000000 197001010000.00"},
		     {1700000000, 5, "1700000000.000000005 202311142213.20"},
		     {-1, 500000000, "-0.500000000 196912312359.59"},
		     {-86401, 500000000, "-86400.500000000 196912302359.59"},
		     {-5, 0, "-5.000000000 196912312359.55"}};
	struct eci_buf b = ECI_BUF_NULL;
	const char odd[] = "a b\n\\c'\xff~*";
	eci_plain_put(&b, odd, sizeof odd - 1);
	(void)eci_buf_append(&b, "", 1);
	cr_assert_str_eq((const char *)eci_buf_data(&b), "a\\0040b\\0012\\0134c\\0047\\0377\\0176\\0052");
	eci_buf_deinit(&b);
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		char full[] = "/", path[] = "d/e", want[80];
		struct eci_entry_here e[2] = {{.kind = ECI_ENTRY_DIR, .full = full, .path = path},
					      {.kind = ECI_ENTRY_DIR, .full = full, .path = path + 2}};
		e[0].st.st_mode = S_IFDIR | 02750;
		e[0].st.st_mtim = (struct timespec){.tv_sec = times[i].s, .tv_nsec = times[i].ns};
		struct eci_sources s = {.v = e, .n = 2};
		struct eci_feeder *f = malloc(sizeof *f);
		cr_assert(f);
		eci_feeder_init(f, &s, 0, NULL, &eci_form_lines);
		while (eci_feeder_more(f)) {
			(void)eci_buf_append(&b, eci_buf_data(&f->out), eci_buf_len(&f->out));
			eci_buf_clear(&f->out);
		}
		eci_feeder_deinit(f);
		free(f);
		(void)eci_buf_append(&b, "", 1);
		int n = snprintf(want, sizeof want, "d 2750 %s d/e\nd 0000 ", times[i].said);
		cr_assert(!strncmp((const char *)eci_buf_data(&b), want, (size_t)n), "%s",
			  (const char *)eci_buf_data(&b));
		const char *last = strstr((const char *)eci_buf_data(&b), "\nt 2750");
		cr_assert(last && strstr((const char *)eci_buf_data(&b), "\nt 0000") < last, "the inner one is first");
		eci_buf_deinit(&b);
	}
}

/* ---- what `get` says ---- */

/* The values of it, as letters: d, f, l, e, s, h(ole), b(ytes), . (done), @ (from), then E (its end) or ! (refused). */
static void hear(const char *bytes, size_t n, char out[64])
{
	struct eci_copy_shell *s = calloc(1, sizeof *s);
	struct eci_copy *copy = calloc(1, sizeof *copy);
	size_t at = 0;
	cr_assert(s && copy && eci_buf_append(&s->in, bytes, n) == 0);
	s->copy = copy;
	while (at < 62) {
		ectx_value *v = NULL;
		enum ectx_status r = eci_shell_value(s, &v, 0);
		const char *what = ectx_value_text(ectx_array_at(v, 0));
		out[at++] = (char)(r != ECTX_OK                     ? '!'
				   : !v                             ? 'E'
				   : !what                          ? 'b'
				   : *what == 'f' && what[1] == 'r' ? '@'
								    : *what);
		if (what && !strcmp(what, "done"))
			out[at - 1] = '.';
		ectx_value_free(v);
		if (r != ECTX_OK || !v)
			break;
	}
	out[at] = 0;
	eci_buf_deinit(&s->in);
	free(copy);
	free(s);
}

#define SUM "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define HEAR(text, said)                                            \
	do {                                                        \
		char got[64];                                       \
		hear(text, sizeof text - 1, got);                   \
		cr_expect(!strcmp(got, said), "%s: %s", said, got); \
	} while (0)

Test(lines, what_a_shell_says)
{
	HEAR(".\n", "E");
	HEAR("s\nd 755 1700000000 25 d\0f 644 -1 500000000 3 0 d/f\0abc. " SUM
	     "\nl d/l\0f\0e /x\0Permission denied\0.\n",
	     "sdfb.leE");
	HEAR("f 644 - 0 0 0 empty\0. -\n.\n", "f.E");
	HEAR("f 644 5 0 4 1 f\0@ 1\nbcd. " SUM "\n.\n", "f@b.E");
	HEAR("f 644 5 0 4 1 f\0@ 4\n. " SUM "\n.\n", "f@.E");
	HEAR("f 644 5 0 3 0 f\0abc. !\n.\n", "fbcE");
	HEAR("d 755 1 0 with\nnewline\0.\n", "dE");
}

Test(lines, what_no_shell_says_is_refused)
{
	HEAR("x\0", "!");
	HEAR("\0", "!");
	HEAR("f 644 5 0 -1 0 f\0", "!");
	HEAR("f 644 5 0 4 1 f\0@ 5\n", "f!");
	HEAR("f 644 5 0 4 1 f\0abcd\n", "f!");
	HEAR("f 644 5 0 0 0 f\0d 755 1 0 d\n", "f!");
	HEAR("ss\n", "!");
	HEAR(". \n", "!");
}

Test(lines, a_word_is_as_long_as_a_line_at_most)
{
	char got[64];
	size_t n = ECI_SHELL_LINE_MAX - 1;
	char *text = malloc(n + 4);
	cr_assert(text);
	memset(text, 'x', n);
	memcpy(text, "d 755 1 0 ", 10);
	memcpy(text + n, "\0.\n", 4);
	hear(text, n + 3, got);
	cr_expect_str_eq(got, "dE");
	memcpy(text + n, "x\0.", 4);
	hear(text, n + 3, got);
	cr_expect_str_eq(got, "!");
	free(text);
}
