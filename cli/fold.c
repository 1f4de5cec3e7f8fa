/* cli: -b, clush's blocks: dashes, names folded and their number, dashes, text.
 *
 * A node's output is kept until it ends and is then compared with the texts that are there already, so memory goes with
 * the *different* outputs and the nodes under way, not with the number of nodes. Both are bounded: a node keeps
 * ECI_KEPT_MAX of a stream (the rest is read, counted and said to be missing: leaving it unread would stop the
 * command), and when FOLD_MAX of different texts are waiting they are printed and the folding starts again. stdout and
 * stderr are folded apart. */
#include "cli/fold.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/opts.h"
#include "cli/out.h"
#include "econtext/topology.h"

/* Different texts kept in all: what a workstation can spare for a command. */
#define FOLD_MAX (256u << 20)
#define RULE "---------------\n"

struct eci_block {
	char *text;
	size_t len, first;
	uint64_t hash, dropped;
	struct eci_nodes nodes;
};

uint64_t eci_hash(const char *p, size_t n)
{
	uint64_t h = 1469598103934665603u; /* FNV-1a; equality is checked with memcmp */
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * 1099511628211u;
	return h;
}

void eci_nodes_add(struct eci_nodes *nodes, const char *name)
{
	if (nodes->n == nodes->cap) {
		nodes->cap = nodes->cap ? 2 * nodes->cap : 4;
		nodes->v = eci_grow(nodes->v, nodes->cap * sizeof *nodes->v);
	}
	nodes->v[nodes->n++] = name;
}

char *eci_nodes_text(const struct eci_nodes *nodes)
{
	char *text = ectx_nodeset_fold(nodes->v, nodes->n);
	return text ? text : eci_copy(nodes->v[0], strlen(nodes->v[0]));
}

void eci_kept_add(struct eci_kept *k, const char *p, size_t n)
{
	size_t room = ECI_KEPT_MAX - k->len;
	if (n > room) {
		k->dropped += n - room;
		n = room;
	}
	if (k->len + n > k->cap) {
		k->cap = 2 * (k->len + n);
		k->buf = eci_grow(k->buf, k->cap);
	}
	if (n)
		memcpy(k->buf + k->len, p, n);
	k->len += n;
}

void eci_fold_add(struct eci_fold *f, struct eci_kept *k, const char *node, size_t index, int fd)
{
	struct eci_kept text = *k;
	*k = (struct eci_kept){0};
	if (!text.len)
		return;
	if (text.buf[text.len - 1] == '\n')
		text.len--; /* a last line without its newline reads the same */
	uint64_t hash = eci_hash(text.buf, text.len);
	for (size_t i = 0; i < f->count; i++) {
		struct eci_block *b = &f->blocks[i];
		if (b->hash != hash || b->len != text.len || b->dropped != text.dropped ||
		    memcmp(b->text, text.buf, text.len))
			continue;
		eci_nodes_add(&b->nodes, node);
		if (index < b->first)
			b->first = index;
		free(text.buf);
		return;
	}
	if (f->bytes + text.len > FOLD_MAX)
		eci_fold_print(f, fd);
	f->blocks = eci_grow(f->blocks, (f->count + 1) * sizeof *f->blocks);
	struct eci_block *b = &f->blocks[f->count++];
	*b = (struct eci_block){.text = eci_grow(text.buf, text.len),
				.len = text.len,
				.first = index,
				.hash = hash,
				.dropped = text.dropped};
	f->bytes += text.len;
	eci_nodes_add(&b->nodes, node);
}

static int order(const void *left, const void *right)
{
	const struct eci_block *a = left, *b = right;
	if (a->nodes.n != b->nodes.n)
		return a->nodes.n > b->nodes.n ? -1 : 1;
	return a->first < b->first ? -1 : a->first > b->first;
}

void eci_fold_print(struct eci_fold *f, int fd)
{
	if (f->count)
		qsort(f->blocks, f->count, sizeof *f->blocks, order);
	for (size_t i = 0; i < f->count; i++) {
		struct eci_block *b = &f->blocks[i];
		char *names = eci_nodes_text(&b->nodes);
		eci_out_printf(fd, RULE "%s", names);
		if (b->nodes.n > 1)
			eci_out_printf(fd, " (%zu)", b->nodes.n);
		eci_out_text(fd, "\n" RULE);
		eci_out_remote(fd, b->text, b->len);
		eci_out_text(fd, "\n");
		if (b->dropped)
			eci_out_printf(2, "econtext: %s: %" PRIu64 " bytes more were not kept: -b keeps %u a node\n",
				       names, b->dropped, ECI_KEPT_MAX);
		free(names);
		free(b->text);
		free(b->nodes.v);
	}
	free(f->blocks);
	*f = (struct eci_fold){0};
}
