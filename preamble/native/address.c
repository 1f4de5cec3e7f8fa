/* Socket addresses without a library: numbers in, numbers out. Names are not for us (mesh/open.c asks the host). */
#include "preamble/native/sockets.h"

enum { AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10 };

long native_number(const char **p, const char *end, unsigned base, long max)
{
	long v = -1;
	for (; *p < end; ++*p) {
		unsigned c = (unsigned char)**p;
		unsigned d = c - '0' < 10u ? c - '0' : (c | 32) - 'a' + 10;
		if (d >= base)
			break;
		v = (v < 0 ? 0 : v) * (long)base + (long)d;
		if (v > max)
			return -1;
	}
	return v;
}

static bool ipv4(uint8_t out[4], const char *p, const char *end)
{
	for (int i = 0; i < 4; i++) {
		long v = native_number(&p, end, 10, 255);
		if (v < 0 || (i < 3 && (p == end || *p++ != '.')))
			return false;
		out[i] = (uint8_t)v;
	}
	return p == end;
}

/* RFC 4291, 2.2: groups, one "::", an IPv4 address as the tail. */
static bool ipv6(uint8_t out[16], const char *p, const char *end)
{
	int n = 0, gap = -1;
	memset(out, 0, 16);
	if (end - p >= 2 && p[0] == ':' && p[1] == ':') {
		gap = 0;
		p += 2;
	}
	while (p < end && n < 16) {
		if (n <= 12 && ipv4(out + n, p, end)) {
			n += 4;
			p = end;
			break;
		}
		long v = native_number(&p, end, 16, 0xFFFF);
		if (v < 0)
			return false;
		out[n++] = (uint8_t)(v >> 8);
		out[n++] = (uint8_t)v;
		if (p == end)
			break;
		if (*p++ != ':' || p == end)
			return false;
		if (*p == ':') {
			if (gap >= 0)
				return false;
			gap = n;
			p++;
		}
	}
	if (p != end || (gap < 0 ? n != 16 : n == 16))
		return false;
	for (int i = 1; gap >= 0 && i <= n - gap; i++) {
		out[16 - i] = out[n - i];
		out[n - i] = 0;
	}
	return true;
}

bool native_address_tcp(struct native_address *a, const char *host, size_t n, unsigned port)
{
	memset(a, 0, sizeof *a);
	a->bytes[2] = (uint8_t)(port >> 8);
	a->bytes[3] = (uint8_t)port;
	if (!n) {
		host = "127.0.0.1";
		n = 9;
	}
	a->family = AF_INET;
	a->len = 16;
	if (ipv4(a->bytes + 4, host, host + n))
		return true;
	a->family = AF_INET6;
	a->len = 28;
	return ipv6(a->bytes + 8, host, host + n);
}

bool native_address_unix(struct native_address *a, const char *path, size_t n)
{
	memset(a, 0, sizeof *a);
	if (!n || n > 107)
		return false;
	a->family = AF_UNIX;
	memcpy(a->bytes + 2, path, n);
	a->len = (unsigned)(2 + n + (path[0] != '@'));
	if (path[0] == '@')
		a->bytes[2] = 0;
	return true;
}

/* A tenth by multiplication: not all of these processors divide. */
char *native_digits(char *to, uint32_t v, bool hex)
{
	uint32_t rest = hex ? v >> 4 : (uint32_t)(v * (uint64_t)0xCCCCCCCD >> 35);
	if (rest)
		to = native_digits(to, rest, hex);
	*to++ = "0123456789abcdef"[v - rest * (hex ? 16 : 10)];
	return to;
}

size_t native_address_text(const struct native_address *a, char out[NATIVE_ADDRESS_TEXT])
{
	char *to = out;
	if (a->family == AF_INET) {
		for (int i = 0; i < 4; i++) {
			to = native_digits(to, a->bytes[4 + i], false);
			*to++ = i < 3 ? '.' : ' ';
		}
	} else if (a->family == AF_INET6) {
		for (int i = 0; i < 8; i++) {
			to = native_digits(to, a->bytes[8 + 2 * i] * 256u + a->bytes[9 + 2 * i], true);
			*to++ = i < 7 ? ':' : ' ';
		}
	} else {
		if (a->len > 3 && !a->bytes[2])
			*to++ = '@';
		for (unsigned i = a->bytes[2] ? 2 : 3; i < a->len && a->bytes[i]; i++)
			*to++ = (char)a->bytes[i];
		return (size_t)(to - out);
	}
	to = native_digits(to, a->bytes[2] * 256u + a->bytes[3], false);
	return (size_t)(to - out);
}
