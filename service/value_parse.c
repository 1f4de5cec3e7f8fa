/* JSON -> values: strict RFC 8259, with what Python's parser takes as well (NaN, Infinity, -Infinity) and integers of
 * any size that can travel. What is refused here would be refused on the way: depth and items are counted as the CBOR
 * checker counts them, text must be UTF-8 (so a surrogate without its other half is an error, there is no way to encode
 * it). A number is a float when it has a fraction or an exponent; one that is too large is infinite, as in Python.
 *
 * {"$bytes": BASE64} is how bytes are written, so an object with exactly that key is read as bytes, and text there that
 * is not base64 is an error: silently handing on an object would send what the user did not mean. Of equal keys the
 * last counts, as in Python.
 *
 * The parser is a cursor and recursion of bounded depth; the first error stops it where it stands. */
#include "service/service.h"
#include "core/text.h"
#include "service/value_impl.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct parser {
	const char *start, *p, *end;
	uint32_t items; /* left */
	locale_t plain; /* numbers have a point, whatever the program's locale says */
};

static ectx_value *parse_value(struct parser *j, unsigned depth);

static void skip_space(struct parser *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r'))
		j->p++;
}

static bool take(struct parser *j, char c)
{
	if (j->p == j->end || *j->p != c)
		return false;
	j->p++;
	return true;
}

static bool take_word(struct parser *j, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(j->end - j->p) < n || memcmp(j->p, word, n) != 0)
		return false;
	j->p += n;
	return true;
}

/* ---- numbers ---- */

static bool digit_at(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

static const char *digits(const char *p, const char *end)
{
	while (digit_at(p, end))
		p++;
	return p;
}

/* A copy, because strtod wants a NUL; it is as long as the text of the number. */
static ectx_value *float_of(struct parser *j, const char *p, size_t n)
{
	char small[64], *text = n < sizeof(small) ? small : malloc(n + 1);
	ectx_value *v;

	if (!text)
		return NULL;
	memcpy(text, p, n);
	text[n] = '\0';
	v = ectx_float(strtod_l(text, NULL, j->plain));
	if (text != small)
		free(text);
	return v;
}

static ectx_value *parse_number(struct parser *j)
{
	const char *from = j->p, *p = from + (*from == '-'), *whole = p;
	bool real = false;
	ectx_value *v;

	p = digits(p, j->end);
	if (p == whole || (*whole == '0' && p - whole > 1))
		return NULL;
	if (p < j->end && *p == '.') {
		real = true;
		if (!digit_at(++p, j->end)) {
			j->p = p;
			return NULL;
		}
		p = digits(p, j->end);
	}
	if (p < j->end && (*p == 'e' || *p == 'E')) {
		real = true;
		p++;
		if (p < j->end && (*p == '+' || *p == '-'))
			p++;
		if (!digit_at(p, j->end)) {
			j->p = p;
			return NULL;
		}
		p = digits(p, j->end);
	}
	v = real ? float_of(j, from, (size_t)(p - from)) : eci_big_parse(from, (size_t)(p - from));
	if (v)
		j->p = p;
	return v;
}

/* ---- text ---- */

static bool hex4(struct parser *j, uint32_t *out)
{
	const char *at;
	unsigned i;

	*out = 0;
	for (i = 0; i < 4; i++, j->p++) {
		static const char hex[] = "0123456789abcdefABCDEF";

		at = j->p < j->end && *j->p ? strchr(hex, *j->p) : NULL;
		if (!at)
			return false;
		*out = *out << 4 | (uint32_t)(at - hex < 16 ? at - hex : at - hex - 6);
	}
	return true;
}

/* After a backslash. */
static bool parse_escape(struct parser *j, struct eci_buf *b)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = j->p < j->end && *j->p ? strchr(from, *j->p) : NULL;
	uint32_t point, low;
	uint8_t out[4];

	if (at) {
		j->p++;
		return eci_buf_append(b, to + (at - from), 1) == 0;
	}
	if (!take(j, 'u') || !hex4(j, &point) || (point >= 0xDC00 && point <= 0xDFFF))
		return false;
	if (point >= 0xD800 && point <= 0xDBFF) {
		if (!take_word(j, "\\u") || !hex4(j, &low) || low < 0xDC00 || low > 0xDFFF)
			return false;
		point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
	}
	return eci_buf_append(b, out, eci_utf8_put(out, point)) == 0;
}

/* The opening quote has been taken. */
static bool parse_chars(struct parser *j, struct eci_buf *b)
{
	const char *plain;
	uint32_t point;
	size_t len;

	for (;;) {
		plain = j->p;
		while (j->p < j->end && *j->p != '"' && *j->p != '\\' && (uint8_t)*j->p >= 0x20) {
			len = eci_utf8_next((const uint8_t *)j->p, (size_t)(j->end - j->p), &point);
			if (len == 0)
				return false;
			j->p += len;
		}
		if (eci_buf_append(b, plain, (size_t)(j->p - plain)))
			return false;
		if (take(j, '"'))
			return true;
		if (!take(j, '\\') || !parse_escape(j, b))
			return false;
	}
}

