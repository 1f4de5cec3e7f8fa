/* cli: failure blocks.
 *
 * Two failures are the same when they would read the same but for the node's own name and the time they took: the name
 * is replaced by a mark in path, evidence, hint and traceback before they are compared. A block shows the first node's
 * texts. Only different failures are kept, so a thousand hosts behind one dead relay cost one entry and print one
 * block. The relay itself is the thousand and first if it is a target: its own name is in all of their texts, so that
 * it is only seen to be the same when no more come, by what would be printed (join).
 *
 * What failed at a target, as a command there, has nothing to do with the way to it: one block stands for all whatever
 * relays they are behind, and names the way if they share it.
 *
 * Evidence comes from the far side: the library has escaped `saw`, the traceback is escaped here, line by line. */
#include "cli/failures.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fold.h"
#include "cli/opts.h"
#include "cli/out.h"
#include "econtext/econtext.h"

#define NODE_MARK '\001' /* cannot stand in escaped text */

struct eci_failure {
	char *key;
	size_t first; /* index of the node whose texts are shown */
	uint64_t hash;
	uint64_t way; /* of its path */
	bool ways;    /* it was reached by several, none of which matters */
	ectx_error error;
	struct eci_nodes nodes;
};

/* The word that heads a block. */
static const char *status_word(enum ectx_status status)
{
	switch (status) {
	case ECTX_OK:
		return "OK";
	case ECTX_FAILED:
		return "FAILED";
	case ECTX_USAGE:
		return "USAGE";
	case ECTX_UNREACHABLE:
		return "UNREACHABLE";
	case ECTX_REFUSED:
		return "REFUSED";
	case ECTX_DEADLINE:
		return "DEADLINE";
	case ECTX_UNKNOWN:
		return "UNKNOWN";
	case ECTX_INTERRUPTED:
		return "INTERRUPTED";
	case ECTX_INTERNAL:
		break;
	}
	return "INTERNAL";
}

static bool in_word(int c)
{
	return isalnum(c) || c == '_' || c == '-';
}

/* Appends text and a separator, each whole word `name` in it replaced by the mark. Returns the new end. */
static char *normalised(char *to, const char *text, const char *name, size_t n)
{
	const char *start = text;
	while (*text) {
		bool here = n && !strncmp(text, name, n) && !in_word((unsigned char)text[n]);
		if (here && (text == start || !in_word((unsigned char)text[-1]))) {
			*to++ = NODE_MARK;
			text += n;
		} else {
			*to++ = *text++;
		}
	}
	*to++ = '\n';
	return to;
}

/* At the end of its path, by what was to be done there. */
static bool of_the_target(const ectx_error *e)
{
	switch (e->code) {
	case ECTX_E_EXIT_STATUS:
	case ECTX_E_SIGNALLED:
	case ECTX_E_NO_COMMAND:
	case ECTX_E_EXCEPTION:
	case ECTX_E_NOT_FOUND:
	case ECTX_E_CANNOT_TRAVEL:
	case ECTX_E_COPY_FAILED:
		return true;
	default:
		return false;
	}
}

/* What two failures have in common that are one; *way is what they may differ in (of_the_target). malloc'd. */
static char *key_of(const char *node, const ectx_error *e, uint64_t *way)
{
	const char *detail = e->detail ? e->detail : "";
	const char *slash = strrchr(node, '/'); /* an ad-hoc path is called by its last hop in texts */
	const char *name = slash ? slash + 1 : node;
	size_t n = strcspn(name, ":");
	char *key = eci_alloc(64 + strlen(e->path) + strlen(e->saw) + strlen(e->hint) + strlen(detail));
	char *to =
		key + sprintf(key, "%d %d %d %u\n", (int)e->status, (int)e->phase, (int)e->code, (unsigned)e->limit_ms);
	char *path = to;
	to = normalised(to, e->path, name, n);
	*way = eci_hash(path, (size_t)(to - path));
	if (of_the_target(e))
		to = path;
	to = normalised(to, e->saw, name, n);
	to = normalised(to, e->hint, name, n);
	to = normalised(to, detail, name, n);
	*to = 0;
	return key;
}

static void show(struct eci_failure *one, size_t index, const ectx_error *e)
{
	one->first = index;
	one->error = *e;
	if (e->detail)
		one->error.detail = eci_copy(e->detail, strlen(e->detail));
}

void eci_failures_add(struct eci_failures *f, const char *node, size_t index, const ectx_error *e)
{
	uint64_t way;
	char *key = key_of(node, e, &way);
	uint64_t hash = eci_hash(key, strlen(key));
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].hash == hash && !strcmp(f->v[i].key, key)) {
			struct eci_failure *same = &f->v[i];
			uint32_t longest = same->error.after_ms > e->after_ms ? same->error.after_ms : e->after_ms;
			eci_nodes_add(&same->nodes, node);
			same->ways |= same->way != way;
			if (index < same->first) {
				ectx_error_clear(&same->error);
				show(same, index, e);
			}
			same->error.after_ms = longest;
			free(key);
			return;
		}
	f->v = eci_grow(f->v, (f->n + 1) * sizeof *f->v);
	struct eci_failure *one = &f->v[f->n++];
	*one = (struct eci_failure){.key = key, .hash = hash, .way = way};
	show(one, index, e);
	eci_nodes_add(&one->nodes, node);
}

