/* Which modules does this source import? Found by reading its tokens; nothing is executed and nothing is parsed.
 *
 * One fact carries it: `import` is a keyword in every Python, so as a name outside strings and comments it stands in
 * import statements only. So there is no need to follow indentation, brackets or the ends of statements: try blocks,
 * function bodies, "if x: import y" and lines after a semicolon need no rule. The same for `from`, which is one when
 * NAMES and `import` follow it (else it is "yield from" or "raise from").
 *
 * What is left is to skip strings and comments. String prefixes do not matter: in raw strings as in others a backslash
 * keeps the quote after it from ending the string. A string with single quotes ends with its line, so that a quote
 * nested in an f-string (3.12 and up) or a broken file costs one line and not the rest. Bytes above 127 are letters;
 * what that makes of other encodings than UTF-8 is refused as a name later.
 *
 * The result may hold too much (imports that never run, attributes that are no modules): it is looked up among what the
 * roots hold. Too little costs a round trip. Names that do not fit ECI_MODULE_NAME_MAX cannot be asked for: dropped. */
#include "service/service.h"

#include <string.h>

enum token { T_END, T_NEWLINE, T_NAME, T_OTHER };

struct name {
	char text[ECI_MODULE_NAME_MAX + 1];
	size_t len; /* above ECI_MODULE_NAME_MAX: it did not fit */
};

struct scan {
	const uint8_t *p, *end;
	const char *package; /* what a relative import starts from; not NUL-terminated */
	size_t package_len;
	void (*fn)(void *arg, const char *name);
	void *arg;
	const uint8_t *at; /* the last token */
	size_t len;
};

/* ---- tokens ---- */

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool is_newline(uint8_t c)
{
	return c == '\n' || c == '\r';
}

/* Bytes of the line end at p (\n, \r\n or \r), 0 if there is none. */
static size_t newline(const uint8_t *p, const uint8_t *end)
{
	if (p == end || !is_newline(*p))
		return 0;
	return *p == '\r' && end - p >= 2 && p[1] == '\n' ? 2 : 1;
}

static void skip_string(struct scan *s)
{
	uint8_t quote = *s->p;
	bool triple = s->end - s->p >= 3 && s->p[1] == quote && s->p[2] == quote;

	s->p += triple ? 3 : 1;
	while (s->p < s->end) {
		if (*s->p == '\\' && s->end - s->p >= 2) {
			s->p += is_newline(s->p[1]) ? 1 + newline(s->p + 1, s->end) : 2;
		} else if (!triple && is_newline(*s->p)) {
			return;
		} else if (*s->p != quote) {
			s->p++;
		} else if (!triple) {
			s->p++;
			return;
		} else if (s->end - s->p >= 3 && s->p[1] == quote && s->p[2] == quote) {
			s->p += 3;
			return;
		} else {
			s->p++;
		}
	}
}

static void skip_blank(struct scan *s)
{
	while (s->p < s->end) {
		if (*s->p == ' ' || *s->p == '\t' || *s->p == '\f') {
			s->p++;
		} else if (*s->p == '\\' && newline(s->p + 1, s->end)) {
			s->p += 1 + newline(s->p + 1, s->end);
		} else if (*s->p == '#') {
			while (s->p < s->end && !is_newline(*s->p))
				s->p++;
		} else {
			return;
		}
	}
}

static enum token next(struct scan *s)
{
	uint8_t c;

	skip_blank(s);
	s->at = s->p;
	s->len = 1;
	if (s->p == s->end)
		return T_END;
	c = *s->p;
	if (is_newline(c)) {
		s->p += newline(s->p, s->end);
		return T_NEWLINE;
	}
	if (c == '"' || c == '\'') {
		skip_string(s);
		return T_OTHER;
	}
	s->p++;
	if (!is_letter(c) && !is_digit(c))
		return T_OTHER;
	while (s->p < s->end && (is_letter(*s->p) || is_digit(*s->p)))
		s->p++;
	s->len = (size_t)(s->p - s->at);
	return is_letter(c) ? T_NAME : T_OTHER;
}

/* Was the last token, a T_NAME, this word? */
static bool word(const struct scan *s, const char *text)
{
	return s->len == strlen(text) && memcmp(s->at, text, s->len) == 0;
}

/* Takes the next token if it is this character. In parentheses line ends are blank. */
static bool take(struct scan *s, uint8_t c, bool in_parentheses)
{
	const uint8_t *before = s->p;
	enum token t;

	do {
		t = next(s);
	} while (in_parentheses && t == T_NEWLINE);
	if (t == T_OTHER && s->len == 1 && *s->at == c)
		return true;
	s->p = before;
	return false;
}

