/* SOCKS 5: each message whole, byte by byte and cut in two anywhere has one and the same outcome; what follows a
 * handshake is not touched; strings of 255 bytes; who is refused is told so in the words of RFC 1928 and RFC 1929. */
#include "service/socks.h"
#include "core/buf.h"
#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX 2048
#define AFTER "\5\1\0GET / the connection's own bytes" /* which look like a handshake once more */

struct outcome {
	enum eci_socks_step step;
	size_t used;
	uint8_t out[64];
	size_t out_len;
	char host[256];
	int port;
	char why[80];
};

/* What a server does: feeds what there is, writes what comes. cut: the pieces' ends, ascending, the last one is n. */
static struct outcome play(const char *user, const char *password, const void *in, size_t n, const size_t *cut)
{
	struct outcome o = {.step = ECI_SOCKS_MORE};
	struct eci_socks *s = calloc(1, sizeof *s);
	s->user = user;
	s->password = password;
	while (o.step == ECI_SOCKS_MORE && o.used < n) {
		size_t len = *cut - o.used, used = 99;
		uint8_t *exact = malloc(len + !len);
		memcpy(exact, (const uint8_t *)in + o.used, len);
		o.step = eci_socks_feed(s, exact, len, &used);
		free(exact);
		cr_assert(used <= len && (used == len || o.step != ECI_SOCKS_MORE), "all of a message is taken");
		o.used += used;
		cr_assert(s->out_len <= sizeof s->out && o.out_len + s->out_len <= sizeof o.out);
		memcpy(o.out + o.out_len, s->out, s->out_len);
		o.out_len += s->out_len;
		s->out_len = 0;
		cut++;
	}
	memcpy(o.host, s->host, sizeof o.host);
	o.port = s->port;
	snprintf(o.why, sizeof o.why, "%s", s->why ? s->why : "");
	free(s);
	return o;
}

static bool alike(const struct outcome *a, const struct outcome *b)
{
	return a->step == b->step && a->used == b->used && a->out_len == b->out_len &&
	       !memcmp(a->out, b->out, a->out_len) && !strcmp(a->host, b->host) && a->port == b->port &&
	       !strcmp(a->why, b->why);
}

/* In every way it can be cut; with bytes behind it that are nobody's business here. */
static struct outcome play_all(const char *user, const char *password, const void *in, size_t n)
{
	size_t all = n + sizeof AFTER - 1, *cut = malloc((all + 1) * sizeof *cut);
	uint8_t *with = malloc(all);
	memcpy(with, in, n);
	memcpy(with + n, AFTER, sizeof AFTER - 1);
	struct outcome first = play(user, password, with, n, &n), next = play(user, password, with, all, &all);
	if (first.step == ECI_SOCKS_MORE)
		cr_assert_eq(first.used, n);
	else
		cr_assert(alike(&first, &next), "whole, with bytes behind it: %s, %s", first.why, next.why);
	for (size_t i = 0; i < all; i++)
		cut[i] = i + 1;
	next = play(user, password, with, n, cut);
	cr_assert(alike(&first, &next), "byte by byte: %s, %s", first.why, next.why);
	for (size_t i = 1; i < n; i++) {
		size_t two[2] = {i, n};
		next = play(user, password, with, n, two);
		cr_assert(alike(&first, &next), "cut at %zu", i);
	}
	free(with);
	free(cut);
	return first;
}

static void expect(const struct outcome *o, enum eci_socks_step step, size_t used, const char *out, size_t out_len)
{
	cr_expect_eq(o->step, step, "step %d, not %d (%s)", o->step, step, o->why);
	cr_expect_eq(o->used, used, "%zu bytes taken, not %zu", o->used, used);
	cr_expect(o->out_len == out_len && !memcmp(o->out, out, out_len), "%zu bytes said", o->out_len);
	cr_expect_eq(o->why[0] != 0, step == ECI_SOCKS_REFUSED, "who is refused is told why");
}

