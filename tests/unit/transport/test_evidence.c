/* Evidence: the ring at its size and one past it, escapes, the lines that are picked; and the table of messages. */
#include "transport/evidence.h"
#include "transport/messages.h"
#include <criterion/criterion.h>
#include <string.h>

static struct eci_tail tail;

static void add(const char *text)
{
	eci_tail_add(&tail, (const uint8_t *)text, strlen(text));
}

Test(tail, keeps_the_last_4096_bytes)
{
	uint8_t in[3 * ECI_EVIDENCE_MAX], out[ECI_EVIDENCE_MAX];
	for (size_t i = 0; i < sizeof in; i++)
		in[i] = (uint8_t)(i % 251);
	static const size_t sizes[] = {0, 1, ECI_EVIDENCE_MAX - 1, ECI_EVIDENCE_MAX, ECI_EVIDENCE_MAX + 1, sizeof in};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (size_t piece = 1; piece < sizeof in; piece = piece * 5 + 1) {
			size_t n = sizes[i], kept = n < ECI_EVIDENCE_MAX ? n : ECI_EVIDENCE_MAX;
			eci_tail_clear(&tail);
			for (size_t at = 0; at < n; at += piece)
				eci_tail_add(&tail, in + at, n - at < piece ? n - at : piece);
			cr_assert_eq(eci_tail_copy(&tail, UINT64_MAX, out), kept);
			cr_assert_arr_eq(out, in + n - kept, kept);
		}
}

Test(tail, copies_the_last_of_it)
{
	uint8_t out[ECI_EVIDENCE_MAX];
	eci_tail_clear(&tail);
	add("one two");
	cr_assert_eq(eci_tail_copy(&tail, 3, out), 3);
	cr_assert_arr_eq(out, "two", 3);
	cr_assert_eq(eci_tail_copy(&tail, 0, out), 0);
}

static void escapes(const char *in, const char *expected)
{
	char out[256];
	size_t n = eci_escape(out, sizeof out, (const uint8_t *)in, strlen(in));
	cr_assert_str_eq(out, expected);
	cr_assert_eq(n, strlen(expected));
}

Test(escape, what_could_do_harm)
{
	escapes("plain \\ text ~", "plain \\ text ~");
	escapes("a\nb\rc\td\x1b[0me\x01\x7f", "a\\x0ab\\x0dc\td\\x1b[0me\\x01\\x7f");
	escapes("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80", "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80");
	escapes("\xc2\x9b"
		"0m \xe2\x80\xae \xe2\x81\xa6 \xef\xbb\xbf",
		"\\u009b0m \\u202e \\u2066 \\ufeff");
	escapes("\x80 \xc0\xaf \xe0\x80\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \xf5\x80 \xff",
		"\\x80 \\xc0\\xaf \\xe0\\x80\\x80 \\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80 \\xf5\\x80 \\xff");
	escapes("cut \xe2\x82", "cut \\xe2\\x82");
}

Test(escape, never_half_an_escape)
{
	for (size_t cap = 1; cap < 12; cap++) {
		char out[16];
		memset(out, '#', sizeof out);
		size_t n = eci_escape(out, cap, (const uint8_t *)"\xff\xff", 2);
		cr_assert_eq(n, (cap - 1) / 4 * 4 > 8 ? 8 : (cap - 1) / 4 * 4);
		cr_assert_eq(out[n], '\0');
		cr_assert_eq(out[cap], '#');
	}
	cr_assert_eq(eci_escape(NULL, 0, (const uint8_t *)"x", 1), 0);
}

static void picks(enum eci_method method, unsigned lines, const char *text, const char *expected)
{
	char out[1600];
	eci_tail_clear(&tail);
	add(text);
	eci_tail_last_lines(&tail, UINT64_MAX, method, lines, out, sizeof out);
	cr_assert_str_eq(out, expected);
}

