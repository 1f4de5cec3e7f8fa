/* Calls: how targets are split, the request's bytes, every form of answer. */
#include "service/service.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(call, targets)
{
	static const struct {
		const char *target, *module, *name, *file; /* module NULL: refused */
	} table[] = {
		{"os:getuid", "os", "getuid", NULL},
		{"a.b.c:D.e.f", "a.b.c", "D.e.f", NULL},
		{"./p.py:main", "./p", "main", "./p.py"},
		{"x/y.z/p_1.py:C.m", "./p_1", "C.m", "x/y.z/p_1.py"},
		{"/abs/p.py:f", "./p", "f", "/abs/p.py"},
		{"../a:b/p.py:f", "./p", "f", "../a:b/p.py"},
		{"\xc3\xa9:\xc3\xa9", "\xc3\xa9", "\xc3\xa9", NULL},
		{"", NULL, NULL, NULL},
		{":", NULL, NULL, NULL},
		{"os", NULL, NULL, NULL},
		{"os:", NULL, NULL, NULL},
		{":f", NULL, NULL, NULL},
		{"os.:f", NULL, NULL, NULL},
		{".os:f", NULL, NULL, NULL},
		{"o s:f", NULL, NULL, NULL},
		{"os:f()", NULL, NULL, NULL},
		{"os:f.", NULL, NULL, NULL},
		{"os:1f", NULL, NULL, NULL},
		{"a:b:c", NULL, NULL, NULL},
		{"os:a/b", NULL, NULL, NULL},
		{"p.py:f", NULL, NULL, NULL},
		{"./p:f", NULL, NULL, NULL},
		{"./.py:f", NULL, NULL, NULL},
		{"./a-b.py:f", NULL, NULL, NULL},
		{"./a.b.py:f", NULL, NULL, NULL},
		{"./1.py:f", NULL, NULL, NULL},
		{"./p.py:", NULL, NULL, NULL},
		{"./:f", NULL, NULL, NULL},
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct eci_fail fail = {.code = ECTX_E_NONE};
		char *module, *name, *file;
		int rc = eci_call_parse(table[i].target, &module, &name, &file, &fail);

		if (!table[i].module) {
			cr_expect(rc == -1 && !module && !name && !file, "%s", table[i].target);
			cr_expect_eq(fail.code, ECTX_E_BAD_ARGUMENT, "%s", table[i].target);
			cr_expect(fail.hint[0]);
			continue;
		}
		cr_assert_eq(rc, 0, "%s", table[i].target);
		cr_expect_str_eq(module, table[i].module);
		cr_expect_str_eq(name, table[i].name);
		cr_expect_eq(file != NULL, table[i].file != NULL, "%s", table[i].target);
		if (file && table[i].file)
			cr_expect_str_eq(file, table[i].file);
		free(module);
		free(name);
		free(file);
	}
}

Test(call, evidence_is_escaped)
{
	struct eci_fail fail;
	char *module, *name, *file;

	cr_assert_eq(eci_call_parse("a\x1b]0;x\x07", &module, &name, &file, &fail), -1);
	cr_expect_str_eq(fail.saw, "a\\x1b]0;x\\x07");
}

/* 1,023 bytes of a target that cannot be one are quoted; of a longer one what is said has that length. */
Test(call, a_target_is_quoted_up_to_a_length)
{
	static char target[1025];
	struct eci_fail fail;
	char *module, *name, *file;

	memset(target, 'x', sizeof(target) - 1);
	target[1023] = '\0';
	cr_assert_eq(eci_call_parse(target, &module, &name, &file, &fail), -1);
	cr_expect_str_eq(fail.saw, target);
	target[1023] = 'x';
	cr_assert_eq(eci_call_parse(target, &module, &name, &file, &fail), -1);
	cr_expect(strlen(fail.saw) == 1023 && !strcmp(fail.saw + 1020, "..."), "%zu", strlen(fail.saw));
}

Test(call, request)
{
	struct eci_buf b = ECI_BUF_NULL;
	ectx_value *args = ectx_array_push(ectx_array(), ectx_int(1));
	ectx_value *kwargs = ectx_map_put(ectx_map(), "k", ectx_null());

	cr_assert_eq(eci_call_encode(&b, "m", "f", NULL, NULL), 0);
	cr_expect(eci_buf_len(&b) == 7 && memcmp(eci_buf_data(&b),
						 "\x84\x61m\x61"
						 "f\x80\xa0",
						 7) == 0);
	eci_buf_clear(&b);
	cr_assert_eq(eci_call_encode(&b, "m", "f", args, kwargs), 0);
	cr_expect(eci_buf_len(&b) == 11 && memcmp(eci_buf_data(&b),
						  "\x84\x61m\x61"
						  "f\x81\x01\xa1\x61k\xf6",
						  11) == 0);
	b.failed = true;
	cr_expect_eq(eci_call_encode(&b, "m", "f", args, kwargs), -1);
	eci_buf_deinit(&b);
	ectx_value_free(args);
	ectx_value_free(kwargs);
}