#define S(text) (text), sizeof(text) - 1
#define HELLO "\5\1\0"
#define LOGIN "\5\2\0\2\1\4user\6secret"
#define PLAY(in) play_all(NULL, NULL, S(in))
#define PLAY_AUTH(in) play_all("user", "secret", S(in))

Test(socks, addresses)
{
	static const struct {
		const char *in;
		size_t n;
		const char *host;
		int port;
	} table[] = {
		{S("\5\1\0\1\x7f\0\0\1\0\x50"), "127.0.0.1", 80},
		{S("\5\1\0\1\xff\xff\xff\xff\xff\xff"), "255.255.255.255", 65535},
		{S("\5\1\0\1\0\0\0\0\0\0"), "0.0.0.0", 0},
		{S("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x1f\x90"), "::1", 8080},
		{S("\5\1\0\4\x20\x01\x0d\xb8\0\1\0\2\0\3\0\4\0\5\0\6\0\x16"), "2001:db8:1:2:3:4:5:6", 22},
		{S("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1\0\x16"), "::ffff:10.0.0.1", 22},
		{S("\5\1\0\3\1a\0\x16"), "a", 22},
		{S("\5\1\0\3\x0bhost.domain\1\xbb"), "host.domain", 443},
		{S("\5\1\0\3\011127.0.0.1\0\x16"), "127.0.0.1", 22},
		{S("\5\1\0\3\x03::1\0\x16"), "::1", 22},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		uint8_t in[64] = HELLO;
		memcpy(in + 3, table[i].in, table[i].n);
		struct outcome o = play_all(NULL, NULL, in, 3 + table[i].n);
		expect(&o, ECI_SOCKS_CONNECT, 3 + table[i].n, "\5\0", 2);
		cr_expect_str_eq(o.host, table[i].host);
		cr_expect_eq(o.port, table[i].port);
	}
}

Test(socks, names_of_every_length)
{
	for (size_t n = 1; n < 256; n++) {
		uint8_t in[3 + 7 + 255] = HELLO "\5\1\0\3";
		in[7] = (uint8_t)n;
		memset(in + 8, 'n', n);
		memcpy(in + 8 + n, "\x12\x34", 2);
		struct outcome o = play_all(NULL, NULL, in, 10 + n);
		expect(&o, ECI_SOCKS_CONNECT, 10 + n, "\5\0", 2);
		cr_expect_eq(strlen(o.host), n);
		cr_expect_eq(o.port, 0x1234);
	}
}

Test(socks, names_that_are_none)
{
	struct outcome o = PLAY(HELLO "\5\1\0\3\0\0\x16");
	expect(&o, ECI_SOCKS_REFUSED, 10, S("\5\0\5\x08\0\1\0\0\0\0\0\0"));
	o = PLAY(HELLO "\5\1\0\3\5ab\0cd\0\x16");
	expect(&o, ECI_SOCKS_REFUSED, 15, S("\5\0\5\x08\0\1\0\0\0\0\0\0"));
}

/* The client's offers: any number, in any place. */
Test(socks, methods)
{
	struct outcome o = PLAY("\5\1\0");
	expect(&o, ECI_SOCKS_MORE, 3, S("\5\0"));
	o = PLAY("\5\4\1\2\x80\0");
	expect(&o, ECI_SOCKS_MORE, 6, S("\5\0"));
	o = PLAY("\5\0");
	expect(&o, ECI_SOCKS_REFUSED, 2, S("\5\xff"));
	o = PLAY("\5\2\1\2");
	expect(&o, ECI_SOCKS_REFUSED, 4, S("\5\xff"));
	o = PLAY_AUTH("\5\2\0\2");
	expect(&o, ECI_SOCKS_MORE, 4, S("\5\2"));
	o = PLAY_AUTH("\5\2\0\1");
	expect(&o, ECI_SOCKS_REFUSED, 4, S("\5\xff"));
	o = PLAY_AUTH("\5\0");
	expect(&o, ECI_SOCKS_REFUSED, 2, S("\5\xff"));
	uint8_t in[257] = {5, 255};
	for (size_t at = 0; at < 255; at++) {
		memset(in + 2, 0x7f, 255);
		in[2 + at] = 0;
		o = play_all(NULL, NULL, in, sizeof in);
		expect(&o, ECI_SOCKS_MORE, sizeof in, S("\5\0"));
	}
	in[256] = 1;
	o = play_all(NULL, NULL, in, sizeof in);
	expect(&o, ECI_SOCKS_REFUSED, sizeof in, S("\5\xff"));
}