static ectx_value *parse_text(struct parser *j)
{
	struct eci_buf b = ECI_BUF_NULL;
	ectx_value *v = NULL;

	if (parse_chars(j, &b))
		v = eci_value_new_str(ECTX_TEXT, eci_buf_len(&b) ? eci_buf_data(&b) : NULL, eci_buf_len(&b));
	eci_buf_deinit(&b);
	return v;
}

/* ---- bytes ---- */

/* An object that was read: is it bytes? Returns it, or the bytes in its place, or NULL with the object freed. */
static ectx_value *as_bytes(ectx_value *map)
{
	ectx_value *text, *v = NULL;
	size_t n;

	if (map->map.count != 1 || map->map.pairs[0].key->kind != ECTX_TEXT ||
	    map->map.pairs[0].key->str.len != strlen("$bytes") ||
	    strcmp(map->map.pairs[0].key->str.mem, "$bytes") != 0 || map->map.pairs[0].item->kind != ECTX_TEXT)
		return map;
	text = map->map.pairs[0].item;
	if (eci_base64_read(text->str.mem, text->str.len, &n))
		v = eci_value_new_str(ECTX_BYTES, text->str.mem, n);
	ectx_value_free(map);
	return v;
}

/* ---- containers ---- */

/* Called after an item: true when another follows, false at the close or on an error (*ok tells). */
static bool another(struct parser *j, char close, bool *ok)
{
	skip_space(j);
	if (take(j, ',')) {
		skip_space(j);
		return true;
	}
	*ok = take(j, close);
	return false;
}

static ectx_value *parse_array(struct parser *j, unsigned depth)
{
	ectx_value *v = ectx_array();
	bool ok = v != NULL;

	skip_space(j);
	if (ok && take(j, ']'))
		return v;
	do {
		ok = ok && ectx_array_push(v, parse_value(j, depth + 1));
	} while (ok && another(j, ']', &ok));
	if (ok)
		return v;
	ectx_value_free(v);
	return NULL;
}

static bool parse_pair(struct parser *j, ectx_value *map, unsigned depth)
{
	ectx_value *key;

	if (j->p == j->end || *j->p != '"')
		return false;
	key = parse_value(j, depth + 1);
	skip_space(j);
	if (!key || !take(j, ':')) {
		ectx_value_free(key);
		return false;
	}
	skip_space(j);
	return eci_map_append(map, key, parse_value(j, depth + 1)) == 0;
}

static ectx_value *parse_map(struct parser *j, unsigned depth)
{
	ectx_value *v = ectx_map();
	const char *from = j->p;
	bool ok = v != NULL;

	skip_space(j);
	if (ok && take(j, '}'))
		return v;
	do {
		ok = ok && parse_pair(j, v, depth);
	} while (ok && another(j, '}', &ok));
	if (!ok || eci_map_seal(v) == SIZE_MAX) {
		ectx_value_free(v);
		return NULL;
	}
	v = as_bytes(v);
	if (!v)
		j->p = from;
	return v;
}

static ectx_value *parse_word(struct parser *j)
{
	if (take_word(j, "null"))
		return ectx_null();
	if (take_word(j, "true"))
		return ectx_bool(true);
	if (take_word(j, "false"))
		return ectx_bool(false);
	if (take_word(j, "NaN"))
		return ectx_float((double)NAN);
	if (take_word(j, "Infinity"))
		return ectx_float((double)INFINITY);
	if (take_word(j, "-Infinity"))
		return ectx_float(-(double)INFINITY);
	return NULL;
}

static ectx_value *parse_value(struct parser *j, unsigned depth)
{
	if (j->p == j->end || depth > ECI_CBOR_DEPTH_MAX || j->items == 0)
		return NULL;
	j->items--;
	if (take(j, '{'))
		return parse_map(j, depth);
	if (take(j, '['))
		return parse_array(j, depth);
	if (take(j, '"'))
		return parse_text(j);
	if (digit_at(j->p, j->end) || (*j->p == '-' && digit_at(j->p + 1, j->end)))
		return parse_number(j);
	return parse_word(j);
}

ectx_value *ectx_value_from_json(const char *s, size_t n, size_t *where)
{
	struct parser j = {.start = s, .p = s, .end = s + n, .items = ECI_CBOR_VALUE_ITEMS_MAX};
	ectx_value *v = NULL;

	j.plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (j.plain) {
		skip_space(&j);
		v = parse_value(&j, 1);
		if (v)
			skip_space(&j);
		freelocale(j.plain);
	}
	if (v && j.p != j.end) {
		ectx_value_free(v);
		v = NULL;
	}
	if (where)
		*where = (size_t)(j.p - j.start);
	return v;
}
