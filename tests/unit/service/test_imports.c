/* The import scan: a golden table of sources, nasty ones among them, and every strict prefix of them (no read past the
 * end: under ASan each is its own allocation). Against Python's own parser: tests/agent/imports_oracle.py. */
#include "service/service.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct collected {
	char text[8192];
	size_t len;
};

/* Each name once, in the order of first mention, with blanks between. */
static void collect(void *arg, const char *name)
{
	struct collected *c = arg;
	char word[300];

	snprintf(word, sizeof(word), " %s ", name);
	if (c->len == 0)
		c->len = (size_t)snprintf(c->text, sizeof(c->text), " ");
	if (!strstr(c->text, word) && c->len + strlen(word) < sizeof(c->text))
		c->len += (size_t)snprintf(c->text + c->len, sizeof(c->text) - c->len, "%s", word + 1);
}

static void scan_n(struct collected *c, const char *self, bool package, const char *src, size_t n)
{
	uint8_t *exact = malloc(n ? n : 1);

	c->len = 0;
	c->text[0] = '\0';
	memcpy(exact, src, n);
	eci_imports_scan(self, package, exact, n, collect, c);
	free(exact);
}

static const struct {
	const char *self;
	bool package;
	const char *source, *names;
} golden[] = {
	{"m", false, "", ""},
	{"m", false, "import a", " a "},
	{"m", false, "import a.b.c\n", " a a.b a.b.c "},
	{"m", false, "import a.b as c, d\n", " a a.b d "},
	{"m", false, "import a as b, c.d as e , f\n", " a c c.d f "},
	{"m", false, "import a;import b ; import c", " a b c "},
	{"m", false, "from a import b", " a a.b "},
	{"m", false, "from a.b import c as d, e\n", " a a.b a.b.c a.b.e "},
	{"m", false, "from a import (b,\n  c as d, # import no\n\n  e,\n)\nimport f", " a a.b a.c a.e f "},
	{"m", false, "from a import *\nimport b", " a b "},
	{"m", false, "from a import(b)\n", " a a.b "},
	{"m", false, "from a import \\\n  b, \\\r\n  c\nimport d", " a a.b a.c d "},
	{"m", false, "import a \\\n , b", " a b "},
	{"m", false, "import\\\n a", " a "},
	{"m", false, "import a . b", " a a.b "},
	{"m", false, "import a,\nimport b", " a b "},
	{"m", false, "import\nimport b", " b "},
	{"m", false, "import 3\nfrom 4 import x\nfrom import y\nimport b", " x y b "},
	/* strings and comments */
	{"m", false, "x = 'import a'\n# import b\ny = \"import c\"\nimport d", " d "},
	{"m", false, "'''\nimport a\n'''\nimport b\n\"\"\"\nimport c\n\"\"\"", " b "},
	{"m", false, "'''it's \"\"\" import a'''; import b", " b "},
	{"m", false, "'\\\nimport a'\nimport b", " b "},
	{"m", false, "'\\\r\nimport a'\nimport b", " b "},
	{"m", false, "r'\\'; import a'\nimport b", " b "},
	{"m", false, "'\\\\'; import b", " b "},
	{"m", false, "rb'''\\''' import a'''\nimport b", " b "},
	{"m", false, "f'{x!r:{y}}' ; import b\n", " b "},
	{"m", false, "f\"{d[\"import a\"]}\"\nimport b", " a b "}, /* harmless: too much */
	{"m", false, "x = 'unterminated import a\nimport b", " b "},
	{"m", false, "x = \"unterminated\rimport b", " b "},
	{"m", false, "x = '''unterminated\nimport b", ""},
	{"m", false, "''''''\nimport a", " a "},
	{"m", false, "'' '' \"\"\nimport a", " a "},
	{"m", false, "# coding: latin-1\n# \xe9\nimport a\nx = '\xe9\\' import b'\nimport c", " a c "},
	{"m", false, "#!/usr/bin/python\n# -*- coding: utf-8 -*-\nimport a", " a "},
	{"m", false, "\xEF\xBB\xBFimport a", " a "},
	{"m", false, "import \xc3\xa9t\xc3\xa9", " \xc3\xa9t\xc3\xa9 "},
	/* statements inside others */
	{"m", false, "try:\n\timport a\nexcept ImportError:\n\timport b\n", " a b "},
	{"m", false, "try: import a\nexcept: a = None", " a "},
	{"m", false, "if x: import a\nelse: from b import c", " a b b.c "},
	{"m", false, "def f():\n    import a\n    def g(): from b import (c)\n", " a b b.c "},
	{"m", false, "class C:\n    from a import b\n", " a a.b "},
	{"m", false, "with x: import a\nwhile 1: import b; break\nfor i in y: import c", " a b c "},
	{"m", false, "if TYPE_CHECKING:\n\f\timport a", " a "},
	{"m", false, "x = [\nimport a", " a "}, /* a broken bracket does not swallow the rest */
	/* not statements */
	{"m", false, "important = 1\nimports = from_a\nreimport = x\n_import = 2", ""},
	{"m", false, "def f(): yield from a\nraise X from e\nimport b", " b "},
	{"m", false, "x = (yield\nfrom a)\nimport b", " b "},
	{"m", false, "yield from a.b\nfrom c import d", " c c.d "},
	{"m", false, "__import__('a')\nimportlib.import_module('b')", ""},
	{"m", false, "x = 0x1F; y = 1e5; z = .5; import a", " a "},
	{"m", false, "print 'import a'; import b", " b "},
	{"m", false, "exec 'from a import b' in d\n`x`; import c", " c "},
	/* line ends */
	{"m", false, "import a\r\nimport b\rimport c\n", " a b c "},
	{"m", false, "from a import (b,\r\n\tc)\r\nimport d\r\n", " a a.b a.c d "},
	{"m", false, "import a\\\rimport b", " a b "},
	{"m", false, "import a # b, c\nimport d", " a d "},
	{"m", false, "\\", ""},
	{"m", false, "'\\", ""},
	{"m", false, "import a\\", " a "},
	/* relative */
	{"p.m", false, "from . import a", " p p.a "},
	{"p.m", false, "from .a import b", " p p.a p.a.b "},
	{"p.m", false, "from .import a", " p p.a "},
	{"p.m", false, "from . a import b", " p p.a p.a.b "},
	{"p.m", false, "from .. import a\nimport b", " b "},
	{"p.m", false, "from ..x import a\nimport b", " b "},
	{"p.q.m", false, "from .. import a", " p p.a "},
	{"p.q.m", false, "from ..x.y import a", " p p.x p.x.y p.x.y.a "},
	{"p.q.r.m", false, "from ... import a", " p p.a "},
	{"p.q.r.m", false, "from ...x import (a, b)", " p p.x p.x.a p.x.b "},
	{"p.q.r.m", false, "from .... import a", ""},
	{"p", true, "from . import a", " p p.a "},
	{"p", true, "from .a import *", " p p.a "},
	{"p", true, "from .. import a", ""},
	{"p.q", true, "from .. import a", " p p.a "},
	{"m", false, "from . import a\nfrom .b import c\nimport d", " d "},
	{"econtext:main/s.py", false, "from . import a\nimport b", " b "},
};