Test(socks, user_and_password)
{
	struct outcome o = PLAY_AUTH(LOGIN);
	expect(&o, ECI_SOCKS_MORE, sizeof LOGIN - 1, S("\5\2\1\0"));
	o = PLAY_AUTH(LOGIN "\5\1\0\1\x7f\0\0\1\0\x50");
	expect(&o, ECI_SOCKS_CONNECT, sizeof LOGIN - 1 + 10, S("\5\2\1\0"));
	cr_expect_str_eq(o.host, "127.0.0.1");
	static const struct {
		const char *in;
		size_t n;
	} wrong[] = {
		{S("\1\4user\6Secret")}, {S("\1\4user\5secre")},   {S("\1\4user\7secret!")}, {S("\1\4usex\6secret")},
		{S("\1\3use\6secret")},  {S("\1\5users\6secret")}, {S("\1\4user\0")},        {S("\1\0\6secret")},
		{S("\1\0\0")},           {S("\1\4user\6secre\0")}, {S("\1\6secret\4user")},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		uint8_t in[64] = "\5\1\2";
		memcpy(in + 3, wrong[i].in, wrong[i].n);
		o = play_all("user", "secret", in, 3 + wrong[i].n);
		expect(&o, ECI_SOCKS_REFUSED, 3 + wrong[i].n, S("\5\2\1\1"));
	}
	o = play_all("user", "", S("\5\1\2\1\4user\0"));
	expect(&o, ECI_SOCKS_MORE, 10, S("\5\2\1\0"));
	o = play_all("", "", S("\5\1\2\1\0\0"));
	expect(&o, ECI_SOCKS_MORE, 6, S("\5\2\1\0"));
}

/* The largest message there is fills the buffer to its last byte; a secret that is longer than any client can say
 * matches nobody, nor does one of which the client knows the first 255 bytes. */
Test(socks, user_and_password_of_255_bytes)
{
	char user[258], password[258];
	uint8_t in[3 + ECI_SOCKS_MESSAGE_MAX] = "\5\1\2\1\xff";
	for (int over = 0; over < 3; over++) {
		memset(user, 'u', sizeof user);
		memset(password, 'p', sizeof password);
		user[255 + (over == 1)] = password[255 + (over == 2)] = 0;
		memcpy(in + 5, user, 255);
		in[260] = 255;
		memcpy(in + 261, password, 255);
		struct outcome o = play_all(user, password, in, sizeof in);
		expect(&o, over ? ECI_SOCKS_REFUSED : ECI_SOCKS_MORE, sizeof in, over ? "\5\2\1\1" : "\5\2\1\0", 4);
	}
}

/* Said at the first byte that shows it, so that a client of something else is not kept waiting. */
Test(socks, versions)
{
	for (int v = 0; v < 256; v++) {
		char first[] = {(char)v, 1, 0}, request[] = {5, 1, 0, (char)v, 1, 0, 1, 127, 0, 0, 1, 0, 80};
		char login[] = {5, 1, 2, (char)v, 1, 'u', 1, 'p'};
		struct outcome o = play_all(NULL, NULL, first, sizeof first);
		expect(&o, v == 5 ? ECI_SOCKS_MORE : ECI_SOCKS_REFUSED, v == 5 ? 3 : 1, "\5\0", v == 5 ? 2 : 0);
		o = play_all(NULL, NULL, request, sizeof request);
		expect(&o, v == 5 ? ECI_SOCKS_CONNECT : ECI_SOCKS_REFUSED, v == 5 ? 13 : 4, "\5\0", 2);
		o = play_all("u", "p", login, sizeof login);
		expect(&o, v == 1 ? ECI_SOCKS_MORE : ECI_SOCKS_REFUSED, v == 1 ? 8 : 4, "\5\2\1\0", v == 1 ? 4 : 2);
	}
}