static void print_seconds(const char *before, uint32_t ms)
{
	if (ms % 1000)
		eci_out_printf(2, "%s%.1f s", before, ms / 1000.0);
	else
		eci_out_printf(2, "%s%u s", before, (unsigned)(ms / 1000));
}

static void print_detail(const char *text)
{
	const char *label = "  remote   ";
	while (*text) {
		size_t n = strcspn(text, "\n");
		char *line = ectx_escape(text, n);
		eci_out_printf(2, "%s%s\n", label, line ? line : "");
		free(line);
		label = "           ";
		text += n + (text[n] == '\n');
	}
}

/* A traceback of one line is the evidence once more. */
static bool says_it_again(const char *detail, const char *saw)
{
	size_t n = strcspn(detail, "\n");
	return n == strlen(saw) && !memcmp(detail, saw, n) && !detail[n + (detail[n] == '\n')];
}

static void print_block(const struct eci_failure *one)
{
	const ectx_error *e = &one->error;
	char *names = eci_nodes_text(&one->nodes);
	bool colour = eci_out_colour();
	eci_out_printf(2, "%s%s%s %s\n", colour ? "\033[1;31m" : "", status_word(e->status), colour ? "\033[0m" : "",
		       names);
	free(names);
	if (*e->path && !one->ways)
		eci_out_printf(2, "  at hop   %s\n", e->path);
	if (e->phase != ECTX_PHASE_NONE) {
		eci_out_printf(2, "  phase    %s", ectx_phase_name(e->phase));
		if (e->after_ms)
			print_seconds(", after ", e->after_ms);
		if (e->after_ms && e->limit_ms)
			print_seconds(" of ", e->limit_ms);
		eci_out_text(2, "\n");
	}
	/* An exit status is our word, evidence is theirs: only theirs is quoted. */
	bool ours = e->code == ECTX_E_EXIT_STATUS || e->code == ECTX_E_SIGNALLED;
	if (*e->saw)
		eci_out_printf(2, ours ? "  saw      %s\n" : "  saw      \"%s\"\n", e->saw);
	else if (e->code != ECTX_E_NONE)
		eci_out_printf(2, "  saw      %s\n", ectx_code_name(e->code));
	const char *hint = *e->hint ? e->hint : ectx_code_hint(e->code);
	if (hint && *hint)
		eci_out_printf(2, "  hint     %s\n", hint);
	if (e->detail && !says_it_again(e->detail, e->saw))
		print_detail(e->detail);
}

static int order(const void *left, const void *right)
{
	const struct eci_failure *a = left, *b = right;
	return a->first < b->first ? -1 : a->first > b->first;
}

static void forget(struct eci_failure *one)
{
	free(one->key);
	free(one->nodes.v);
	ectx_error_clear(&one->error);
}

/* Makes one of those that read the same to the letter. Not of one whose shown name stands for other nodes' too: they
 * would be taken for nodes behind that one. */
static void join(struct eci_failures *f)
{
	size_t kept = 0;
	for (size_t i = 0; i < f->n; i++) {
		struct eci_failure *one = &f->v[i], *same = NULL;
		if (one->nodes.n == 1 || !strchr(one->key, NODE_MARK)) {
			free(one->key);
			one->key = key_of("", &one->error, &one->way);
			one->hash = eci_hash(one->key, strlen(one->key));
		}
		for (size_t k = 0; k < kept && !same; k++)
			if (f->v[k].hash == one->hash && !strcmp(f->v[k].key, one->key))
				same = &f->v[k];
		if (!same) {
			f->v[kept++] = *one;
			continue;
		}
		for (size_t k = 0; k < one->nodes.n; k++)
			eci_nodes_add(&same->nodes, one->nodes.v[k]);
		same->ways |= one->ways || one->way != same->way;
		if (one->error.after_ms > same->error.after_ms)
			same->error.after_ms = one->error.after_ms;
		forget(one);
	}
	f->n = kept;
}

/* In the order in which the targets were named, not in that of luck. */
void eci_failures_print(struct eci_failures *f)
{
	if (f->n)
		qsort(f->v, f->n, sizeof *f->v, order);
	join(f);
	for (size_t i = 0; i < f->n; i++) {
		print_block(&f->v[i]);
		forget(&f->v[i]);
	}
	free(f->v);
	*f = (struct eci_failures){0};
	eci_out_flush();
}

int eci_complain(ectx_error *e)
{
	int status = e->status ? (int)e->status : ECTX_INTERNAL;
	const char *hint = *e->hint ? e->hint : ectx_code_hint(e->code);
	/* FILE:LINE:COL stands first on its line, where editors look for it */
	bool located = e->code == ECTX_E_TOPOLOGY && *e->saw;
	eci_out_printf(2, "%s%s\n", located ? "" : "econtext: ", *e->saw ? e->saw : ectx_code_name(e->code));
	if (hint && *hint)
		eci_out_printf(2, "  hint: %s\n", hint);
	eci_out_flush();
	ectx_error_clear(e);
	return status;
}
