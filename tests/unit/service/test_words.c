/* Requests to start something: argv, environment and settings out of a body, in room that is exactly enough. */
#include "core/mem.h"
#include "service/words.h"
#include <criterion/criterion.h>
#include <string.h>

struct request {
	uint32_t number, yes, size[3];
	char **argv, **env, **word;
};

static const struct eci_word words[] = {
	{ECI_FIELD_U32, offsetof(struct request, number)}, {ECI_FIELD_ARGV, offsetof(struct request, argv)},
	{ECI_FIELD_ENV, offsetof(struct request, env)},    {ECI_FIELD_WORD, offsetof(struct request, word)},
	{ECI_FIELD_SIZE, offsetof(struct request, size)},  {ECI_FIELD_BOOL, offsetof(struct request, yes)}};

static struct request got;

/* The body lies in memory of exactly its size, so that a read past it is seen. */
static bool reads(const char *body, size_t n)
{
	uint8_t *exact = eci_mem_alloc(n);
	memcpy(exact, body, n);
	struct eci_cbor c = eci_cbor_open(exact, n);
	got = (struct request){.number = 7, .yes = 7, .size = {7, 7, 7}};
	bool good = eci_words_read(&c, &got, words, sizeof words / sizeof *words);
	eci_mem_free(exact);
	return good;
}

static void drop(void)
{
	eci_mem_free(got.argv);
	eci_mem_free(got.env);
	eci_mem_free(got.word);
}

#define READS(body) reads(body, sizeof(body) - 1)

static void list(char **v, const char *const *due)
{
	cr_assert(v);
	for (; *due; due++, v++)
		cr_expect(*v && !strcmp(*v, *due), "%s, not %s", *v, *due);
	cr_expect_null(*v);
}

Test(words, each_type)
{
	cr_assert(READS("\xA6\x00\x18\x2A\x01\x83\x62ls\x60\x41\xFF\x02\xA2\x61K\x61V\x61L\xF6\x03\x61/"
			"\x04\x82\x18\x18\x18\x50\x05\xF5"));
	cr_expect_eq(got.number, 42);
	list(got.argv, (const char *const[]){"ls", "", "\xFF", NULL});
	list(got.env, (const char *const[]){"K=V", "L", NULL});
	list(got.word, (const char *const[]){"/", NULL});
	cr_expect(got.size[0] == 1 && got.size[1] == 24 && got.size[2] == 80 && got.yes == 1);
	drop();
}

/* What is not there leaves what is there, and so does null where it may be; a key that is not known is passed over. */
Test(words, what_is_not_there)
{
	cr_assert(READS("\xA5\x02\xF6\x03\xF6\x04\xF6\x05\xF6\x06\x81\x01"));
	cr_expect(got.number == 7 && got.yes == 7 && got.size[0] == 7 && !got.env && !got.word && !got.argv);
	/* -1, b"", "", false, true, null, 1.0, 2^64 - 1 */
	cr_assert(READS("\xA8\x20\x00\x40\x80\x60\xA1\x00\x00\xF4\xF6\xF5\x81\x60\xF6\x41x"
			"\xFB\x3F\xF0\x00\x00\x00\x00\x00\x00\x00\x1B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"));
	cr_expect(got.number == 7 && got.yes == 7 && got.size[0] == 7 && !got.env && !got.word && !got.argv);
	cr_assert(READS("\xA2\x02\xA0\x05\xF4"));
	list(got.env, (const char *const[]){NULL});
	cr_expect_eq(got.yes, 0);
	drop();
}

/* An empty word at the end of the body is the least that pays for its NUL. */
Test(words, in_as_little_room_as_there_may_be)
{
	cr_assert(READS("\xA1\x01\x84\x60\x40\x60\x60"));
	list(got.argv, (const char *const[]){"", "", "", "", NULL});
	drop();
	cr_assert(READS("\xA1\x02\xA1\x61K\x60"));
	list(got.env, (const char *const[]){"K=", NULL});
	drop();
}

Test(words, what_does_not_decode)
{
	static const struct {
		const char *body;
		size_t n;
	} bad[] = {{"\x80", 1},
		   {"\xA1\x00\xF6", 3},     /* a number is never null */
		   {"\xA1\x01\xF6", 3},     /* nor is argv */
		   {"\xA1\x01\x80", 3},     /* or empty */
		   {"\xA1\x01\x81\x01", 4}, /* a word that is none */
		   {"\xA1\x01\x81\x62"
		    "a\0",
		    6},
		   {"\xA1\x01\x81\x62\0a", 6},
		   {"\xA1\x01\x98\xFF\x60", 5}, /* more words than bytes */
		   {"\xA1\x01\x82\x60", 4},
		   {"\xA1\x02\xA1\x61K\x01", 6}, /* a value that is none */
		   {"\xA1\x02\xA1\xF6\x61V", 6},
		   {"\xA1\x02\xA1\x60\x61V", 6}, /* a name that is empty, or has a `=` */
		   {"\xA1\x02\xA1\x40\xF6", 5},
		   {"\xA1\x02\xA1\x63"
		    "A=B\x61V",
		    9},
		   {"\xA1\x02\xA1\x62K=\xF6", 7},
		   {"\xA1\x02\xA1\x41=\x61V", 7},
		   {"\xA1\x04\x81\x01", 4}, /* a size is two numbers */
		   {"\xA1\x04\x83\x01\x02\x03", 6},
		   {"\xA1\x04\x82\x01\x61x", 5},
		   {"\xA1\x05\x01", 3}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cr_expect_not(reads(bad[i].body, bad[i].n), "%zu", i);
		drop();
	}
}

extern long eci_test_fail_after;
Test(words, without_memory)
{
	struct eci_cbor c = eci_cbor_open((const uint8_t *)"\x81\x61x", 3);
	eci_test_fail_after = 0;
	cr_expect_null(eci_words_argv(&c));
	eci_test_fail_after = -1;
}

static const char *explain(void *ctx, int err)
{
	return err == 2 ? ctx : "";
}

static void why(const char *what, int err, const char *due, size_t n)
{
	struct eci_buf b = ECI_BUF_NULL;
	char gone[] = "gone";
	eci_words_why(&b, what, explain, gone, err);
	cr_expect(!b.failed && eci_buf_len(&b) == n && !memcmp(eci_buf_data(&b), due, n));
	eci_buf_deinit(&b);
}

/* A program's name may be bytes that no text has: then only why. */
Test(words, why_it_did_not_start)
{
	why("ls", 2, "\x68ls: gone\x02", 10);
	why("l\xFFs", 2, "\x64gone\x02", 6);
	why("ls", -2, "\x71no terminal: gone\x02", 19);
}
