/* Requests to start something: a map with integer keys, out of a checked body into a struct, by a table that says which
 * key is what; argv and environment into what exec(2) takes.
 *
 * One allocation holds the pointers and, behind them, the strings. It needs no counting first: in the body each string
 * has a head of at least one byte, which pays for its NUL, and a pair's second head pays for the `=`; so what is left
 * of the body is always room enough. */
#include "service/words.h"

#include "core/mem.h"

/* Copies a word to *to; false when it is none or holds a NUL. */
static bool take(struct eci_cbor *c, char **to)
{
	const uint8_t *p;
	size_t n;
	if (!eci_cbor_get_either(c, &p, &n))
		return false;
	for (; n; n--, p++) {
		if (!*p)
			return false;
		*(*to)++ = (char)*p;
	}
	return true;
}

static bool take_pair(struct eci_cbor *c, char **to)
{
	char *name = *to;
	if (!take(c, to) || name == *to)
		return false;
	for (; name < *to; name++)
		if (*name == '=')
			return false; /* it would be another's: "A=B" set to "c" would set A */
	if (eci_cbor_get_null(c))
		return true;
	*(*to)++ = '=';
	return take(c, to);
}

static char **strings(struct eci_cbor *c, size_t n, bool (*one)(struct eci_cbor *, char **))
{
	size_t room = (size_t)(c->end - c->p);
	char **v = c->bad || n > room ? NULL : eci_mem_alloc((n + 1) * sizeof *v + room);
	if (!v)
		return NULL;
	char *to = (char *)(v + n + 1);
	for (size_t i = 0; i < n; i++) {
		v[i] = to;
		if (!one(c, &to)) {
			eci_mem_free(v);
			return NULL;
		}
		*to++ = 0;
	}
	v[n] = NULL;
	return v;
}

char **eci_words_argv(struct eci_cbor *c)
{
	size_t n = eci_cbor_get_array(c);
	return n ? strings(c, n, take) : NULL;
}

static void read_word(struct eci_cbor *c, uint8_t type, uint8_t *to)
{
	uint32_t *number = (uint32_t *)(void *)to;
	char ***list = (char ***)(void *)to;
	switch (type) {
	case ECI_FIELD_U32:
		*number = eci_cbor_get_u32(c);
		return;
	case ECI_FIELD_BOOL:
		*number = eci_cbor_get_bool(c);
		return;
	case ECI_FIELD_SIZE:
		number[0] = 1;
		c->bad = c->bad || eci_cbor_get_array(c) != 2;
		number[1] = eci_cbor_get_u32(c);
		number[2] = eci_cbor_get_u32(c);
		return;
	case ECI_FIELD_ARGV:
		*list = eci_words_argv(c);
		break;
	case ECI_FIELD_ENV:
		*list = strings(c, eci_cbor_get_map(c), take_pair);
		break;
	default:
		*list = strings(c, 1, take);
		break;
	}
	c->bad = c->bad || !*list;
}

bool eci_words_read(struct eci_cbor *c, void *to, const struct eci_word *words, size_t n)
{
	for (size_t pairs = eci_cbor_get_map(c); pairs && !c->bad; pairs--) {
		struct eci_cbor_item key; /* all of it: no key of a checked body holds others */
		(void)eci_cbor_next(c, &key);
		if (key.type != ECI_CBOR_UINT || key.u64 >= n)
			(void)eci_cbor_skip(c);
		else if (words[key.u64].type < ECI_FIELD_MAY_BE_NULL || !eci_cbor_get_null(c))
			read_word(c, words[key.u64].type, (uint8_t *)to + words[key.u64].at);
	}
	return !c->bad;
}

void eci_words_why(struct eci_buf *b, const char *what, const char *(*explain)(void *ctx, int err), void *ctx, int err)
{
	struct eci_buf text = ECI_BUF_NULL;
	if (err < 0) {
		what = "no terminal";
		err = -err;
	}
	if (eci_buf_puts(&text, what) || eci_buf_puts(&text, ": ") ||
	    !eci_utf8_valid(eci_buf_data(&text), eci_buf_len(&text)))
		eci_buf_clear(&text);
	(void)eci_buf_puts(&text, explain(ctx, err));
	eci_cbor_put_text(b, (const char *)eci_buf_data(&text), eci_buf_len(&text));
	eci_cbor_put_uint(b, (uint64_t)(unsigned)err);
	eci_buf_deinit(&text);
}