/* As deep as `levels` arrays go; owned by the caller. */
static ectx_value *nested(int levels)
{
	ectx_value *v = ectx_int(1);

	for (; levels > 0; levels--)
		v = ectx_array_push(ectx_array(), v);
	return v;
}

static int encoded(const ectx_value *args, const ectx_value *kwargs)
{
	struct eci_buf b = ECI_BUF_NULL;
	int rc = eci_call_encode(&b, "m", "f", args, kwargs);

	eci_buf_deinit(&b);
	return rc;
}

/* Who does not look at what ectx_array_push() returns called with the arguments behind that in its place. */
Test(call, arguments_that_lack_something)
{
	ectx_value *whole = ectx_array_push(ectx_array(), ectx_int(1)), *array = ectx_array(), *map = ectx_map();
	ectx_value *copy, *around;

	cr_expect_eq(encoded(whole, map), 0);
	cr_expect_null(ectx_array_push(array, ectx_text("caf\xe9")));
	cr_expect_eq(ectx_array_push(array, ectx_int(1)), array);
	cr_expect_eq(encoded(array, NULL), -1);
	copy = ectx_value_copy(array);
	cr_expect(copy && encoded(copy, NULL) == -1);
	around = ectx_array_push(ectx_array(), copy);
	cr_expect(around && encoded(around, NULL) == -1);
	cr_expect_null(ectx_map_put(map, "a", ectx_text("\xff")));
	cr_expect_eq(ectx_map_put(map, "b", ectx_int(1)), map);
	cr_expect_eq(encoded(whole, map), -1);
	copy = ectx_value_copy(map);
	cr_expect(copy && encoded(whole, copy) == -1);
	ectx_value_free(copy);
	ectx_value_free(around);
	ectx_value_free(map);
	ectx_value_free(array);
	ectx_value_free(whole);
}

/* Said here: the other end would call it a breach of the protocol, or spread a text into letters. */
Test(call, arguments_that_no_call_can_have)
{
	ectx_value *text = ectx_text("abc"), *array = ectx_array(), *map = ectx_map();
	ectx_value *number = ectx_map_set(ectx_map(), ectx_int(1), ectx_int(2));
	ectx_value *deepest = nested(30), *deeper = nested(31), *many = ectx_array();
	const struct {
		const ectx_value *args, *kwargs;
		int rc;
	} table[] = {{array, map, 0},    {text, NULL, -1},   {map, NULL, -1},    {NULL, array, -1}, {NULL, text, -1},
		     {NULL, number, -1}, {deepest, NULL, 0}, {deeper, NULL, -1}, {many, NULL, -1}};

	for (int i = 0; i < 1048576; i++)
		cr_assert(ectx_array_push(many, ectx_null()));
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct eci_buf b = ECI_BUF_NULL;

		cr_expect_eq(eci_call_encode(&b, "m", "f", table[i].args, table[i].kwargs), table[i].rc, "%zu", i);
		eci_buf_deinit(&b);
	}
	ectx_value_free(text);
	ectx_value_free(array);
	ectx_value_free(map);
	ectx_value_free(number);
	ectx_value_free(deepest);
	ectx_value_free(deeper);
	ectx_value_free(many);
}

/* A key as Python writes it, in JSON's words where they differ. */
static ectx_value *key_of(const char *text)
{
	if (strpbrk(text, ".ae") && !strchr("tfn", *text))
		return ectx_float(strtod(text, NULL));
	if (!strcmp(text, "nan") || !strcmp(text, "inf"))
		return ectx_float(strtod(text, NULL));
	ectx_value *v = ectx_value_from_json(text, strlen(text), NULL);
	cr_assert(v, "%s", text);
	return v;
}

/* Whether a call takes a map with these keys, below an array and a map, in either order. */
static bool taken(const char *one, const char *other)
{
	struct eci_buf b = ECI_BUF_NULL;
	int rc[2];

	for (int i = 0; i < 2; i++) {
		ectx_value *m = ectx_map_set(ectx_map(), key_of(i ? one : other), ectx_null());

		m = ectx_map_put(ectx_map(), "in", ectx_map_set(m, key_of(i ? other : one), ectx_null()));
		m = ectx_array_push(ectx_array(), m);
		rc[i] = eci_call_encode(&b, "m", "f", m, NULL);
		ectx_value_free(m);
	}
	eci_buf_deinit(&b);
	cr_expect_eq(rc[0], rc[1]);
	return rc[0] == 0;
}

