/* What contexts tell the master, log records (LOG), and the programs that are served to them (what they ask for:
 * asked.c). */
#include "mesh/asked.h"
#include "mesh/event.h"
#include "mesh/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct output {
	ectx_mesh *mesh;
	ectx_context *context;
	const char *logger;
};

static void one_line(void *arg, const char *line, size_t len)
{
	struct output *o = arg;
	eci_event_log(o->mesh, o->context, 20, o->logger, strlen(o->logger), line, len);
}

static bool printed(ectx_mesh *m, ectx_context *c, const char *logger, size_t n, const char *text, size_t len)
{
	int i = n == 6 && !memcmp(logger, "stdout", 6) ? 0 : n == 6 && !memcmp(logger, "stderr", 6) ? 1 : -1;
	if (!c || i < 0)
		return false;
	struct output o = {m, c, i ? "stderr" : "stdout"};
	eci_lines_feed(&c->lines[i], text, len, one_line, &o);
	return true;
}

void eci_lines_end(ectx_context *c)
{
	for (int i = 0; i < 2; i++) {
		struct output o = {c->mesh, c, i ? "stderr" : "stdout"};
		eci_lines_flush(&c->lines[i], one_line, &o);
	}
}

/* Behind a hole goes on what nobody here has the beginning of. Whose lines a relay has lost it does not say: of all
 * below it what has begun is ended where it stands, in two pieces rather than joined to what it never was. */
static void lines_cut(ectx_context *c)
{
	eci_lines_end(c);
	for (ectx_context *s = c->children; s; s = s->next_sibling)
		lines_cut(s);
}

/* Python 2 takes surrogates (ED A0 80 to ED BF BF) for characters where a program prints such bytes. Each becomes
 * "???", in place of the record's loss. */
static void mend_surrogates(uint8_t *p, size_t n)
{
	for (size_t i = 0; i + 2 < n; i++)
		if (p[i] == 0xED && p[i + 1] >= 0xA0 && p[i + 1] < 0xC0 && p[i + 2] >= 0x80 && p[i + 2] < 0xC0)
			memset(p + i, '?', 3);
}

/* What can be read of a record: f's body, or a mended copy in *copy. NULL: nothing. */
static const uint8_t *log_body(const struct eci_frame *f, struct eci_buf *copy)
{
	if (eci_cbor_check(f->body, f->len, ECI_CBOR_ITEMS_MAX) == 0)
		return f->body;
	if (eci_buf_append(copy, f->body, f->len))
		return NULL;
	mend_surrogates(copy->mem, f->len);
	return eci_cbor_check(copy->mem, f->len, ECI_CBOR_ITEMS_MAX) == 0 ? copy->mem : NULL;
}

static void log_record(ectx_mesh *m, const struct eci_frame *f)
{
	struct eci_buf copy = ECI_BUF_NULL;
	const uint8_t *body = log_body(f, &copy);
	ectx_context *from = eci_context_of_id(m, f->src);
	const char *logger = "", *text = "";
	size_t nl = 0, nt = 0;
	struct eci_cbor c = eci_cbor_open(body, body ? f->len : 0);
	(void)eci_cbor_get_array(&c);
	int64_t level = eci_cbor_get_int(&c);
	bool good = eci_cbor_get_text(&c, &logger, &nl) && eci_cbor_get_text(&c, &text, &nt);
	uint64_t dropped = good ? eci_cbor_get_uint(&c) : 1; /* what cannot be read is lost too */
	if (dropped && from)
		lines_cut(from);
	if (dropped)
		eci_event_dropped(m, from, dropped);
	if (good && !printed(m, from, logger, nl, text, nt) && nl)
		eci_event_log(m, from, (int)level, logger, nl, text, nt);
	eci_buf_deinit(&copy);
}

bool eci_serve(ectx_mesh *m, struct eci_link *link, const struct eci_frame *f)
{
	if (f->handle == ECI_H_GET_MODULE && link)
		eci_asked_take(m, link, f);
	else if (f->handle == ECI_H_LOG)
		log_record(m, f);
	else
		return false;
	return true;
}

uint8_t *eci_file_read(const char *file, size_t *n, struct eci_fail *fail)
{
	FILE *in = fopen(file, "re");
	uint8_t *bytes = in ? malloc(ECI_MODULE_BYTES_MAX + 1) : NULL;
	bool memory = bytes || (!in && errno != ENOMEM);
	if (bytes) {
		*n = fread(bytes, 1, ECI_MODULE_BYTES_MAX + 1, in);
		if (ferror(in)) {
			free(bytes);
			bytes = NULL;
		}
	}
	if (!bytes)
		eci_fail_set(fail, ECTX_PHASE_NONE, memory ? ECTX_E_BAD_ARGUMENT : ECTX_E_NO_MEMORY, "%s%s%s", file,
			     memory ? ": " : "", memory ? strerror(errno) : "");
	if (in)
		(void)fclose(in);
	if (bytes && *n > ECI_MODULE_BYTES_MAX) {
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT, "%s: larger than 16 MiB", file);
		free(bytes);
		return NULL;
	}
	return bytes;
}

static const char *base_of(const char *file)
{
	const char *slash = strrchr(file, '/');
	return slash ? slash + 1 : file;
}

static int served(int r, const char *name, const char *file, struct eci_fail *fail)
{
	if (r < 0)
		eci_fail_set(fail, ECTX_PHASE_NONE, r == -1 ? ECTX_E_NO_MEMORY : ECTX_E_BAD_ARGUMENT,
			     "%s cannot be served as module %s", file, name);
	return r;
}

int eci_program_serve(ectx_mesh *m, const char *stem, const char *file, const uint8_t *bytes, size_t n,
		      char name[ECI_MODULE_NAME_MAX + 1], struct eci_fail *fail)
{
	eci_lock(m);
	int r = eci_responder_add_program(m->responder, stem, base_of(file), bytes, n, name);
	eci_unlock(m);
	return served(r, stem, file, fail);
}

int eci_program_add(ectx_mesh *m, const char *stem, const char *file, char name[ECI_MODULE_NAME_MAX + 1],
		    struct eci_fail *fail)
{
	size_t n = 0;
	uint8_t *bytes = eci_file_read(file, &n, fail);
	if (!bytes)
		return -1;
	int r = eci_program_serve(m, stem, file, bytes, n, name, fail);
	free(bytes);
	return r;
}
