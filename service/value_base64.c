/* Base64 (RFC 4648, section 4), which is how JSON has bytes: padded, without line ends, and only in the one way that
 * each sequence of bytes is written. */
#include "service/value_impl.h"

void eci_base64_write(struct eci_buf *b, const uint8_t *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char four[4];
	uint32_t bits;
	size_t i;

	for (; n > 0; p += 3, n = n > 3 ? n - 3 : 0) {
		bits = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
		for (i = 0; i < 4; i++)
			four[i] = i <= n ? digits[bits >> (18 - 6 * i) & 63] : '=';
		eci_buf_append(b, four, sizeof(four));
	}
}

static int digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool eci_base64_read(char *s, size_t n, size_t *out)
{
	size_t i, pad = 0, len = 0;
	uint32_t bits = 0;
	int d;

	if (n % 4 != 0)
		return false;
	while (pad < 2 && pad < n && s[n - 1 - pad] == '=')
		pad++;
	for (i = 0; i < n; i++) {
		d = i < n - pad ? digit_of(s[i]) : 0;
		if (d < 0)
			return false;
		bits = bits << 6 | (uint32_t)d;
		if (i % 4 == 3) {
			s[len++] = (char)(bits >> 16 & 0xFF);
			s[len++] = (char)(bits >> 8 & 0xFF);
			s[len++] = (char)(bits & 0xFF);
		}
	}
	*out = len - pad;
	/* The unused bits under the padding have to be 0, or two texts would mean the same bytes. */
	return pad == 0 || (bits & (pad == 1 ? 0xFFu : 0xFFFFu)) == 0;
}