Test(socks, commands)
{
	for (int command = 0; command < 256; command++) {
		char in[] = {5, 1, 0, 5, (char)command, 0, 1, 127, 0, 0, 1, 0, 80};
		struct outcome o = play_all(NULL, NULL, in, sizeof in);
		bool good = command == 1;
		expect(&o, good ? ECI_SOCKS_CONNECT : ECI_SOCKS_REFUSED, 13, "\5\0\5\7\0\1\0\0\0\0\0\0", good ? 2 : 12);
	}
}

/* How long an address of an unknown kind is nobody knows: it is refused before it. */
Test(socks, kinds_of_address)
{
	for (int kind = 0; kind < 256; kind++) {
		if (kind == 1 || kind == 3 || kind == 4)
			continue;
		char in[] = {5, 1, 0, 5, 1, 0, (char)kind, 127, 0, 0, 1, 0, 80};
		struct outcome o = play_all(NULL, NULL, in, sizeof in);
		expect(&o, ECI_SOCKS_REFUSED, 7, S("\5\0\5\x08\0\1\0\0\0\0\0\0"));
	}
}

/* A client that says everything at once is answered in the same order. */
Test(socks, all_at_once)
{
	static const char in[] = LOGIN "\5\2\0\1\x7f\0\0\1\0\x50";
	size_t n = sizeof in - 1;
	struct outcome o = play("user", "secret", in, n, &n);
	expect(&o, ECI_SOCKS_REFUSED, n, S("\5\2\1\0\5\7\0\1\0\0\0\0\0\0"));
}

Test(socks, replies)
{
	static const struct {
		int error;
		char reply;
	} table[] = {{0, 0},      {-1, 1},    {ECONNREFUSED, 5}, {ENETUNREACH, 3}, {EHOSTUNREACH, 4}, {ETIMEDOUT, 6},
		     {EACCES, 2}, {EPERM, 2}, {EINVAL, 1},       {ENOENT, 1},      {INT32_MAX, 1},    {INT32_MIN, 1}};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		uint8_t out[ECI_SOCKS_REPLY_SIZE], want[] = {5, (uint8_t)table[i].reply, 0, 1, 0, 0, 0, 0, 0, 0};
		eci_socks_reply(out, table[i].error);
		cr_expect_arr_eq(out, want, sizeof out, "errno %d: %d", table[i].error, out[1]);
	}
}

/* Whatever comes: nothing beyond the bytes is read or written, and the handshake ends or wants more. Half of it is a
 * good handshake with a byte changed, which goes further than noise. */
Test(socks, noise)
{
	static const char good[] = LOGIN "\5\1\0\3\x0bhost.domain\1\xbb";
	struct eci_random r = eci_random_open("socks", 3);
	int refused = 0, connected = 0;
	for (int i = 0; i < 200000; i++) {
		uint8_t in[600];
		size_t n = sizeof good - 1;
		memcpy(in, good, n);
		in[eci_random_below(&r, (uint32_t)n)] = (uint8_t)eci_random_u64(&r);
		if (i % 2) {
			n = 1 + eci_random_below(&r, sizeof in);
			for (size_t k = 3; k < n; k++)
				in[k] = (uint8_t)eci_random_u64(&r);
			memcpy(in, i % 4 == 1 ? "\5\1\0\5\1" : "\5\1\2\1\1", n < 5 ? n : 5);
		}
		size_t cut[2] = {1 + eci_random_below(&r, (uint32_t)n), n};
		struct outcome o = play("user", "secret", in, n, cut);
		refused += o.step == ECI_SOCKS_REFUSED;
		connected += o.step == ECI_SOCKS_CONNECT;
		cr_assert(o.used <= n && memchr(o.host, 0, sizeof o.host));
	}
	cr_assert(refused > 100000 && connected > 10000, "%d refused, %d connected", refused, connected);
}
