/* JSON: Python's spelling of numbers, escapes, limits at and past, what is refused and where. */
#include "service/service.h"
#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ectx_value *parse(const char *s, size_t n, size_t *where)
{
	char *exact = malloc(n ? n : 1);
	ectx_value *v;

	memcpy(exact, s, n);
	v = ectx_value_from_json(exact, n, where);
	free(exact);
	return v;
}

/* in is read and printed as out, and out as itself. */
static void expect(const char *in, const char *out)
{
	size_t where;
	ectx_value *v = parse(in, strlen(in), &where), *again;
	char *json;

	cr_assert(v, "%s stops at %zu", in, where);
	json = ectx_value_json(v);
	cr_expect_str_eq(json, out, "%s gives %s", in, json);
	again = parse(json, strlen(json), &where);
	cr_expect(again && ectx_value_equal(v, again), "%s", in);
	free(json);
	ectx_value_free(v);
	ectx_value_free(again);
}

static void refuse(const char *in, size_t at)
{
	size_t where = 99;
	ectx_value *v = parse(in, strlen(in), &where);

	cr_expect_null(v, "%s", in);
	cr_expect_eq(where, at, "%s stops at %zu, not %zu", in, where, at);
	ectx_value_free(v);
}

Test(json, scalars)
{
	static const char *same[] = {"null",     "true",      "false", "0",  "-1", "NaN",
				     "Infinity", "-Infinity", "\"\"",  "[]", "{}"};
	size_t i;

	for (i = 0; i < sizeof(same) / sizeof(*same); i++)
		expect(same[i], same[i]);
	expect(" \t\r\n1 \n", "1");
	expect("-0", "0");
	expect("[1,2 , [ ] ,{ }]", "[1, 2, [], {}]");
	expect("{\"b\":1,\"a\":{\"x\":null}}", "{\"b\": 1, \"a\": {\"x\": null}}");
	expect("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\": 3, \"b\": 2}");
	expect("{\"\":1}", "{\"\": 1}");
}

Test(json, integers)
{
	static const char *same[] = {"9223372036854775807",
				     "9223372036854775808",
				     "18446744073709551615",
				     "18446744073709551616",
				     "-9223372036854775808",
				     "-9223372036854775809",
				     "-18446744073709551616",
				     "-18446744073709551617",
				     "1000000000",
				     "999999999",
				     "1000000000000000000000000000",
				     "123456789012345678901234567890123456789012345678901234567890"};
	size_t i;

	for (i = 0; i < sizeof(same) / sizeof(*same); i++)
		expect(same[i], same[i]);
}

Test(json, floats)
{
	static const char *table[][2] = {{"1.0", "1.0"},
					 {"-1.5", "-1.5"},
					 {"0.0", "0.0"},
					 {"-0.0", "-0.0"},
					 {"1e0", "1.0"},
					 {"1E+2", "100.0"},
					 {"1e15", "1000000000000000.0"},
					 {"1e16", "1e+16"},
					 {"1.5e16", "1.5e+16"},
					 {"9999999999999998.0", "9999999999999998.0"},
					 {"123456789012345680.0", "1.2345678901234568e+17"},
					 {"0.0001", "0.0001"},
					 {"0.00001", "1e-05"},
					 {"0.000123", "0.000123"},
					 {"1.25e-5", "1.25e-05"},
					 {"0.1", "0.1"},
					 {"0.30000000000000004", "0.30000000000000004"},
					 {"1e100", "1e+100"},
					 {"1e-100", "1e-100"},
					 {"1e308", "1e+308"},
					 {"1.7976931348623157e308", "1.7976931348623157e+308"},
					 {"1e309", "Infinity"},
					 {"-1e999", "-Infinity"},
					 {"2.2250738585072014e-308", "2.2250738585072014e-308"},
					 {"2.225073858507201e-308", "2.225073858507201e-308"},
					 {"5e-324", "5e-324"},
					 {"1e-324", "0.0"},
					 {"5.684341886080802e-14", "5.684341886080802e-14"},
					 {"9007199254740993.0", "9007199254740992.0"}};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++)
		expect(table[i][0], table[i][1]);
}

/* Every double reads back from its text, which has no digit too many. */
Test(json, floats_are_shortest)
{
	struct eci_random r = eci_random_open("floats_are_shortest", 17);
	char shorter[40];
	int i, digits;

	for (i = 0; i < 20000; i++) {
		uint64_t bits = eci_random_u64(&r) & (i % 4 ? ~UINT64_C(0) : UINT64_C(0x800fffffffffffff));
		ectx_value *v;
		char *json, *p;
		double d;

		memcpy(&d, &bits, sizeof(d));
		if (!isfinite(d) || d == 0)
			continue;
		v = ectx_float(d);
		json = ectx_value_json(v);
		cr_assert(strtod(json, NULL) == d, "%s", json);
		for (p = json, digits = 0; *p && *p != 'e'; p++)
			if (*p >= '0' && *p <= '9' && (digits || *p != '0'))
				digits++;
		if (strchr(json, 'e') && digits > 1) {
			snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, d);
			cr_assert(strtod(shorter, NULL) != d, "%s and %s", json, shorter);
		}
		free(json);
		ectx_value_free(v);
	}
}