/* Takes the next token if it is a name; its text is the last token then. */
static bool take_name(struct scan *s, bool in_parentheses)
{
	const uint8_t *before = s->p;
	enum token t;

	do {
		t = next(s);
	} while (in_parentheses && t == T_NEWLINE);
	if (t == T_NAME)
		return true;
	s->p = before;
	return false;
}

static bool take_word(struct scan *s, const char *text, bool in_parentheses)
{
	const uint8_t *before = s->p;

	if (take_name(s, in_parentheses) && word(s, text))
		return true;
	s->p = before;
	return false;
}

/* ---- names ---- */

static void name_add(struct name *n, const void *p, size_t len)
{
	size_t dot = n->len > 0;

	if (n->len > ECI_MODULE_NAME_MAX || len + dot > ECI_MODULE_NAME_MAX - n->len) {
		n->len = ECI_MODULE_NAME_MAX + 1;
		return;
	}
	if (dot)
		n->text[n->len++] = '.';
	if (len)
		memcpy(n->text + n->len, p, len);
	n->len += len;
}

/* Tells a, a.b and a.b.c of a.b.c. A name that was too long is told as far as nothing of it. */
static void emit(struct scan *s, const struct name *n)
{
	char text[ECI_MODULE_NAME_MAX + 1];
	size_t i;

	if (n->len == 0 || n->len > ECI_MODULE_NAME_MAX)
		return;
	for (i = 1; i <= n->len; i++) {
		if (i < n->len && n->text[i] != '.')
			continue;
		memcpy(text, n->text, i);
		text[i] = '\0';
		s->fn(s->arg, text);
	}
}

/* NAME (. NAME)*, after what n already holds. False: no name there. */
static bool dotted(struct scan *s, struct name *n)
{
	const uint8_t *before = s->p;

	do {
		if (!take_name(s, false) || word(s, "import")) {
			s->p = before;
			return false;
		}
		name_add(n, s->at, s->len);
		before = s->p;
	} while (take(s, '.', false));
	return true;
}

/* ---- statements ---- */

/* After `import`. */
static void import_names(struct scan *s)
{
	struct name n;

	do {
		n.len = 0;
		if (!dotted(s, &n))
			return;
		emit(s, &n);
		if (take_word(s, "as", false))
			take_name(s, false);
	} while (take(s, ',', false));
}

/* What `level` dots mean here; false: they lead out of the top package. */
static bool relative_base(const struct scan *s, size_t level, struct name *base)
{
	size_t len = s->package_len;

	for (; level > 1 && len > 0; level--) {
		while (len > 0 && s->package[len - 1] != '.')
			len--;
		len -= len > 0;
	}
	if (len > 0)
		name_add(base, s->package, len);
	return len > 0;
}

/* After `from`. */
static void from_import(struct scan *s)
{
	struct name base = {.len = 0}, full;
	size_t level = 0;
	bool known = true, in_parentheses;

	while (take(s, '.', false))
		level++;
	if (level > 0)
		known = relative_base(s, level, &base);
	if (!dotted(s, &base) && level == 0)
		return;
	if (!take_word(s, "import", false))
		return;
	if (known)
		emit(s, &base);
	in_parentheses = take(s, '(', false);
	while (take_name(s, in_parentheses)) {
		full = base;
		name_add(&full, s->at, s->len);
		if (known)
			emit(s, &full);
		if (take_word(s, "as", in_parentheses))
			take_name(s, in_parentheses);
		if (!take(s, ',', in_parentheses))
			return;
	}
}

void eci_imports_scan(const char *self, bool self_is_package, const uint8_t *src, size_t n,
		      void (*fn)(void *arg, const char *name), void *arg)
{
	struct scan s = {.p = src, .end = src + n, .package = self, .fn = fn, .arg = arg};
	const char *dot = strrchr(self, '.');
	enum token t;

	if (strchr(self, '/')) /* a program under a name of its own is in no package */
		s.package_len = 0;
	else if (self_is_package)
		s.package_len = strlen(self);
	else
		s.package_len = dot ? (size_t)(dot - self) : 0;
	if (n >= 3 && memcmp(src, "\xEF\xBB\xBF", 3) == 0)
		s.p += 3;
	while ((t = next(&s)) != T_END) {
		if (t != T_NAME)
			continue;
		if (word(&s, "import"))
			import_names(&s);
		else if (word(&s, "from"))
			from_import(&s);
	}
}
