/* Roots: packages, namespace packages over several roots, data and listings, links, what is never served, hostile names
 * (none of which opens anything), a file that changes, the whole way through a responder. On folders of its own below
 * the current one. */
#include "io/roots.h"
#include "io/folder.h"
#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char top[] = "roots-test-XXXXXX";

/* Writes a file below top, with the folders above it. A path that ends in '/' makes only the folders. */
static void put(const char *path, const char *content)
{
	char full[512], *slash;
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", top, path);
	for (slash = strchr(full, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	if (full[strlen(full) - 1] == '/')
		return;
	f = fopen(full, "w");
	cr_assert(f, "%s", full);
	fputs(content, f);
	fclose(f);
}

static void link_to(const char *target, const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", top, path);
	cr_assert_eq(symlink(target, full), 0);
}

static void setup(void)
{
	char full[512];

	cr_assert(mkdtemp(top));
	put("one/mod.py", "mod");
	put("one/both.py", "module in one");
	put("two/both/__init__.py", "package in two");
	put("one/space2/b.py", "space2 in one is no package");
	put("two/space2/__init__.py", "package behind a portion");
	put("one/pkg/__init__.py", "pkg");
	put("one/pkg/a.py", "a");
	put("one/pkg/sub/__init__.py", "");
	put("one/pkg/sub/deep.py", "deep");
	put("one/pkg/data.txt", "data");
	put("one/pkg/static-files/x.css", "css");
	put("one/pkg/names/inner.py", "a namespace in a package");
	put("one/pkg/.hidden", "hidden");
	put("one/pkg/ext.so", "ELF");
	put("one/pkg/a.pyc", "compiled");
	put("one/pkg/__pycache__/a.cpython.pyc", "compiled");
	put("one/pkg/bad-name.py", "no module");
	put("two/pkg/other.py", "behind another pkg");
	put("one/ns/first.py", "first");
	put("two/ns/second.py", "second");
	put("two/ns/data.txt", "beside Python");
	put("one/far/away/down/x.py", "x");
	put("one/plain/secret.txt", "no Python here");
	put("one/plain/more/secret.txt", "nor here");
	put("one/far/secret.txt", "not beside Python");
	put("one/secret.txt", "in the root");
	put("one/empty/", "");
	put("one/.ssh/id.py", "hidden folder");
	put("outside/evil.py", "outside");
	put("outside/folder/__init__.py", "outside");
	link_to("mod.py", "one/alias.py");
	link_to("../two/ns", "one/across");
	link_to("../outside/evil.py", "one/evil.py");
	link_to("../outside/folder", "one/folder");
	link_to("/etc/passwd", "one/pkg/passwd.txt");
	link_to("..", "one/pkg/loop");
	link_to("nowhere", "one/dangling.py");
	snprintf(full, sizeof(full), "%s/one/pkg/fifo.py", top);
	cr_assert_eq(mkfifo(full, 0600), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void teardown(void)
{
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(roots, .init = setup, .fini = teardown);

static struct eci_roots *open_roots(void)
{
	static char one[64], two[64];
	const char *folders[] = {one, "absent-folder", two, NULL};

	snprintf(one, sizeof(one), "%s/one", top);
	snprintf(two, sizeof(two), "%s/two", top);
	return eci_roots_new(folders);
}

/* "KIND PATH CONTENT [CHILDREN]" of what is found, "missing" else. */
static const char *look(struct eci_roots *r, const char *name)
{
	static char text[4096];
	struct eci_source s;
	size_t n, i;

	cr_assert_eq(eci_roots_ops.find(r, name, &s), 0);
	if (s.kind == ECI_MOD_MISSING) {
		cr_assert(!s.path && !s.bytes && !s.children);
		return "missing";
	}
	n = (size_t)snprintf(text, sizeof(text), "%d %s %.*s", (int)s.kind, s.path, s.bytes ? (int)s.len : 1,
			     s.bytes ? (const char *)s.bytes : "-");
	for (i = 0; s.children && s.children[i]; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : " [", s.children[i]);
	if (s.children)
		snprintf(text + n, sizeof(text) - n, i ? "]" : " []");
	free(s.path);
	free(s.bytes);
	free(s.children);
	return text;
}

Test(roots, modules)
{
	static const char *const table[][2] = {
		{"mod", "1 mod.py mod"},
		{"pkg", "2 pkg/__init__.py pkg [a loop names sub]"},
		{"pkg.a", "1 pkg/a.py a"},
		{"pkg.sub", "2 pkg/sub/__init__.py  [deep]"},
		{"pkg.sub.deep", "1 pkg/sub/deep.py deep"},
		{"pkg.names", "3 pkg/names - [inner]"},
		{"pkg.names.inner", "1 pkg/names/inner.py a namespace in a package"},
		{"both", "1 both.py module in one"},
		{"space2", "2 space2/__init__.py package behind a portion []"},
		{"space2.b", "missing"},
		{"ns", "3 ns - [first second]"},
		{"ns.first", "1 ns/first.py first"},
		{"ns.second", "1 ns/second.py second"},
		{"far", "3 far - [away]"},
		{"far.away.down.x", "1 far/away/down/x.py x"},
		{"pkg.other", "missing"},
		{"plain", "missing"},
		{"plain.more", "missing"},
		{"empty", "missing"},
		{"absent", "missing"},
		{"mod.x", "missing"},
		{"mod.py", "missing"},
		{"pkg.a.x", "missing"},
		{"pkg.ext", "missing"},
		{"pkg.__pycache__", "missing"},
		{"pkg.fifo", "missing"},
		{"os", "missing"},
	};
	struct eci_roots *r = open_roots();
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++)
		cr_expect_str_eq(look(r, table[i][0]), table[i][1], "%s: %s", table[i][0], look(r, table[i][0]));
	eci_roots_free(r);
}

Test(roots, data_and_listings)
{
	static const char *const table[][2] = {
		{"pkg/data.txt", "4 pkg/data.txt data"},
		{"pkg/a.py", "4 pkg/a.py a"},
		{"pkg/static-files/x.css", "4 pkg/static-files/x.css css"},
		{"ns/data.txt", "4 ns/data.txt beside Python"},
		{"pkg/", "5 pkg - [__init__.py a.py bad-name.py data.txt loop/ names/ static-files/ sub/]"},
		{"pkg/static-files/", "5 pkg/static-files - [x.css]"},
		{"ns/", "5 ns - [data.txt first.py second.py]"},
		{"pkg/.hidden", "missing"},
		{"pkg/ext.so", "missing"},
		{"pkg/a.pyc", "missing"},
		{"pkg/sub", "missing"},
		{"pkg/passwd.txt", "missing"},
		{"pkg/fifo.py", "missing"},
		{"plain/secret.txt", "missing"},
		{"plain/more/secret.txt", "missing"},
		{"plain/", "missing"},
		{"far/secret.txt", "missing"},
		{"far/", "missing"},
		{".ssh/id.py", "missing"},
		{"both/x", "missing"},
		{"mod/", "missing"},
		{"empty/", "missing"},
	};
	struct eci_roots *r = open_roots();
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++)
		cr_expect_str_eq(look(r, table[i][0]), table[i][1], "%s: %s", table[i][0], look(r, table[i][0]));
	eci_roots_free(r);
}

Test(roots, links)
{
	struct eci_roots *r = open_roots();

	cr_expect_str_eq(look(r, "alias"), "1 alias.py mod", "in its root");
	cr_expect_str_eq(look(r, "across.second"), "1 across/second.py second", "in another root");
	cr_expect_str_eq(look(r, "evil"), "missing");
	cr_expect_str_eq(look(r, "folder"), "missing");
	cr_expect_str_eq(look(r, "dangling"), "missing");
	cr_expect_str_eq(look(r, "pkg.loop.pkg.loop.pkg.a"), "1 pkg/loop/pkg/loop/pkg/a.py a",
			 "a loop only makes names long");
	eci_roots_free(r);
}

/* A link that is put in a file's place after its folder was read leads nowhere. */
Test(roots, swapped_for_a_link)
{
	struct eci_roots *r = open_roots();
	char full[64];

	cr_expect_str_eq(look(r, "pkg.a"), "1 pkg/a.py a");
	snprintf(full, sizeof(full), "%s/one/pkg/a.py", top);
	cr_assert_eq(unlink(full), 0);
	link_to("/etc/passwd", "one/pkg/a.py");
	cr_expect_str_eq(look(r, "pkg.a"), "missing");
	cr_expect_str_eq(look(r, "pkg/a.py"), "missing");
	eci_roots_free(r);
}

Test(roots, hostile_names)
{
	static const char *const parts[] = {"..",      ".",          "",    "pkg",    "one",   "outside", "evil",
					    "evil.py", "secret.txt", "etc", "passwd", "plain", "folder",  "__init__.py",
					    "loop",    "\\",         "\n",  "~",      ".ssh",  "id.py"};
	struct eci_random rnd = eci_random_open("hostile_names", 77);
	struct eci_roots *r = open_roots();
	char name[1200];
	int round;

	for (round = 0; round < 10000; round++) {
		size_t n = 0, k = 1 + eci_random_below(&rnd, round % 100 ? 6 : 60);
		const char *answer;

		if (eci_random_below(&rnd, 4) == 0)
			name[n++] = '/';
		while (k-- > 0)
			n += (size_t)snprintf(name + n, sizeof(name) - n, "%s%s", parts[eci_random_below(&rnd, 20)],
					      k == 0                      ? ""
					      : eci_random_below(&rnd, 3) ? "/"
									  : ".");
		answer = look(r, name);
		cr_assert(!strstr(answer, "outside") && !strstr(answer, "root:") && !strstr(answer, "no Python") &&
				  !strstr(answer, "in the root") && !strstr(answer, "hidden"),
			  "%s: %s", name, answer);
	}
	eci_roots_free(r);
}

Test(roots, size_limit)
{
	struct eci_roots *r;
	struct eci_source s;
	char full[64];

	put("one/large.py", "");
	put("one/larger.py", "");
	snprintf(full, sizeof(full), "%s/one/large.py", top);
	cr_assert_eq(truncate(full, ECI_MODULE_BYTES_MAX), 0);
	snprintf(full, sizeof(full), "%s/one/larger.py", top);
	cr_assert_eq(truncate(full, ECI_MODULE_BYTES_MAX + 1), 0);
	r = open_roots();
	cr_assert_eq(eci_roots_ops.find(r, "large", &s), 0);
	cr_expect(s.kind == ECI_MOD_MODULE && s.len == ECI_MODULE_BYTES_MAX);
	free(s.path);
	free(s.bytes);
	cr_expect_str_eq(look(r, "larger"), "missing");
	eci_roots_free(r);
}

/* Whether there is Python below is searched 32 folders deep ... */
Test(roots, depth_of_the_search)
{
	static const char *const names[] = {"deep", "deeper"};
	char path[128];
	int past, i, n;

	for (past = 0; past <= 1; past++) {
		struct eci_roots *r;

		n = snprintf(path, sizeof(path), "one/%s/", names[past]);
		for (i = 0; i < 32 + past; i++)
			n += snprintf(path + n, sizeof(path) - (size_t)n, "d/");
		snprintf(path + n, sizeof(path) - (size_t)n, "x.py");
		put(path, "x");
		r = open_roots();
		cr_expect_str_eq(look(r, names[past]), past ? "missing" : "3 deep - [d]");
		eci_roots_free(r);
	}
}

/* ... and in 4,096 folders: the one asked for, the one with Python, and those before it in their order. */
Test(roots, folders_of_the_search)
{
	struct eci_roots *r;
	char path[64];
	int i;

	put("one/wide/z/x.py", "x");
	for (i = 0; i < 4094; i++) {
		snprintf(path, sizeof(path), "%s/one/wide/e%04d", top, i);
		cr_assert_eq(mkdir(path, 0755), 0);
	}
	r = open_roots();
	cr_expect_str_eq(look(r, "wide"), "3 wide - [z]");
	eci_roots_free(r);
	put("one/wide/f/", "");
	r = open_roots();
	cr_expect_str_eq(look(r, "wide"), "missing");
	eci_roots_free(r);
}

/* What cannot be read for want of a descriptor is not taken to be absent: not now, and not later. */
Test(roots, without_a_descriptor)
{
	struct eci_roots *r = open_roots();
	struct eci_source s;
	struct rlimit old, none;

	cr_assert(getrlimit(RLIMIT_NOFILE, &old) == 0);
	none = (struct rlimit){3, old.rlim_max};
	cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
	cr_expect(eci_roots_ops.find(r, "pkg.a", &s) == -1);
	cr_assert(setrlimit(RLIMIT_NOFILE, &old) == 0);
	cr_expect_str_eq(look(r, "pkg"), "2 pkg/__init__.py pkg [a loop names sub]");
	cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
	cr_expect(eci_roots_ops.find(r, "pkg.a", &s) == -1);
	cr_assert(setrlimit(RLIMIT_NOFILE, &old) == 0);
	cr_expect_str_eq(look(r, "pkg.a"), "1 pkg/a.py a");
	eci_roots_free(r);
}

Test(roots, no_folders)
{
	static const char *const none[] = {NULL}, *const absent[] = {"absent-folder", "/dev/null", NULL};
	struct eci_roots *r = eci_roots_new(none);

	cr_expect_str_eq(look(r, "mod"), "missing");
	eci_roots_free(r);
	r = eci_roots_new(absent);
	cr_expect_str_eq(look(r, "mod"), "missing");
	cr_expect_str_eq(look(r, "a/b"), "missing");
	eci_roots_free(r);
	eci_roots_free(NULL);
}

/* Content of entry i of an answer: inflated, NUL-terminated. */
static const char *content(const ectx_value *answer, size_t i)
{
	static char text[256];
	uLongf len = sizeof(text) - 1;
	size_t n;
	const void *p = ectx_value_bytes(ectx_array_at(ectx_array_at(answer, i), 6), &n);

	cr_assert_eq(uncompress((Bytef *)text, &len, p, (uLong)n), Z_OK);
	text[len] = '\0';
	return text;
}

static ectx_value *ask(struct eci_responder *r, uint32_t link, const char *name)
{
	struct eci_buf out = ECI_BUF_NULL;
	struct eci_cbor c;
	ectx_value *v;

	cr_assert_eq(eci_responder_answer(r, link, name, strlen(name), &out), 0);
	c = eci_cbor_open(eci_buf_data(&out), eci_buf_len(&out));
	v = eci_value_decode(&c);
	cr_assert(v);
	eci_buf_deinit(&out);
	return v;
}

/* A file that changed is served as it was first sent, and files that appear in a folder that was read are not there. */
Test(roots, through_a_responder)
{
	struct eci_roots *roots = open_roots();
	struct eci_responder *r = eci_responder_new(&eci_roots_ops, roots, NULL, NULL);
	const uint8_t *digest, *zlib;
	size_t n, len;
	uint8_t expected[16];
	ectx_value *v;

	put("one/pkg/a.py", "import mod, os\nfrom . import sub");
	v = ask(r, 1, "pkg.a");
	cr_expect_eq(ectx_value_count(v), 4);
	cr_expect_str_eq(ectx_value_text(ectx_array_at(ectx_array_at(v, 0), 0)), "pkg.a");
	cr_expect_str_eq(ectx_value_text(ectx_array_at(ectx_array_at(v, 0), 2)), "pkg/a.py");
	cr_expect_str_eq(ectx_value_text(ectx_array_at(ectx_array_at(v, 1), 0)), "pkg");
	cr_expect_str_eq(ectx_value_text(ectx_array_at(ectx_array_at(v, 2), 0)), "mod");
	cr_expect_str_eq(ectx_value_text(ectx_array_at(ectx_array_at(v, 3), 0)), "pkg.sub");
	cr_expect_str_eq(content(v, 0), "import mod, os\nfrom . import sub");
	cr_expect_str_eq(content(v, 3), "");
	digest = ectx_value_bytes(ectx_array_at(ectx_array_at(v, 0), 3), &n);
	zlib = ectx_value_bytes(ectx_array_at(ectx_array_at(v, 0), 6), &len);
	eci_roots_ops.digest(NULL, zlib, len, expected);
	cr_expect(n == 16 && memcmp(digest, expected, 16) == 0);
	ectx_value_free(v);
	put("one/pkg/a.py", "changed");
	put("one/pkg/new.py", "new");
	v = ask(r, 2, "pkg.a");
	cr_expect_str_eq(content(v, 0), "import mod, os\nfrom . import sub");
	ectx_value_free(v);
	v = ask(r, 2, "pkg.new");
	cr_expect_eq(ectx_value_count(ectx_array_at(v, 0)), 2);
	ectx_value_free(v);
	eci_responder_free(r);
	eci_roots_free(roots);
}

/* SHA-256("abc") begins ba7816bf 8f01cfea 414140de 5dae2223. */
Test(roots, digest_is_sha256)
{
	uint8_t out[16];

	eci_roots_ops.digest(NULL, (const uint8_t *)"abc", 3, out);
	cr_expect(memcmp(out, "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23", 16) == 0);
}

/* Nothing, noise, and four letters in any order, which take longest: in several calls where it is much, and what comes
 * out is what went in. */
Test(roots, packs_in_slices)
{
	static const char letters[] = "ACGT";
	const size_t n = 3u << 20;
	uint8_t *in = malloc(n), *back = malloc(n), sum[16], expected[16];
	uint32_t x = 1;

	for (int kind = 0; kind < 3; kind++) {
		struct eci_packing *state = NULL;
		struct eci_buf out = ECI_BUF_NULL;
		size_t of = kind ? n : 0, calls = 1;
		uLongf got = n;

		for (size_t i = 0; i < of; i++) {
			x = x * 1664525 + 1013904223;
			in[i] = kind == 1 ? (uint8_t)(x >> 24) : (uint8_t)letters[x >> 30];
		}
		while (eci_roots_ops.pack(NULL, &state, in, of, &out, sum) == 1)
			calls++;
		cr_expect(!state && (kind ? calls > 2 : calls == 1), "%zu", calls);
		cr_assert_eq(uncompress(back, &got, eci_buf_data(&out), eci_buf_len(&out)), Z_OK);
		cr_expect(got == of && memcmp(in, back, of) == 0);
		eci_roots_ops.digest(NULL, eci_buf_data(&out), eci_buf_len(&out), expected);
		cr_expect(memcmp(sum, expected, 16) == 0);
		eci_buf_deinit(&out);
	}
	struct eci_packing *state = NULL;
	struct eci_buf out = ECI_BUF_NULL;
	cr_expect_eq(eci_roots_ops.pack(NULL, &state, in, n, &out, sum), 1);
	eci_roots_ops.stop(state);
	eci_buf_deinit(&out);
	free(in);
	free(back);
}
