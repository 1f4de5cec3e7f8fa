/* A copy as lines for a shell: preamble/shell/put.sh says which. For a host without Python.
 *
 * A shell can read a line and, with dd(1), a number of bytes; so each piece says before how long it is. Pieces are as
 * long as they can be, since each costs that host some processes: what was promised and then could not be read is made
 * up with zeros, and the file's end says that it is not whole.
 *
 * A folder's own mode and time come behind everything, innermost first, as what is put into it changes its time. */
#include "mesh/copy_lines.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void eci_plain_put(struct eci_buf *b, const char *p, size_t n)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@=";
	for (size_t i = 0; i < n; i++) {
		char octal[8];
		bool as_it_is = memchr(plain, p[i], sizeof plain - 1) != NULL;
		int len = as_it_is ? 1 : snprintf(octal, sizeof octal, "\\0%03o", (unsigned)(unsigned char)p[i]);
		(void)eci_buf_append(b, as_it_is ? p + i : octal, (size_t)len);
	}
}

static void put_text(struct eci_feeder *f, const char *s)
{
	(void)eci_buf_append(&f->out, s, strlen(s));
}

static void put_path(struct eci_feeder *f, const char *s)
{
	eci_plain_put(&f->out, s, strlen(s));
}

/* "WORD MODE TIME STAMP ": of a time before 1970 the fraction counts down, as every decimal number's does. */
static void put_dress(struct eci_feeder *f, const char *word, const struct stat *st)
{
	char line[96], stamp[32] = "-";
	time_t s = st->st_mtim.tv_sec;
	long ns = st->st_mtim.tv_nsec;
	struct tm utc;
	if (gmtime_r(&s, &utc))
		(void)strftime(stamp, sizeof stamp, "%Y%m%d%H%M.%S", &utc);
	bool before = s < 0 && ns > 0;
	(void)snprintf(line, sizeof line, "%s %04o %s%lld.%09ld %s ", word, (unsigned)st->st_mode & 07777,
		       before ? "-" : "", before ? -((long long)s + 1) : (long long)s, before ? 1000000000L - ns : ns,
		       stamp);
	put_text(f, line);
}

static void head(struct eci_feeder *f, const struct eci_entry_here *e, uint64_t offset)
{
	char numbers[64], target[4096];
	if (e->kind == ECI_ENTRY_LINK) {
		ssize_t n = readlink(e->full, target, sizeof target);
		put_text(f, "l ");
		put_path(f, e->path);
		put_text(f, " ");
		eci_plain_put(&f->out, target, n > 0 ? (size_t)n : 0);
	} else {
		put_dress(f, e->kind == ECI_ENTRY_DIR ? "d" : "f", &e->st);
		(void)snprintf(numbers, sizeof numbers, "%llu %llu ", (unsigned long long)f->size,
			       (unsigned long long)offset);
		if (e->kind == ECI_ENTRY_FILE)
			put_text(f, numbers);
		put_path(f, e->path);
	}
	put_text(f, "\n");
	f->run = 0;
}

/* At `at` n bytes are there, and more until a hole is looked for again: where no promise may be open. */
static void promise(struct eci_feeder *f, uint64_t at, size_t n)
{
	char line[40];
	uint64_t until = f->data_until < f->size ? f->data_until : f->size;
	until = until > at + n ? until : at + n;
	f->run = until - at < ECI_RUN_MAX ? until - at : ECI_RUN_MAX;
	(void)snprintf(line, sizeof line, "p %llu\n", (unsigned long long)f->run);
	put_text(f, line);
}

static void piece(struct eci_feeder *f, const uint8_t *p, size_t n)
{
	for (uint64_t at = f->offset; n;) {
		if (!f->run)
			promise(f, at, n);
		size_t part = n < f->run ? n : (size_t)f->run;
		(void)eci_buf_append(&f->out, p, part);
		f->run -= part;
		at += part;
		p += part;
		n -= part;
	}
}

static void hole(struct eci_feeder *f, uint64_t n)
{
	char line[40];
	(void)snprintf(line, sizeof line, "h %llu\n", (unsigned long long)n);
	put_text(f, line);
}

static void done(struct eci_feeder *f, bool whole, const uint8_t *sum)
{
	static const uint8_t zeros[4096];
	char hex[3];
	while (f->run && !f->out.failed) {
		size_t n = f->run < sizeof zeros ? (size_t)f->run : sizeof zeros;
		(void)eci_buf_append(&f->out, zeros, n);
		f->run -= n;
	}
	put_text(f, whole ? ". " : ". -");
	for (size_t i = 0; sum && i < ECI_DIGEST_SIZE; i++) {
		(void)snprintf(hex, sizeof hex, "%02x", sum[i]);
		put_text(f, hex);
	}
	put_text(f, whole && !sum ? "0\n" : "\n");
}

static void finish(struct eci_feeder *f)
{
	for (size_t i = f->s->n; i--;) {
		const struct eci_entry_here *e = &f->s->v[i];
		if (e->kind != ECI_ENTRY_DIR || f->left_out[i])
			continue;
		put_dress(f, "t", &e->st);
		put_path(f, e->path);
		put_text(f, "\n");
	}
}

const struct eci_feeder_form eci_form_lines = {
	.head = head, .piece = piece, .hole = hole, .done = done, .finish = finish};
