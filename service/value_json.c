/* Values as one line of JSON, in Python's spelling: ", " and ": " between, True floats ("1.0", "1e+16"), NaN and
 * Infinity bare. It goes to terminals and logs, so characters that act there are escaped even where JSON would let them
 * pass; all others stay UTF-8.
 *
 * Floats. The shortest text that reads back as the same double: 15 digits are always exact decimal-to-decimal, so when
 * they read back, they without their trailing zeros are the shortest; else 16, else 17. Subnormal numbers have fewer
 * exact digits and are tried from one digit on. At powers of two the interval that reads back is lopsided, and of 16
 * digits the neighbour of the rounded text may read back where the rounded one does not; it is tried too. printf and
 * strtod follow the thread's locale, which is set to "C" around the whole text.
 *
 * JSON has text keys only: another key is written as its own JSON text, in quotes. That is for reading and does not
 * come back as the same key. */
#include "core/mem.h"
#include "service/service.h"
#include "core/text.h"
#include "service/value_impl.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17 /* always enough for a double */

static int write_value(struct eci_buf *b, const ectx_value *v, unsigned depth);

/* ---- floats ---- */

/* Digits of d > 0, rounded to `count` of them; *exponent is that of the first. False: they do not read back as d. */
static bool rounded(double d, int count, char digits[DIGITS_MAX + 1], int *exponent)
{
	char text[40];
	int i, n = 0;

	snprintf(text, sizeof(text), "%.*e", count - 1, d);
	for (i = 0; text[i] != 'e'; i++)
		if (text[i] != '.')
			digits[n++] = text[i];
	digits[n] = '\0';
	*exponent = (int)strtol(text + i + 1, NULL, 10);
	return strtod(text, NULL) == d;
}

/* The last digit moved by one towards 0 or away from it, where that needs no carry. */
static bool neighbour(double d, int by, char *digits, int exponent)
{
	size_t n = strlen(digits);
	char text[40], last = (char)(digits[n - 1] + by);

	if (last < '0' || last > '9')
		return false;
	snprintf(text, sizeof(text), "%c.%.*s%ce%d", digits[0], (int)n - 2, digits + 1, last, exponent);
	if (strtod(text, NULL) != d)
		return false;
	digits[n - 1] = last;
	return true;
}

static void shortest(double d, char digits[DIGITS_MAX + 1], int *exponent)
{
	int count = d < DBL_MIN ? 1 : DBL_DIG;
	size_t n;

	for (; count < DIGITS_MAX && !rounded(d, count, digits, exponent); count++)
		if (count == DIGITS_MAX - 1 &&
		    (neighbour(d, 1, digits, *exponent) || neighbour(d, -1, digits, *exponent)))
			break;
	if (count == DIGITS_MAX)
		rounded(d, DIGITS_MAX, digits, exponent);
	for (n = strlen(digits); n > 1 && digits[n - 1] == '0'; n--)
		digits[n - 1] = '\0';
}

static void write_float(struct eci_buf *b, double d)
{
	char digits[DIGITS_MAX + 1], text[48];
	int exponent, n, i, len = 0;

	if (isnan(d)) {
		eci_buf_puts(b, "NaN");
		return;
	}
	if (signbit(d))
		eci_buf_puts(b, "-");
	d = fabs(d);
	if (isinf(d) || d == 0) {
		eci_buf_puts(b, d == 0 ? "0.0" : "Infinity");
		return;
	}
	shortest(d, digits, &exponent);
	n = (int)strlen(digits);
	if (exponent < -4 || exponent >= 16) {
		len = snprintf(text, sizeof(text), "%c%s%se%c%02d", digits[0], n > 1 ? "." : "", digits + 1,
			       exponent < 0 ? '-' : '+', abs(exponent));
	} else if (exponent < 0) {
		len = snprintf(text, sizeof(text), "0.%.*s%s", -1 - exponent, "0000", digits);
	} else {
		for (i = 0; i < n || i <= exponent + 1; i++) {
			if (i == exponent + 1)
				text[len++] = '.';
			text[len++] = i < n ? digits[i] : '0';
		}
	}
	eci_buf_append(b, text, (size_t)len);
}

/* ---- text and bytes ---- */

static void write_escaped(struct eci_buf *b, uint32_t point)
{
	static const char names[] = "\bb\ff\nn\rr\tt\"\"\\\\";
	char text[16];
	size_t i;

	for (i = 0; i + 1 < sizeof(names); i += 2)
		if ((uint32_t)names[i] == point) {
			eci_buf_puts(b, "\\");
			eci_buf_append(b, names + i + 1, 1);
			return;
		}
	if (point > 0xFFFF) {
		snprintf(text, sizeof(text), "\\u%04x", (unsigned)(0xD7C0 + (point >> 10)));
		eci_buf_puts(b, text);
		point = 0xDC00 | (point & 0x3FF);
	}
	snprintf(text, sizeof(text), "\\u%04x", (unsigned)point);
	eci_buf_puts(b, text);
}