/* In Python they are one key; the agent would call a dict with fewer items than it was sent a breach of the protocol.
 */
Test(call, keys_that_are_one_in_python)
{
	static const char *const one[][2] = {
		{"1", "true"},
		{"0", "false"},
		{"1", "1.0"},
		{"true", "1.0"},
		{"false", "0.0"},
		{"false", "-0.0"},
		{"0", "-0.0"},
		{"0.0", "-0.0"},
		{"-1", "-1.0"},
		{"9007199254740992", "9007199254740992.0"},
		{"18446744073709549568", "18446744073709549568.0"},
		{"-18446744073709551616", "-18446744073709551616.0"},
		{"-9223372036854775808", "-9223372036854775808.0"},
	};
	static const char *const two[][2] = {
		{"1", "false"},
		{"0", "true"},
		{"true", "false"},
		{"1", "1.5"},
		{"2", "true"},
		{"1", "-1.0"},
		{"-1", "true"},
		{"9007199254740993", "9007199254740992.0"},
		{"18446744073709551615", "18446744073709551616.0"},
		{"-18446744073709551615", "-18446744073709551616.0"},
		{"0", "nan"},
		{"0", "inf"},
		{"1", "null"},
		{"-18446744073709551616", "-36893488147419103232.0"},
		{"false", "null"},
		{"0", "5e-324"},
	};

	for (size_t i = 0; i < sizeof(one) / sizeof(*one); i++)
		cr_expect(!taken(one[i][0], one[i][1]), "%s %s", one[i][0], one[i][1]);
	for (size_t i = 0; i < sizeof(two) / sizeof(*two); i++)
		cr_expect(taken(two[i][0], two[i][1]), "%s %s", two[i][0], two[i][1]);
}

static int decode(const char *bytes, size_t n, ectx_value **value, struct eci_fail *fail, char **detail)
{
	uint8_t *exact = malloc(n ? n : 1);
	int rc;

	memcpy(exact, bytes, n);
	rc = eci_call_decode(exact, n, value, fail, detail);
	free(exact);
	return rc;
}

Test(call, value_answers)
{
	struct eci_fail fail;
	ectx_value *v;
	char *detail;
	int64_t n;

	cr_assert_eq(decode("\x82\x00\x18\x2a", 4, &v, &fail, &detail), 0);
	cr_expect(ectx_value_int(v, &n) && n == 42 && !detail);
	ectx_value_free(v);
	cr_assert_eq(decode("\x83\x00\xf6\x01", 4, &v, &fail, &detail), 0, "items that are not known yet");
	cr_expect_eq(ectx_value_kind(v), ECTX_NULL);
	ectx_value_free(v);
}

static size_t raised(struct eci_buf *b, const char *type, const char *message, const char *trace, uint64_t kind)
{
	eci_buf_clear(b);
	eci_cbor_put_array(b, 5);
	eci_cbor_put_uint(b, 1);
	eci_cbor_put_str(b, type);
	eci_cbor_put_str(b, message);
	eci_cbor_put_str(b, trace);
	eci_cbor_put_uint(b, kind);
	return eci_buf_len(b);
}

