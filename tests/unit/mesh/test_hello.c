/* HELLO at its limits: what does not fit is left out or cut, and the largest is what a child takes. */
#include "core/cbor.h"
#include "mesh/connect.h"
#include "mesh_support.h"

struct hello {
	char title[128], name[64];
	size_t bytes;
};

static char *const no_overrides[] = {NULL};

/* What a context of this name and title is told. */
static struct hello told(ectx_mesh *m, const char *name, const char *title)
{
	ectx_context c = {.mesh = m, .name = (char *)name, .id = UINT32_MAX, .size = UINT32_MAX};
	struct eci_buf b = ECI_BUF_NULL;
	struct hello h = {.bytes = 0};
	const char *text = "";
	size_t n = 0;
	c.target.title = title;
	c.target.timeout.idle_ms = UINT32_MAX;
	eci_hello_put(&c, &b);
	h.bytes = eci_buf_len(&b);
	cr_assert(!b.failed && eci_cbor_check(eci_buf_data(&b), h.bytes, 100) == ECI_CBOR_OK);
	struct eci_cbor r = eci_cbor_open(eci_buf_data(&b), h.bytes);
	for (size_t pairs = eci_cbor_get_map(&r); pairs; pairs--) {
		uint64_t key = eci_cbor_get_uint(&r);
		if ((key == 4 || key == 5) && eci_cbor_get_text(&r, &text, &n))
			(void)snprintf(key == 4 ? h.title : h.name, key == 4 ? sizeof h.title : sizeof h.name, "%.*s",
				       (int)n, text);
		else
			(void)eci_cbor_skip(&r);
	}
	cr_assert(!r.bad && r.p == r.end);
	eci_buf_deinit(&b);
	return h;
}

static const char *letters(char *out, size_t n)
{
	memset(out, 'x', n);
	out[n] = 0;
	return out;
}

Test(hello, a_name_of_40_bytes_and_none_of_41)
{
	ectx_mesh m = {.overrides = (char **)no_overrides};
	char name[64];
	cr_expect(strlen(told(&m, letters(name, 40), "t").name) == 40);
	cr_expect(strlen(told(&m, letters(name, 41), "t").name) == 0);
}

Test(hello, a_title_of_99_bytes_and_no_more)
{
	ectx_mesh m = {.overrides = (char **)no_overrides};
	char title[128], of_pid[32];
	cr_expect(strlen(told(&m, "c", letters(title, 99)).title) == 99);
	cr_expect(strlen(told(&m, "c", letters(title, 100)).title) == 99);
	(void)snprintf(title + 97, 16, "\xC3\xA9");
	cr_expect(strlen(told(&m, "c", title).title) == 99);
	(void)snprintf(title + 97, 16, "x\xC3\xA9");
	(void)snprintf(of_pid, sizeof of_pid, "econtext:%ld", (long)getpid());
	cr_expect_str_eq(told(&m, "c", title).title, of_pid, "not half a character");
}

/* Each override prefix counts with a head of two bytes, the longest that one of them has. */
Test(hello, the_largest_is_taken)
{
	char prefixes[2][64], name[64], title[128];
	char *const overrides[] = {prefixes[0], prefixes[1], NULL};
	ectx_mesh m = {.overrides = (char **)overrides, .log_level = INT32_MAX};
	(void)letters(prefixes[0], 38);
	(void)letters(prefixes[1], 39);
	cr_expect(!eci_overrides_fit((const char *const *)overrides));
	(void)letters(prefixes[1], 38);
	cr_expect(eci_overrides_fit((const char *const *)overrides));
	size_t most = told(&m, letters(name, 40), letters(title, 120)).bytes;
	cr_expect(most <= ECI_HELLO_MAX && most > ECI_HELLO_MAX - 8, "%zu", most);
}

/* A Python whose HELLO has two other bytes, the last four digits of this program's name, in the place of its version's
 * key and value. */
static const char liar_py[] = "#!/usr/bin/env python3\n"
			      "import os, select, subprocess, sys\n"
			      "p = subprocess.Popen([sys.executable] + sys.argv[1:], stdin=-1, stdout=-1, bufsize=0)\n"
			      "ways = {0: p.stdin.fileno(), p.stdout.fileno(): 1}\n"
			      "true, said = b'\\x00\\x01\\x01fpython', bytes.fromhex(sys.argv[0][-4:])\n"
			      "while True:\n"
			      "    for fd in select.select(list(ways), [], [])[0]:\n"
			      "        s = os.read(fd, 65536) or sys.exit()\n"
			      "        os.write(ways[fd], s.replace(true, said + true[2:]) if fd else s)\n";

/* What is no HELLO is not one of another version: a version is told apart where there is one, whatever else is there.
 */
Test(hello, a_childs_version)
{
	static const struct {
		const char *said;
		enum ectx_code code;
	} cases[] = {
		{"0001", ECTX_E_NONE},             /* {0: 1, ...}: as it is */
		{"0002", ECTX_E_VERSION_MISMATCH}, /* {0: 2, ...} */
		{"0901", ECTX_E_PROTOCOL},         /* {9: 1, ...}: none */
		{"00f6", ECTX_E_PROTOCOL},         /* {0: null, ...} */
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct world w = world_open();
		char name[16], text[256];
		ectx_error err = {0};
		(void)snprintf(name, sizeof name, "liar%s", cases[i].said);
		put_file(w.dir, name, liar_py, 0755);
		(void)snprintf(text, sizeof text,
			       "econtext: 1\nnodes:\n  x: {local: {}, python: %s/%s, native: never}\n", w.dir, name);
		ectx_mesh_free(w.mesh);
		ectx_topology_free(w.topology);
		w.topology = ectx_topology_parse(text, strlen(text), "test", &err);
		cr_assert(w.topology, "%s", err.saw);
		w.mesh = mesh_over(&w, 0);
		(void)ectx_connect(get(w.mesh, "x"), WITHIN, &err);
		cr_expect(err.code == cases[i].code, "%s: %s %s", name, ectx_code_name(err.code), err.saw);
		ectx_error_clear(&err);
		world_close(&w);
	}
}