static void write_text(struct eci_buf *b, const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t at = 0, plain = 0, len; /* [plain, at) is still to be copied */
	uint32_t point = 0;

	eci_buf_puts(b, "\"");
	while (at < n && (len = eci_utf8_next(p + at, n - at, &point)) > 0) {
		if (eci_char_acts(point) || point == '"' || point == '\\') {
			eci_buf_append(b, p + plain, at - plain);
			write_escaped(b, point);
			plain = at + len;
		}
		at += len;
	}
	eci_buf_append(b, p + plain, at - plain);
	eci_buf_puts(b, "\"");
}

/* ---- the tree ---- */

static int write_key(struct eci_buf *b, const ectx_value *key, unsigned depth)
{
	struct eci_buf text = ECI_BUF_NULL;
	int rc = 0;

	if (key->kind == ECTX_TEXT) {
		write_text(b, key->str.mem, key->str.len);
		return 0;
	}
	rc = write_value(&text, key, depth);
	if (rc == 0)
		write_text(b, (const char *)eci_buf_data(&text), eci_buf_len(&text));
	eci_buf_deinit(&text);
	return rc;
}

static int write_items(struct eci_buf *b, const ectx_value *v, unsigned depth)
{
	size_t i;

	eci_buf_puts(b, "[");
	for (i = 0; i < v->array.count; i++) {
		if (i)
			eci_buf_puts(b, ", ");
		if (write_value(b, v->array.items[i], depth + 1))
			return -1;
	}
	return eci_buf_puts(b, "]");
}

static int write_pairs(struct eci_buf *b, const ectx_value *v, unsigned depth)
{
	size_t i;

	eci_buf_puts(b, "{");
	for (i = 0; i < v->map.count; i++) {
		if (i)
			eci_buf_puts(b, ", ");
		if (write_key(b, v->map.pairs[i].key, depth + 1))
			return -1;
		eci_buf_puts(b, ": ");
		if (write_value(b, v->map.pairs[i].item, depth + 1))
			return -1;
	}
	return eci_buf_puts(b, "}");
}

static void write_int(struct eci_buf *b, const ectx_value *v)
{
	char text[24];

	if (v->flag)
		snprintf(text, sizeof(text), "%" PRId64, -1 - (int64_t)v->number);
	else
		snprintf(text, sizeof(text), "%" PRIu64, v->number);
	eci_buf_puts(b, text);
}

static int write_value(struct eci_buf *b, const ectx_value *v, unsigned depth)
{
	if (depth > ECI_CBOR_DEPTH_MAX || b->failed)
		return -1;
	switch (v->kind) {
	case ECTX_NULL:
		return eci_buf_puts(b, "null");
	case ECTX_BOOL:
		return eci_buf_puts(b, v->flag ? "true" : "false");
	case ECTX_INT:
		write_int(b, v);
		break;
	case ECTX_BIGINT:
		return eci_big_print(b, v);
	case ECTX_FLOAT:
		write_float(b, v->real);
		break;
	case ECTX_TEXT:
		write_text(b, v->str.mem, v->str.len);
		break;
	case ECTX_BYTES:
		eci_buf_puts(b, "{\"$bytes\": \"");
		eci_base64_write(b, (const uint8_t *)v->str.mem, v->str.len);
		return eci_buf_puts(b, "\"}");
	case ECTX_ARRAY:
		return write_items(b, v, depth);
	case ECTX_MAP:
		return write_pairs(b, v, depth);
	}
	return b->failed ? -1 : 0;
}

char *ectx_value_json(const ectx_value *v)
{
	const ectx_value null = {.kind = ECTX_NULL};
	struct eci_buf b = ECI_BUF_NULL;
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0), before;
	char *out = NULL;

	if (!plain)
		return NULL;
	before = uselocale(plain);
	/* The buffer's memory comes from a hook; the caller was promised malloc's. */
	if (write_value(&b, v ? v : &null, 1) == 0 && (out = malloc(eci_buf_len(&b) + 1))) {
		memcpy(out, eci_buf_data(&b), eci_buf_len(&b));
		out[eci_buf_len(&b)] = '\0';
	}
	eci_buf_deinit(&b);
	uselocale(before);
	freelocale(plain);
	return out;
}