Test(call, raised_answers)
{
	static const enum ectx_code codes[] = {ECTX_E_EXCEPTION, ECTX_E_CANNOT_TRAVEL, ECTX_E_NOT_FOUND,
					       ECTX_E_EXCEPTION};
	struct eci_buf b = ECI_BUF_NULL;
	struct eci_fail fail;
	ectx_value *v;
	char *detail, *large;
	uint64_t kind;
	size_t n;

	for (kind = 0; kind < 4; kind++) {
		n = raised(&b, "m.E", "no \x1b[31m\nluck", "Traceback\n  x\n", kind);
		cr_assert_eq(eci_call_decode(eci_buf_data(&b), n, &v, &fail, &detail), 1);
		cr_expect(!v && fail.phase == ECTX_PHASE_CALL && fail.code == codes[kind]);
		cr_expect_str_eq(fail.saw, "m.E: no \\x1b[31m\\x0aluck");
		cr_expect_str_eq(detail, "Traceback\n  x\n");
		free(detail);
	}
	n = raised(&b, "ValueError", "", "", 0);
	cr_assert_eq(eci_call_decode(eci_buf_data(&b), n, &v, &fail, &detail), 1);
	cr_expect_str_eq(fail.saw, "ValueError");
	cr_expect_null(detail);
	n = raised(&b, "ValueError", "<type 'list'> cannot travel: ", "", 1);
	cr_assert_eq(eci_call_decode(eci_buf_data(&b), n, &v, &fail, &detail), 1);
	cr_expect_str_eq(fail.saw,
			 "ValueError: <type 'list'> cannot travel: a list or dict as a key, or more than 64 MiB, "
			 "1,048,576 items, 32 levels or 4,096 bytes of an integer");
	cr_expect_null(detail);
	n = raised(&b, "ValueError", "<class 'object'> cannot travel: x",
		   "Traceback\n  File \"<string>\", line 21, in ae\n    x()\n  [Previous line repeated 9 more times]\n"
		   "ValueError: x\n",
		   1);
	cr_assert_eq(eci_call_decode(eci_buf_data(&b), n, &v, &fail, &detail), 1);
	cr_expect_null(detail, "only the agent's own frames");
	n = raised(&b, "KeyError", "<class 'm.D'> cannot travel: x",
		   "Traceback\n  File \"<string>\", line 21, in ae\n  File \"econtext:/m.py\", line 3, in items\n"
		   "    raise KeyError\nKeyError: x",
		   1);
	cr_assert_eq(eci_call_decode(eci_buf_data(&b), n, &v, &fail, &detail), 1);
	cr_expect_str_eq(detail,
			 "Traceback\n  File \"econtext:/m.py\", line 3, in items\n    raise KeyError\nKeyError: x");
	free(detail);
	for (kind = 0; kind < 2; kind++) {
		n = raised(&b, "UnicodeEncodeError", "'utf-8' codec can't encode: surrogates not allowed", "", kind);
		cr_assert_eq(eci_call_decode(eci_buf_data(&b), n, &v, &fail, &detail), 1);
		cr_expect_str_eq(fail.hint, "text that is not UTF-8, as a file's name may be: os.fsencode() makes it "
					    "bytes, which travel");
		n = raised(&b, "ValueError", "surrogates not allowed.", "", kind);
		cr_assert_eq(eci_call_decode(eci_buf_data(&b), n, &v, &fail, &detail), 1);
		cr_expect_str_empty(fail.hint);
	}
	large = malloc(16385);
	memset(large, 'x', 16384);
	large[16384] = '\0';
	n = raised(&b, large, large, large, 0);
	cr_assert_eq(eci_call_decode(eci_buf_data(&b), n, &v, &fail, &detail), 1);
	cr_expect_eq(strlen(fail.saw), sizeof(fail.saw) - 1);
	cr_expect_str_eq(fail.saw + sizeof(fail.saw) - 4, "...");
	cr_expect_eq(strlen(detail), 16384);
	free(detail);
	free(large);
	eci_buf_deinit(&b);
}

/* A Python dict can have several keys that are NaN, and its agent finds that the answer is sound. */
Test(call, a_key_that_comes_twice_cannot_travel)
{
	static const char nan[] = "\x82\x00\xA2\xFB\x7F\xF8\0\0\0\0\0\0\x01\xFB\x7F\xF8\0\0\0\0\0\0\x02";
	struct eci_fail fail;
	ectx_value *v;
	char *detail;
	cr_assert_eq(decode(nan, sizeof nan - 1, &v, &fail, &detail), 1);
	cr_expect(!v && !detail && fail.phase == ECTX_PHASE_CALL && fail.code == ECTX_E_CANNOT_TRAVEL);
	cr_expect_str_eq(fail.saw, "a map key occurs twice, as NaN may in a dict");
}

Test(call, malformed_answers)
{
	static const struct {
		const char *bytes;
		size_t n;
	} table[] = {
		{"", 0},
		{"\x00", 1},
		{"\x80", 1},
		{"\x81\x00", 2},
		{"\x82\x02\x00", 3},
		{"\x82\x20\x00", 3},
		{"\x82\xf4\x00", 3},
		{"\x82\x00\x00\x00", 4},
		{"\x82\x00", 2},
		{"\x82\x01\x60", 3},
		{"\x84\x01\x60\x60\x60", 5},
		{"\x85\x01\x40\x60\x60\x00", 6},
		{"\x85\x01\x60\x60\x60\x20", 6},
		{"\x85\x01\x60\x60\xf6\x00", 6},
		{"\xa1\x00\x00", 3},
		{"\x82\x00\x61\xff", 4},
	};
	struct eci_fail fail;
	ectx_value *v;
	char *detail;
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++) {
		cr_expect_eq(decode(table[i].bytes, table[i].n, &v, &fail, &detail), -1, "%zu", i);
		cr_expect(!v && !detail);
	}
}