Test(json, locale_with_a_comma)
{
	static const char *names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE"};
	size_t i;

	for (i = 0; i < 3 && !setlocale(LC_ALL, names[i]); i++)
		;
	expect("1.5", "1.5");
	expect("1.5e-7", "1.5e-07");
}

Test(json, text)
{
	expect("\"a\\\"b\\\\c\\/d\\b\\f\\n\\r\\t\"", "\"a\\\"b\\\\c/d\\b\\f\\n\\r\\t\"");
	expect("\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\"", "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
	expect("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
	expect("\"\\u0000\\u001b\x7f\"", "\"\\u0000\\u001b\\u007f\"");
	expect("\"\xc2\x9b\xc2\x85\"", "\"\\u009b\\u0085\"");
	expect("\"\xe2\x80\x8b\xf3\xa0\x81\x81\"", "\"\\u200b\\udb40\\udc41\"");
	expect("\"\xe2\x80\xae\xe2\x81\xa6\xd8\x9c\xe2\x80\xa8\"", "\"\\u202e\\u2066\\u061c\\u2028\"");
	expect("\"\xc2\xa0\"", "\"\xc2\xa0\"");
}

Test(json, bytes)
{
	expect("{\"$bytes\": \"\"}", "{\"$bytes\": \"\"}");
	expect("{\"$bytes\":\"AA==\"}", "{\"$bytes\": \"AA==\"}");
	expect("{\"$bytes\": \"+/8=\"}", "{\"$bytes\": \"+/8=\"}");
	expect("{\"$bytes\": \"YWJj\"}", "{\"$bytes\": \"YWJj\"}");
	expect("[{\"$bytes\": \"YWI=\", \"b\": 1}, {\"$bytes\": 1}]",
	       "[{\"$bytes\": \"YWI=\", \"b\": 1}, {\"$bytes\": 1}]");
	refuse("{\"$bytes\": \"A\"}", 1);
	refuse("{\"$bytes\": \"AA=\"}", 1);
	refuse("{\"$bytes\": \"A===\"}", 1);
	refuse("{\"$bytes\": \"AB==\"}", 1);
	refuse("{\"$bytes\": \"AA=A\"}", 1);
	refuse("{\"$bytes\": \"AA-_\"}", 1);
	refuse("[1, {\"$bytes\": \"AA A\"}]", 5);
}

Test(json, every_length_of_bytes)
{
	uint8_t raw[64];
	size_t n, where, len;
	const uint8_t *p;

	for (n = 0; n < sizeof(raw); n++) {
		ectx_value *v, *again;
		char *json;

		raw[n] = (uint8_t)(n * 37);
		v = ectx_bytes(raw, n);
		json = ectx_value_json(v);
		again = parse(json, strlen(json), &where);
		p = ectx_value_bytes(again, &len);
		cr_expect(len == n && p && memcmp(p, raw, n) == 0);
		ectx_value_free(v);
		ectx_value_free(again);
		free(json);
	}
}

Test(json, keys_that_are_not_text)
{
	ectx_value *m = ectx_map();
	char *json;

	ectx_map_set(m, ectx_int(-1), ectx_null());
	ectx_map_set(m, ectx_float(1), ectx_null());
	ectx_map_set(m, ectx_bool(true), ectx_null());
	ectx_map_set(m, ectx_null(), ectx_null());
	ectx_map_set(m, ectx_bytes("a", 1), ectx_null());
	json = ectx_value_json(m);
	cr_expect_str_eq(json, "{\"-1\": null, \"1.0\": null, \"true\": null, \"null\": null, "
			       "\"{\\\"$bytes\\\": \\\"YQ==\\\"}\": null}");
	free(json);
	ectx_value_free(m);
}

Test(json, refused)
{
	refuse("", 0);
	refuse("  ", 2);
	refuse("nul", 0);
	refuse("nulll", 4);
	refuse("True", 0);
	refuse("01", 0);
	refuse("-", 0);
	refuse("+1", 0);
	refuse("1.", 2);
	refuse(".5", 0);
	refuse("1e", 2);
	refuse("1e+", 3);
	refuse("-NaN", 0);
	refuse("1 2", 2);
	refuse("[1,]", 3);
	refuse("[1 2]", 3);
	refuse("[,1]", 1);
	refuse("[", 1);
	refuse("[1", 2);
	refuse("[1}", 2);
	refuse("{", 1);
	refuse("{1:2}", 1);
	refuse("{\"a\"}", 4);
	refuse("{\"a\":}", 5);
	refuse("{\"a\":1,}", 7);
	refuse("{\"a\" 1}", 5);
	refuse("'a'", 0);
	refuse("\"a", 2);
	refuse("\"\\x\"", 2);
	refuse("\"\\", 2);
	refuse("\"\\u12\"", 5);
	refuse("\"\\u12g4\"", 5);
	refuse("\"\\ud800\"", 7);
	refuse("\"\\udc00\"", 7);
	refuse("\"\\ud800\\u0041\"", 13);
	refuse("\"\\ud800\\ud800\"", 13);
	refuse("\"a\nb\"", 2);
	refuse("\"\x1f\"", 1);
	refuse("\"a\xff\"", 2);
	refuse("\"\xc0\xaf\"", 1);
	refuse("\"\xed\xa0\x80\"", 1);
	refuse("\"\xf4\x90\x80\x80\"", 1);
	refuse("\"\xe2\x82\"", 1);
	refuse("// 1", 0);
}

Test(json, embedded_nul)
{
	size_t where;

	cr_expect_null(parse("1\0", 2, &where));
	cr_expect_eq(where, 1);
	cr_expect_null(parse("\"\\u00\0001\"", 9, &where));
	cr_expect_null(ectx_value_from_json("x", 1, NULL));
}

Test(json, depth)
{
	char text[80];
	size_t where;
	ectx_value *v;

	memset(text, '[', 33);
	memset(text + 33, ']', 33);
	v = parse(text + 1, 64, &where); /* the innermost of 32 is empty */
	cr_expect(v);
	ectx_value_free(v);
	cr_expect_null(parse(text, 66, &where));
	cr_expect_eq(where, 32);
}

static ectx_value *items(size_t n)
{
	char *text = malloc(2 * n + 2);
	size_t i, len = 0, where;
	ectx_value *v;

	text[len++] = '[';
	for (i = 1; i < n; i++) {
		text[len++] = '0';
		text[len++] = ',';
	}
	text[len - 1] = ']';
	v = ectx_value_from_json(text, len, &where);
	free(text);
	return v;
}

Test(json, items)
{
	ectx_value *v = items(1048576);

	cr_assert(v);
	cr_expect_eq(ectx_value_count(v), 1048575);
	ectx_value_free(v);
	cr_expect_null(items(1048577));
}

Test(json, large_integer_limit)
{
	char *text = malloc(9870);
	size_t where;
	ectx_value *v;

	memset(text, '9', 9870);
	v = parse(text, 9864, &where); /* 10^9864 - 1 is below 2^32768 */
	cr_expect(v);
	ectx_value_free(v);
	cr_expect_null(parse(text, 9865, &where));
	cr_expect_null(parse(text, 9866, &where));
	free(text);
}

/* Cut or changed anywhere, a text is read or refused, never worse; what is read prints as what reads the same. */
Test(json, mutations)
{
	static const char seed[] =
		"{\"a\": [1, -2.5e10, true, null, \"x\\u00e9\\n\"], \"$bytes\": {\"$bytes\": \"YWJj\"}}";
	struct eci_random r = eci_random_open("mutations", 23);
	char text[sizeof(seed)];
	size_t n, where;
	int i;

	for (i = 0; i < 30000; i++) {
		ectx_value *v, *again;
		char *json;

		memcpy(text, seed, sizeof(seed));
		n = sizeof(seed) - 1 - (eci_random_below(&r, 3) ? 0 : eci_random_below(&r, sizeof(seed)));
		if (n > 0)
			text[eci_random_below(&r, (uint32_t)n)] = (char)eci_random_below(&r, 256);
		if (n > 0)
			text[eci_random_below(&r, (uint32_t)n)] = seed[eci_random_below(&r, sizeof(seed) - 1)];
		v = parse(text, n, &where);
		cr_assert(where <= n);
		if (!v)
			continue;
		json = ectx_value_json(v);
		again = parse(json, strlen(json), &where);
		cr_assert(ectx_value_equal(v, again), "%s", json);
		free(json);
		ectx_value_free(v);
		ectx_value_free(again);
	}
}

Test(json, a_key_that_only_begins_as_bytes)
{
	const char text[] = "{\"$bytes\\u0000x\": \"AAAA\"}";
	size_t at;
	ectx_value *v = ectx_value_from_json(text, strlen(text), &at);
	cr_assert(v);
	cr_expect(ectx_value_kind(v) == ECTX_MAP);
	ectx_value_free(v);
}
