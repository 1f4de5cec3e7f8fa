/* The node-set language: "web[001-240,300]", "a[01-09/2]", "r[1-2]n[1-4]", "relay-[a,b]".
 *
 * An item is literal text and brackets; a bracket is a comma list of numbers, ranges (with a step) and names. An item
 * is first parsed whole into parts, so that its size is known before the first name is made: "[1-999999999]" must be
 * refused at once, not after memory is gone. Then the brackets count like an odometer, the last fastest.
 *
 * Padding: a range is as wide as its start when the start has a leading zero ("01-10"), else not padded. Its end must
 * agree ("1-010" and "001-10" are refused), as two readings of one text would reach different hosts. */
#include "topology/base.h"

#include <stdlib.h>
#include <string.h>

#define BRACKETS_MAX 8 /* dimensions of one name: racks, chassis, slots ... */
#define DIGITS_MAX 18  /* fits 63 bits; longer digit runs are no counters */

struct range {
	const char *name; /* a name; else NULL and a range of numbers */
	size_t len;
	uint64_t lo, count, step;
	int width;
};
struct part { /* literal text, then a bracket (count 0: none, the last part) */
	const char *text;
	size_t len;
	size_t first, count; /* ranges */
	size_t at;           /* odometer: range, and number within it */
	uint64_t pos;
};
struct pattern {
	struct part parts[BRACKETS_MAX + 1];
	size_t part_count;
	struct range *ranges;
	size_t range_count, range_cap;
};

static int fault(struct eci_set_fault *f, const char *why, const char *fix)
{
	f->why = why;
	f->fix = fix;
	return -1;
}

static bool plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
	       c == '.';
}

static size_t digits(const char *s, size_t len, uint64_t *value)
{
	size_t n = 0;
	*value = 0;
	while (n < len && s[n] >= '0' && s[n] <= '9') {
		if (n < DIGITS_MAX)
			*value = *value * 10 + (uint64_t)(s[n] - '0');
		n++;
	}
	return n;
}

/* One "5", "01-10", "1-9/2" or "name". */
static int parse_range(const char *s, size_t len, struct range *r, struct eci_set_fault *f)
{
	memset(r, 0, sizeof *r);
	if (len == 0)
		return fault(f, "an empty item in brackets", "write [1-3,5] or [a,b]");
	uint64_t lo, hi = 0, step = 1; /* hi: where there is no range gcc -O3 does not see that it is set below */
	size_t n = digits(s, len, &lo), m = 0, k = 0;
	bool range = n > 0 && n < len && s[n] == '-';
	if (range)
		m = digits(s + n + 1, len - n - 1, &hi);
	size_t end = range ? n + 1 + m : n;
	if (n && (!range || m) && end < len && s[end] == '/') {
		k = digits(s + end + 1, len - end - 1, &step);
		if (k == 0 || end + 1 + k != len || !range || step == 0)
			return fault(f, "a step must be a number of at least 1 behind a range", "write [1-9/2]");
		end = len;
	}
	if (n == 0 || end != len || (range && m == 0)) {
		if (len == 3 && s[1] == '-' && plain(s[0]) && plain(s[2]))
			return fault(f, "letters have no ranges", "write the names: [a,b,c]");
		for (size_t i = 0; i < len; i++)
			if (!plain(s[i]))
				return fault(f, "a character that no name has, in brackets",
					     "names have letters, digits, \".\", \"_\" and \"-\"");
		if (range && m == 0)
			return fault(f, "a range without an end", "write [1-9]");
		r->name = s;
		r->len = len;
		r->count = 1;
		return 0;
	}
	if (n > DIGITS_MAX || m > DIGITS_MAX || k > DIGITS_MAX)
		return fault(f, "a number of more than 18 digits", "use fewer digits");
	if (!range)
		hi = lo;
	bool padded = n > 1 && s[0] == '0';
	if (range && ((padded && m < n) || (!padded && m > 1 && s[n + 1] == '0')))
		return fault(f, "the two ends of a range are padded differently", "write [001-010]");
	if (hi < lo)
		return fault(f, "a range that ends before it starts", "write the smaller number first");
	*r = (struct range){.lo = lo, .step = step, .count = (hi - lo) / step + 1, .width = padded ? (int)n : 0};
	return 0;
}

static int add_range(struct pattern *p, const char *s, size_t len, struct eci_set_fault *f)
{
	if (p->range_count == ECI_SET_ITEMS_MAX)
		return fault(f, "more than 4,096 items in brackets", "split the set");
	if (p->range_count == p->range_cap) {
		size_t cap = p->range_cap ? p->range_cap * 2 : 8;
		struct range *grown = realloc(p->ranges, cap * sizeof *grown);
		if (!grown)
			return fault(f, "out of memory", "");
		p->ranges = grown;
		p->range_cap = cap;
	}
	return parse_range(s, len, &p->ranges[p->range_count], f) ? -1 : (p->range_count++, 0);
}

