/* Names of modules, data files and listings as a remote context asks for them.
 *
 * Two forms, told apart by a slash. Without one: identifiers with dots between, ASCII or any other letters (Python
 * folds and refuses the rest itself; here it only matters that a name cannot mean something else on the way). With one:
 * a path below a root, whose components are not empty, "." or ".."; a slash at the end asks for a listing.
 *
 * This is the first of two fences. The second is that names are looked up among what the roots are known to hold
 * (io/roots.c), so that a name which passes here by mistake still opens nothing. */
#include "service/service.h"
#include "core/text.h"

#include <string.h>

/* p..p+n in identifiers with dots between? It is valid UTF-8 without characters that act. */
static bool dotted(const char *p, size_t n)
{
	bool first = true;
	size_t i;

	for (i = 0; i < n; i++) {
		char c = p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (uint8_t)c >= 0x80;

		if (c == '.' && !first)
			first = true;
		else if (letter || (c >= '0' && c <= '9' && !first))
			first = false;
		else
			return false;
	}
	return !first;
}

static bool path(const char *p, size_t n)
{
	const char *end = p + n, *slash;
	size_t len;

	while (p < end) {
		slash = memchr(p, '/', (size_t)(end - p));
		len = (size_t)((slash ? slash : end) - p);
		if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += len + (slash != NULL);
	}
	return true;
}

bool eci_module_name_valid(const char *name, size_t len)
{
	const uint8_t *p = (const uint8_t *)name;
	uint32_t point;
	size_t at, used;

	if (len == 0 || len > ECI_MODULE_NAME_MAX)
		return false;
	for (at = 0; at < len; at += used) {
		used = eci_utf8_next(p + at, len - at, &point);
		if (used == 0 || point == '\\' || eci_char_acts(point))
			return false;
	}
	return memchr(name, '/', len) ? path(name, len) : dotted(name, len);
}