Test(lines, the_last_that_say_something)
{
	picks(ECI_LOCAL, 2, "", "");
	picks(ECI_LOCAL, 2, "\n\r\n  \n", "");
	picks(ECI_LOCAL, 1, "one\ntwo\nthree", "three");
	picks(ECI_LOCAL, 2, "one\ntwo\r\nthree\r\n\r\n", "two | three");
	picks(ECI_LOCAL, 8, "one\n", "one");
	picks(ECI_SSH, 3, "Authenticated to x\r\nreal words\r\nTransferred: sent 1\r\nBytes per second: sent 1\r\n",
	      "real words");
	picks(ECI_SUDO, 3, "    #1) Respect the privacy of others.\nreal\neconctext\neconext-\n",
	      "real | econctext | econext-");
	picks(ECI_LOCAL, 2, "a\x1b[2Jb\n", "a\\x1b[2Jb");
}

/* Hidden while it is whole: lines are shown by their first 512 bytes, and the ring has 4,096. */
Test(lines, that_say_the_secret)
{
	char out[1600], text[ECI_EVIDENCE_MAX + 1] = "";
	tail.hidden = "hunter2";
	picks(ECI_LOCAL, 3, "got hunter2\nhunter2hunter2, hunter\nhunter2", "got *** | ******, hunter | ***");
	memset(text, 'x', 508);
	strcpy(text + 508, "hunter2\n");
	eci_tail_clear(&tail);
	add(text);
	eci_tail_last_lines(&tail, UINT64_MAX, ECI_LOCAL, 1, out, sizeof out);
	cr_expect_str_eq(out + 506, "xx***");
	for (size_t lost = 1; lost < 7; lost++) {
		eci_tail_clear(&tail);
		add("hunter2");
		memset(text, '\n', sizeof text - 1);
		text[ECI_EVIDENCE_MAX - 7 + lost] = '\0';
		add(text);
		eci_tail_last_lines(&tail, UINT64_MAX, ECI_LOCAL, 1, out, sizeof out);
		cr_expect_str_eq(out, "", "%zu bytes lost: %s", lost, out);
	}
	tail.hidden = "ter\xff";
	picks(ECI_LOCAL, 1, "hunter2 hunter\xff\n", "hunter2 hun***");
	tail.hidden = "hun";
	picks(ECI_LOCAL, 1, "hunter\n", "hunter");
	tail.hidden = NULL;
}

Test(lines, do_not_pass_the_room_there_is)
{
	char out[64];
	eci_tail_clear(&tail);
	for (int i = 0; i < 40; i++)
		add("0123456789\x1b\n");
	for (size_t cap = 1; cap < sizeof out; cap++) {
		memset(out, '#', sizeof out);
		eci_tail_last_lines(&tail, UINT64_MAX, ECI_LOCAL, 8, out, cap);
		cr_assert_lt(strlen(out), cap);
	}
}

Test(messages, patterns)
{
	const struct eci_message *m = eci_message_match(ECI_SU, false, "su: user x y does not exist or so");
	cr_assert_eq(m->code, ECTX_E_BECOME_REFUSED);
	cr_assert_null(eci_message_match(ECI_LOCAL, false, "su: user x does not exist"));
	cr_assert_null(eci_message_match(ECI_SU, false, "not su: user x does not exist"));
	cr_assert_null(eci_message_match(ECI_SSH, false, ""));
	/* Logged in: the words are the remote side's. */
	cr_assert_not_null(eci_message_match(ECI_SSH, false, "ssh: connect to host h port 22: Connection refused"));
	cr_assert_null(eci_message_match(ECI_SSH, true, "ssh: connect to host h port 22: Connection refused"));
	static const char *const lost[] = {
		"client_loop: send disconnect: Broken pipe", "Connection to h closed by remote host.",
		"Read from remote host h: Connection reset by peer", "Timeout, server h not responding."};
	for (size_t i = 0; i < sizeof lost / sizeof *lost; i++)
		cr_expect(strstr(eci_message_match(ECI_SSH, true, lost[i])->hint, "connection was lost"), "%s",
			  lost[i]);
	cr_assert_eq(eci_message_match(ECI_SSH, true, "Transferred: sent 1, received 2")->act, ECI_MSG_CHATTER);
	cr_assert_eq(eci_message_match(ECI_SSH, false, "Authenticated to h")->act, ECI_MSG_LOGIN);
	cr_assert_eq(eci_message_match(ECI_SSH, false, "debug1: Connection refused")->act, ECI_MSG_CHATTER);
}
