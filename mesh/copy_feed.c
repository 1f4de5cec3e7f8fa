/* The bytes of a copy: entries, and what is in them, in the form that the far end wants (copy.h).
 *
 * Invariant: a file that has begun is always ended with `done`, also when it turns out to be unreadable or shorter:
 * then with no digest, and the far end says what is wrong with it.
 *
 * Holes are asked for (lseek(2), SEEK_DATA) and not read; each goes as `hole`, and so do blocks of zeros on the disk.
 * The digest is of all bytes, those of holes too. What /proc and /sys say of a file's size is not true (0, or a page):
 * so what is small is read before its size is said, and what says 0 is read to its end. */
#include "mesh/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void eci_feeder_init(struct eci_feeder *f, struct eci_sources *s, size_t first, const char *algorithm,
		     const struct eci_feeder_form *form)
{
	*f = (struct eci_feeder){.s = s, .at = first, .fd = -1, .algorithm = algorithm, .form = form};
	f->left_out = calloc(s->n ? s->n : 1, sizeof *f->left_out);
	f->out.failed = !f->left_out;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static void put_piece(struct eci_feeder *f, const uint8_t *p, size_t n)
{
	if (n == ECI_COPY_PIECE && !f->run && all_zero(p, n))
		f->form->hole(f, n);
	else
		f->form->piece(f, p, n);
}

static void put_done(struct eci_feeder *f, bool whole)
{
	uint8_t sum[ECI_DIGEST_SIZE];
	bool has = f->digest != NULL;
	eci_digest_end(f->digest, sum);
	f->digest = NULL;
	f->form->done(f, whole, has && whole ? sum : NULL);
	(void)close(f->fd);
	f->fd = -1;
	f->at++;
}

/* Reads up to n bytes and counts them into the digest. */
static ssize_t read_some(struct eci_feeder *f, uint64_t n)
{
	ssize_t got;
	do
		got = read(f->fd, f->piece, n < ECI_COPY_PIECE ? (size_t)n : ECI_COPY_PIECE);
	while (got < 0 && errno == EINTR);
	if (got > 0 && f->digest)
		eci_digest_add(f->digest, f->piece, (size_t)got);
	return got;
}

/* ---- what does not say its size ---- */

/* All of a file of f->size bytes, or of one that says 0, before its head; then f->size is true. 0 or what failed. */
static int read_ahead(struct eci_feeder *f)
{
	bool unsized = f->size == 0;
	ssize_t n = 1;
	if (unsized)
		(void)fcntl(f->fd, F_SETFL, O_NONBLOCK); /* /proc/kmsg would wait for more */
	while (n > 0 && (unsized || eci_buf_len(&f->ahead) < f->size)) {
		n = read_some(f, unsized ? ECI_COPY_PIECE : f->size - eci_buf_len(&f->ahead));
		if (n < 0)
			return errno;
		(void)eci_buf_append(&f->ahead, f->piece, (size_t)n);
		if (eci_buf_len(&f->ahead) > ECI_COPY_UNSIZED_MOST)
			return ECI_SOURCE_UNSIZED;
	}
	f->size = eci_buf_len(&f->ahead);
	return f->ahead.failed ? ENOMEM : 0;
}

/* ---- holes ---- */

/* How long the hole at f->offset is, if it is worth a word; else 0, and f->data_until is where to look again: not
 * before a piece has been read, so that many small holes cost no more than none. */
static uint64_t hole_here(struct eci_feeder *f)
{
	if (f->offset < f->data_until)
		return 0;
	off_t data = lseek(f->fd, (off_t)f->offset, SEEK_DATA);
	struct stat st;
	bool all = data < 0 && errno == ENXIO && fstat(f->fd, &st) == 0 && (uint64_t)st.st_size >= f->size;
	if (data < 0 && !all) {
		f->data_until = f->size; /* no such word here, or it is shorter now; it has not moved */
		return 0;
	}
	uint64_t to = all || (uint64_t)data > f->size ? f->size : (uint64_t)data, n = to - f->offset;
	if (n < ECI_COPY_PIECE) {
		off_t hole = n ? -1 : lseek(f->fd, (off_t)f->offset, SEEK_HOLE);
		f->data_until = f->offset + ECI_COPY_PIECE;
		if (hole > 0 && (uint64_t)hole > f->data_until)
			f->data_until = (uint64_t)hole;
		to = f->offset;
		n = 0;
	} else if (n > ECI_COPY_HOLE_MOST) {
		n = ECI_COPY_HOLE_MOST;
		to = f->offset + n;
	}
	(void)lseek(f->fd, (off_t)to, SEEK_SET);
	return n;
}

static void count_zeros(struct eci_feeder *f, uint64_t n)
{
	static const uint8_t zeros[ECI_COPY_PIECE];
	for (; n && f->digest; n -= n < sizeof zeros ? n : sizeof zeros)
		eci_digest_add(f->digest, zeros, n < sizeof zeros ? (size_t)n : sizeof zeros);
}

/* ---- a file ---- */

/* Cannot be read, before anything was said of it. */
static void leave_out(struct eci_feeder *f, struct eci_entry_here *e, int error)
{
	f->left_out[f->at] = true;
	if (!atomic_exchange(&e->unreadable, true) && f->failed)
		f->failed(f->arg, e->full, error);
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
	eci_digest_end(f->digest, NULL);
	f->digest = NULL;
	f->at++;
}

static void begin_file(struct eci_feeder *f, struct eci_entry_here *e)
{
	f->fd = open(e->full, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0) {
		leave_out(f, e, errno);
		return;
	}
	(void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	f->digest = f->algorithm ? eci_digest_new(f->algorithm) : NULL;
	uint64_t from = f->offsets ? f->offsets[f->at] : 0;
	f->offset = 0;
	f->size = (uint64_t)e->st.st_size;
	from = from < f->size ? from : f->size; /* it may have grown since its size was said */
	f->data_until = (uint64_t)e->st.st_blocks * 512 < f->size ? 0 : f->size;
	eci_buf_clear(&f->ahead);
	int error = !from && f->size <= ECI_COPY_PIECE ? read_ahead(f) : 0;
	if (error) {
		leave_out(f, e, error);
		return;
	}
	while (f->offset < from && !(f->stopped && f->stopped(f->arg))) { /* what is there already: for the digest */
		ssize_t n = read_some(f, from - f->offset);
		if (n <= 0)
			break;
		f->offset += (uint64_t)n;
	}
	f->sent += f->offset;
	f->form->head(f, e, f->offset);
}

static void go_on(struct eci_feeder *f)
{
	uint64_t left = f->offset < f->size ? f->size - f->offset : 0, hole = 0;
	size_t ready = eci_buf_len(&f->ahead);
	ssize_t n = 0;
	if (ready) {
		n = (ssize_t)(ready < ECI_COPY_PIECE ? ready : ECI_COPY_PIECE);
		put_piece(f, eci_buf_data(&f->ahead), (size_t)n);
		eci_buf_drain(&f->ahead, (size_t)n);
	} else if (left && (hole = hole_here(f))) {
		count_zeros(f, hole);
		f->form->hole(f, hole);
		n = (ssize_t)hole;
	} else if (left) {
		n = read_some(f, left);
		if (n > 0)
			put_piece(f, f->piece, (size_t)n);
	}
	if (n <= 0) {
		put_done(f, n == 0 && left == 0);
		return;
	}
	f->offset += (uint64_t)n;
	f->sent += (uint64_t)n;
}

bool eci_feeder_more(struct eci_feeder *f)
{
	while (!eci_buf_len(&f->out) && f->at < f->s->n && !f->out.failed) {
		struct eci_entry_here *e = &f->s->v[f->at];
		if (f->fd >= 0) {
			go_on(f);
		} else if (atomic_load(&e->unreadable)) {
			f->left_out[f->at++] = true;
		} else if (e->kind == ECI_ENTRY_FILE) {
			begin_file(f, e);
		} else {
			f->form->head(f, e, 0);
			f->at++;
		}
	}
	if (f->at == f->s->n && !f->finished && f->form->finish) {
		f->finished = true;
		f->form->finish(f);
	}
	return eci_buf_len(&f->out) > 0;
}

void eci_feeder_deinit(struct eci_feeder *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	eci_digest_end(f->digest, NULL);
	eci_buf_deinit(&f->ahead);
	eci_buf_deinit(&f->out);
	free(f->left_out);
}