Test(imports, golden)
{
	struct collected c;
	size_t i;

	for (i = 0; i < sizeof(golden) / sizeof(*golden); i++) {
		scan_n(&c, golden[i].self, golden[i].package, golden[i].source, strlen(golden[i].source));
		cr_expect_str_eq(c.text, golden[i].names, "%s: \"%s\" not \"%s\"", golden[i].source, c.text,
				 golden[i].names);
	}
}

Test(imports, prefixes_stay_inside)
{
	struct collected c;
	size_t i, n;

	for (i = 0; i < sizeof(golden) / sizeof(*golden); i++)
		for (n = 0; n < strlen(golden[i].source); n++)
			scan_n(&c, golden[i].self, golden[i].package, golden[i].source, n);
}

/* A name of exactly the limit is told, one byte more is not; what stands around it is. */
Test(imports, long_names)
{
	static char source[1024], name[300];
	struct collected c;

	memset(name, 'n', sizeof(name));
	snprintf(source, sizeof(source), "import a, %.255s, b", name);
	scan_n(&c, "m", false, source, strlen(source));
	cr_expect(strstr(c.text, " a n") && strstr(c.text, " b "));
	cr_expect_eq(strlen(c.text), 1 + 2 + 256 + 2);
	snprintf(source, sizeof(source), "import a, %.256s, b", name);
	scan_n(&c, "m", false, source, strlen(source));
	cr_expect_str_eq(c.text, " a b ");
	snprintf(source, sizeof(source), "from %.253s import d, ee\nimport c", name);
	scan_n(&c, "m", false, source, strlen(source));
	cr_expect(strstr(c.text, "n.d ") && !strstr(c.text, "n.ee") && strstr(c.text, " c "));
}

/* Bytes of every kind, and NULs: nothing to expect but an end. */
Test(imports, garbage)
{
	static const char parts[] = "import from . , ( ) ' \" \\ \n \r # a as * \xff ; ''' \"\"\" 1";
	struct collected c;
	char source[200];
	unsigned seed = 7;
	size_t i, n;

	for (i = 0; i < 20000; i++) {
		for (n = 0; n + 8 < sizeof(source) && rand_r(&seed) % 40; n++)
			source[n] = rand_r(&seed) % 8 ? parts[(size_t)rand_r(&seed) % (sizeof(parts) - 1)]
						      : (char)rand_r(&seed);
		scan_n(&c, "p.m", false, source, n);
	}
}
