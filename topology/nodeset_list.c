/* Lists of names as one block: the public face of node sets. A result is one malloc'd block, pointers first and text
 * behind them, so that the caller frees one thing. */
#include "topology/base.h"

#include <stdlib.h>
#include <string.h>

int eci_list_add(void *arg, const char *name, size_t len)
{
	struct eci_list *l = arg;
	if (l->count == ECI_CONTEXTS_MAX) {
		l->full = true;
		return -1;
	}
	if (l->text_cap - l->text_len <= len) {
		size_t cap = (l->text_cap + len + 64) * 2;
		char *grown = realloc(l->text, cap);
		if (!grown)
			return -1;
		l->text = grown;
		l->text_cap = cap;
	}
	memcpy(l->text + l->text_len, name, len);
	l->text[l->text_len + len] = 0;
	l->text_len += len + 1;
	l->count++;
	return 0;
}

char **eci_list_block(const struct eci_list *l)
{
	size_t table = (l->count + 1) * sizeof(char *);
	char **out = malloc(table + l->text_len + 1);
	if (!out)
		return NULL;
	char *text = (char *)out + table;
	if (l->text_len)
		memcpy(text, l->text, l->text_len);
	for (size_t i = 0; i < l->count; i++) {
		out[i] = text;
		text += strlen(text) + 1;
	}
	out[l->count] = NULL;
	return out;
}

void eci_list_deinit(struct eci_list *l)
{
	free(l->text);
	*l = (struct eci_list){0};
}

char **ectx_nodeset_expand(const char *set, ectx_error *err)
{
	struct eci_list l = {0};
	const char *at = set, *end = set + strlen(set), *item;
	size_t len;
	char **out = NULL;
	struct eci_set_fault fault = {0};
	while (eci_nodeset_next(&at, end, &item, &len)) {
		if (eci_nodeset_item(item, len, eci_list_add, &l, &fault) == 0)
			continue;
		if (fault.why) {
			eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "\"%.*s\": %s", (int)(len > 200 ? 200 : len), item,
				     fault.why);
			eci_fail_hint(err, "%s", fault.fix);
		} else if (l.full) {
			eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "more than 1,048,576 names");
			eci_fail_hint(err, "split the set");
		} else {
			eci_fail_memory(err);
		}
		eci_list_deinit(&l);
		return NULL;
	}
	out = eci_list_block(&l);
	if (!out)
		eci_fail_memory(err);
	eci_list_deinit(&l);
	return out;
}
