/* cli: equal output of several nodes as one block. */
#ifndef ECI_CLI_FOLD_H
#define ECI_CLI_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one node wrote to one stream, until it ends. */
struct eci_kept {
	char *buf;
	size_t len, cap;
	uint64_t dropped; /* bytes past ECI_KEPT_MAX */
};
/* Output kept of one stream of one node: 64 nodes under way then hold at most 128 MiB. */
#define ECI_KEPT_MAX (1u << 20)
void eci_kept_add(struct eci_kept *k, const char *p, size_t n);

/* The different texts that came, with the nodes of each. */
struct eci_fold {
	struct eci_block *blocks;
	size_t count;
	size_t bytes; /* of all texts */
};
/* Takes k's text (k is empty afterwards). index: of the node among the targets, for the order. fd: where it would be
 * printed if there is no room to wait. */
void eci_fold_add(struct eci_fold *f, struct eci_kept *k, const char *node, size_t index, int fd);
/* Prints and forgets all blocks: most nodes first, then in the order of the targets. */
void eci_fold_print(struct eci_fold *f, int fd);

/* A list of nodes that grows; names are borrowed. */
struct eci_nodes {
	const char **v;
	size_t n, cap;
};
void eci_nodes_add(struct eci_nodes *nodes, const char *name);
/* Folded: "a[01-04]". malloc'd, never NULL. */
char *eci_nodes_text(const struct eci_nodes *nodes);
uint64_t eci_hash(const char *p, size_t n);

#endif
