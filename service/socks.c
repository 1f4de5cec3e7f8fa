/* SOCKS 5, the server's side.
 *
 * A message is gathered byte by byte until it is whole, because nothing else says where it ends and the connection's
 * own bytes may follow at once; three short messages a connection do not need more speed. Its length is known from its
 * head, and bounded by the lengths' own bytes.
 *
 * A name is passed on as it is: it is resolved at the exit, which is what people use SOCKS for here. */
#include "service/socks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

enum { METHODS, LOGIN, REQUEST, DONE };
enum { NO_AUTH = 0, BY_PASSWORD = 2, NONE_FITS = 255 };
enum { SUCCEEDED = 0, GENERAL = 1, NOT_ALLOWED = 2, NET_UNREACHABLE = 3, HOST_UNREACHABLE = 4, REFUSED = 5, TTL = 6 };
enum { BAD_COMMAND = 7, BAD_ADDRESS = 8 };

void eci_socks_reply(uint8_t out[ECI_SOCKS_REPLY_SIZE], int error)
{
	static const struct {
		int error;
		uint8_t reply;
	} table[] = {{0, SUCCEEDED},
		     {ECONNREFUSED, REFUSED},
		     {ENETUNREACH, NET_UNREACHABLE},
		     {EHOSTUNREACH, HOST_UNREACHABLE},
		     {ETIMEDOUT, TTL},
		     {EACCES, NOT_ALLOWED},
		     {EPERM, NOT_ALLOWED}};
	memcpy(out, "\5\1\0\1\0\0\0\0\0\0", ECI_SOCKS_REPLY_SIZE);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (table[i].error == error)
			out[1] = table[i].reply;
}

static enum eci_socks_step refuse(struct eci_socks *s, const char *why)
{
	s->why = why;
	s->stage = DONE;
	return ECI_SOCKS_REFUSED;
}

static enum eci_socks_step say(struct eci_socks *s, uint8_t version, uint8_t what, int next)
{
	s->out[s->out_len++] = version;
	s->out[s->out_len++] = what;
	s->stage = next;
	return ECI_SOCKS_MORE;
}

static enum eci_socks_step methods(struct eci_socks *s)
{
	uint8_t want = s->user ? BY_PASSWORD : NO_AUTH;
	if (memchr(s->in + 2, want, s->in[1]))
		return say(s, 5, want, s->user ? LOGIN : REQUEST);
	(void)say(s, 5, NONE_FITS, DONE);
	return refuse(s, s->user ? "the client offers no user and password" : "the client insists on authentication");
}

static bool same(const char *wanted, const uint8_t *p, size_t n)
{
	size_t len = strlen(wanted);
	uint8_t differs = len != n; /* in constant time for one length */
	for (size_t i = 0; i < n && i < len; i++)
		differs |= (uint8_t)(p[i] ^ (uint8_t)wanted[i]);
	return !differs;
}

static enum eci_socks_step login(struct eci_socks *s)
{
	size_t user = s->in[1], password = s->in[2 + user];
	bool known = same(s->user, s->in + 2, user), proven = same(s->password, s->in + 3 + user, password);
	if (known && proven)
		return say(s, 1, 0, REQUEST);
	(void)say(s, 1, 1, DONE);
	return refuse(s, "wrong user or password");
}

static enum eci_socks_step answer_refused(struct eci_socks *s, uint8_t reply, const char *why)
{
	uint8_t *out = s->out + s->out_len; /* behind what a client that says all at once was answered before */
	eci_socks_reply(out, -1);
	out[1] = reply;
	s->out_len += ECI_SOCKS_REPLY_SIZE;
	return refuse(s, why);
}

static enum eci_socks_step request(struct eci_socks *s)
{
	const uint8_t *at = s->in + 4;
	if (s->in[1] != 1)
		return answer_refused(s, BAD_COMMAND, "only CONNECT is served");
	if (s->in[3] == 1) {
		(void)inet_ntop(AF_INET, at, s->host, sizeof s->host);
		at += 4;
	} else if (s->in[3] == 4) {
		(void)inet_ntop(AF_INET6, at, s->host, sizeof s->host);
		at += 16;
	} else {
		memcpy(s->host, at + 1, *at);
		s->host[*at] = 0;
		if (!*at || strlen(s->host) != *at)
			return answer_refused(s, BAD_ADDRESS, "a name that is none");
		at += 1 + *at;
	}
	s->port = at[0] << 8 | at[1];
	s->stage = DONE;
	return ECI_SOCKS_CONNECT;
}

/* How long the message is, as far as that is known from what is there: more than s->n, or s->n when it is whole. */
static size_t wanted(const struct eci_socks *s)
{
	const uint8_t *in = s->in;
	if (s->n < 2)
		return 2;
	if (s->stage == METHODS)
		return 2u + in[1];
	if (s->stage == LOGIN)
		return s->n < 3u + in[1] ? 3u + in[1] : 3u + in[1] + in[2 + in[1]];
	if (s->n < 5)
		return 5;
	return in[3] == 1 ? 10 : in[3] == 4 ? 22 : 7u + in[4];
}

static enum eci_socks_step whole(struct eci_socks *s)
{
	s->n = 0;
	if (s->stage == METHODS)
		return methods(s);
	return s->stage == LOGIN ? login(s) : request(s);
}

enum eci_socks_step eci_socks_feed(struct eci_socks *s, const uint8_t *p, size_t n, size_t *used)
{
	enum eci_socks_step step = ECI_SOCKS_MORE;
	*used = 0;
	while (*used < n && step == ECI_SOCKS_MORE) {
		s->in[s->n++] = p[(*used)++];
		if (s->in[0] != (s->stage == LOGIN ? 1 : 5))
			return refuse(s, "not SOCKS 5");
		if (s->stage == REQUEST && s->n == 4 && s->in[3] != 1 && s->in[3] != 3 && s->in[3] != 4)
			return answer_refused(s, BAD_ADDRESS, "an unknown kind of address");
		if (s->n == wanted(s))
			step = whole(s);
	}
	return step;
}