static int parse_bracket(struct pattern *p, struct part *part, const char *s, size_t len, struct eci_set_fault *f)
{
	part->first = p->range_count;
	for (size_t from = 0, i = 0; i <= len; i++) {
		if (i < len && s[i] != ',')
			continue;
		if (add_range(p, s + from, i - from, f))
			return -1;
		from = i + 1;
	}
	part->count = p->range_count - part->first;
	return 0;
}

static int parse(struct pattern *p, const char *s, size_t len, struct eci_set_fault *f)
{
	size_t i = 0;
	for (;;) {
		struct part *part = &p->parts[p->part_count++];
		part->text = s + i;
		while (i < len && s[i] != '[' && s[i] != ']')
			i++;
		part->len = (size_t)(s + i - part->text);
		if (i == len)
			return 0;
		if (s[i] == ']')
			return fault(f, "a \"]\" without a \"[\"", "write name[1-3]");
		const char *close = memchr(s + i, ']', len - i);
		if (!close)
			return fault(f, "no closing bracket", "write name[1-3]; on a command line quote the set");
		if (p->part_count > BRACKETS_MAX)
			return fault(f, "more than 8 brackets in one name", "use fewer");
		size_t start = i + 1, n = (size_t)(close - s) - start;
		if (memchr(s + start, '[', n))
			return fault(f, "a bracket within brackets", "write name[1-3][5-6]");
		if (parse_bracket(p, part, s + start, n, f))
			return -1;
		i = start + n + 1;
	}
}

static size_t count(const struct pattern *p)
{
	uint64_t total = 1;
	for (size_t i = 0; i < p->part_count; i++) {
		uint64_t sum = p->parts[i].count ? 0 : 1;
		for (size_t k = 0; k < p->parts[i].count; k++) {
			uint64_t n = p->ranges[p->parts[i].first + k].count;
			sum = n > ECI_CONTEXTS_MAX - sum ? ECI_CONTEXTS_MAX + 1 : sum + n;
			if (sum > ECI_CONTEXTS_MAX)
				return SIZE_MAX;
		}
		total *= sum; /* both at most 2^20 */
		if (total > ECI_CONTEXTS_MAX)
			return SIZE_MAX;
	}
	return (size_t)total;
}

/* The name at the odometer, or -1 when it is too long. */
static int spell(const struct pattern *p, char *out, size_t cap, size_t *len)
{
	size_t n = 0;
	for (size_t i = 0; i < p->part_count; i++) {
		const struct part *part = &p->parts[i];
		char num[32];
		const char *s = num;
		size_t m = 0;
		if (part->count) {
			const struct range *r = &p->ranges[part->first + part->at];
			if (r->name) {
				s = r->name;
				m = r->len;
			} else {
				m = (size_t)snprintf(num, sizeof num, "%0*llu", r->width,
						     r->lo + (unsigned long long)part->pos * r->step);
			}
		}
		if (part->len >= cap || m >= cap || n + part->len + m >= cap)
			return -1;
		memcpy(out + n, part->text, part->len);
		memcpy(out + n + part->len, s, m);
		n += part->len + m;
	}
	out[n] = 0;
	*len = n;
	return 0;
}

static bool advance(struct pattern *p)
{
	for (size_t i = p->part_count; i-- > 0;) {
		struct part *part = &p->parts[i];
		if (part->count == 0)
			continue;
		if (++part->pos < p->ranges[part->first + part->at].count)
			return true;
		part->pos = 0;
		if (++part->at < part->count)
			return true;
		part->at = 0;
	}
	return false;
}

int eci_nodeset_item(const char *item, size_t len, eci_name_fn each, void *arg, struct eci_set_fault *f)
{
	struct pattern p = {.part_count = 0};
	char name[1024]; /* an ad-hoc path of a few hops; node names are held to ECI_NAME_MAX elsewhere */
	size_t n;
	f->why = f->fix = NULL;
	int rc = len ? parse(&p, item, len, f) : fault(f, "an empty name", "look for a comma too many");
	if (rc == 0 && count(&p) == SIZE_MAX)
		rc = fault(f, "more than 1,048,576 names", "look at the ends of the range");
	while (rc == 0) {
		rc = spell(&p, name, sizeof name, &n);
		if (rc)
			fault(f, "a name of more than 1,023 bytes", "use a shorter name");
		else
			rc = each(arg, name, n);
		if (rc || !advance(&p))
			break;
	}
	free(p.ranges);
	return rc;
}

bool eci_nodeset_next(const char **at, const char *end, const char **item, size_t *len)
{
	const char *s = *at;
	if (!s)
		return false;
	int depth = 0;
	const char *p = s;
	while (p < end && (*p != ',' || depth > 0)) {
		depth += *p == '[' ? 1 : *p == ']' && depth > 0 ? -1 : 0;
		p++;
	}
	*at = p < end ? p + 1 : NULL;
	while (s < p && (*s == ' ' || *s == '\t' || *s == '\n'))
		s++;
	while (p > s && (p[-1] == ' ' || p[-1] == '\t' || p[-1] == '\n'))
		p--;
	*item = s;
	*len = (size_t)(p - s);
	return true;
}
