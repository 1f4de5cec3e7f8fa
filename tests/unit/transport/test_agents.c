/* Which agent is booted, by script: by the target's list, the interpreter and the machine; loaders that say why not. */
#include "tests/unit/transport/script.h"

#define START "= spawn pipes", "> started"

static const struct script choices[] = {
	{"nothing said", {LOCAL}, {START, MARK, "= promote python3"}},
	{"native first", {LOCAL, NATIVE_FIRST}, {START, MARK, "= promote python3 native", "> up"}},
	{"python first", {LOCAL, PYTHON_FIRST}, {START, MARK, "= promote python3", "> up"}},
	{"native only", {LOCAL, NATIVE}, {START, MARK, "= promote python3 native"}},
	{"perl", {LOCAL, NATIVE_FIRST}, {START, MARK_OF("perl:Linux x86_64"), "= promote perl native"}},
	{"perl by its path", {LOCAL, NATIVE}, {START, MARK_OF("/usr/bin/perl:Linux x86_64"), "= promote perl native"}},
	{"sh for want of python", {SSH, PYTHON_FIRST}, {START, MARK_OF("sh:Linux x86_64"), "= promote sh native"}},
	{"another machine", {LOCAL, NATIVE_FIRST}, {START, MARK_OF("python3:Linux mips"), "= promote python3"}},
	{"another system", {LOCAL, NATIVE_FIRST}, {START, MARK_OF("python3:FreeBSD x86_64"), "= promote python3"}},
	{"native only, another machine",
	 {LOCAL, NATIVE},
	 {START, MARK_OF("python3:Linux mips"), "= kill", "> signal 9",
	  "= fail boot no-native no native agent for Linux mips$"}},
	{"neither",
	 {LOCAL, PYTHON_FIRST},
	 {START, MARK_OF("sh:Linux mips"), "= kill", "> signal 9",
	  "= fail boot no-python found only sh, and no native agent for Linux mips$"}},
	{"neither, native wanted more",
	 {LOCAL, NATIVE_FIRST},
	 {START, MARK_OF("sh:Linux mips"), "= kill", "> signal 9",
	  "= fail boot no-native found only sh, and no native agent for Linux mips$"}},
	{"native only, no uname",
	 {LOCAL, NATIVE},
	 {START, MARK_OF("python3:"), "= kill", "> signal 9",
	  "= fail boot no-native no native agent for a machine that it could not name: uname is missing there$"}},
	{"neither, no uname",
	 {LOCAL, PYTHON_FIRST},
	 {START, MARK_OF("sh:"), "= kill", "> signal 9",
	  "= fail boot no-python found only sh, and no native agent for a machine that it could not name: uname is "
	  "missing there$"}},
	{"the one that is named is there",
	 {LOCAL, .python = "/opt/py/bin/python3", PYTHON_FIRST},
	 {START, MARK_OF("/opt/py/bin/python3:Linux x86_64"), "= promote python3"}},
	{"it is not, and native is allowed",
	 {LOCAL, .python = "/opt/py/bin/python3", PYTHON_FIRST},
	 {START, MARK_OF("perl:Linux x86_64"), "= promote perl native"}},
	{"it is not, and nothing else is",
	 {LOCAL, .python = "/opt/py/bin/python3", AGENTS(1, ECI_AGENT_PYTHON)},
	 {START, MARK_OF("sh:Linux x86_64"), "= kill", "> signal 9",
	  "= fail boot no-python found no /opt/py/bin/python3, only sh, on Linux x86_64$"}},
	{"a sh that is named, and no native agent for it",
	 {LOCAL, .python = "/bin/sh", NATIVE_FIRST},
	 {START, MARK_OF("sh:Linux mips"), "= kill", "> signal 9",
	  "= fail boot no-native found only sh, and no native agent for Linux mips$"}},
	{"python only, perl there",
	 {LOCAL, AGENTS(1, ECI_AGENT_PYTHON)},
	 {START, MARK_OF("perl:Linux x86_64"), "= kill", "> signal 9", "= fail boot no-python found only perl"}},
};
PLAY(choices, choices)

static const struct script failures[] = {
	{"noexec, python next",
	 {LOCAL, NATIVE_FIRST},
	 {START, MARK, "= promote python3 native", "> err econtext: no native agent: noexec: /tmp: x\n", "> lost eof",
	  "= next boot no-native noexec: /tmp: x$"}},
	{"noexec, no python",
	 {LOCAL, NATIVE_FIRST},
	 {START, MARK_OF("sh:Linux x86_64"), "= promote sh native",
	  "> err sh: 1: x\r\necontext: no native agent: noexec: /tmp\r\n", "> lost eof",
	  "= fail boot no-native found only sh, and no native agent: noexec: /tmp$"}},
	{"noexec, native only",
	 {LOCAL, NATIVE},
	 {START, MARK, "= promote python3 native", "> err econtext: no native agent: noexec: /tmp\n", "> lost eof",
	  "= fail boot no-native noexec: /tmp$"}},
	{"noexec, native last",
	 {LOCAL, PYTHON_FIRST},
	 {START, MARK_OF("perl:Linux x86_64"), "= promote perl native", "> err econtext: no native agent: noexec: a\n",
	  "> lost eof", "= fail boot no-python found only perl, and no native agent: noexec: a$"}},
	{"told before it is promoted",
	 {LOCAL, NATIVE_FIRST},
	 {START, MARK, "= promote python3 native", "> err econtext: no native agent: no-place: \n", "> exit 1",
	  "= next boot no-native no-place"}},
	{"told on the terminal that is its stdout",
	 {LOCAL, NATIVE_FIRST},
	 {START, MARK, "= promote python3 native", "> lost bad-frame econtext: no native agent: exec-denied: x\r\n",
	  "= next boot no-native exec-denied: x$"}},
	{"it dies",
	 {LOCAL, NATIVE_FIRST},
	 {START, MARK, "= promote python3 native", "> lost eof", "= next boot boot-exited"}},
	{"it dies, native only",
	 {LOCAL, NATIVE},
	 {START, MARK, "= promote python3 native", "> err Killed\n", "> lost eof", "= fail boot boot-exited Killed"}},
	{"it is silent",
	 {LOCAL, NATIVE_FIRST},
	 {START, MARK, "= promote python3 native", "> lost silent", "= fail boot boot-timeout"}},
	{"it is of another version",
	 {LOCAL, NATIVE_FIRST},
	 {START, MARK, "= promote python3 native", "> lost version", "= fail version version-mismatch"}},
	{"python dies: no other agent is tried",
	 {LOCAL, PYTHON_FIRST},
	 {START, MARK, "= promote python3", "> err econtext: no native agent: noexec: x\n", "> lost eof",
	  "= fail boot boot-exited"}},
};
PLAY(failures, failures)

static struct eci_fail failure_of(const char *said)
{
	struct eci_target t = {LOCAL, NATIVE};
	struct eci_dialogue *d = eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 0);
	struct eci_action a;
	struct eci_fail fail = {0};
	eci_dialogue_natives(d, script_has_native);
	eci_dialogue_bytes(d, ECI_OUT, (const uint8_t *)SCRIPT_MARK, strlen(SCRIPT_MARK), 5);
	eci_dialogue_bytes(d, ECI_ERR, (const uint8_t *)said, strlen(said), 6);
	eci_dialogue_link_lost(d, "eof", 256, "", 1005);
	while ((a = eci_dialogue_next(d)).kind != ECI_ACT_NONE)
		if (a.kind == ECI_ACT_FAIL)
			fail = *a.fail;
	eci_dialogue_free(d);
	return fail;
}

Test(agents, each_reason_has_its_hint)
{
	static const char *const words[] = {"noexec",      "no-place",     "no-space", "no-tools",
					    "exec-denied", "wrong-format", "no-proc"};
	char said[128];
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		snprintf(said, sizeof said, "econtext: no native agent: %s: /tmp\n", words[i]);
		struct eci_fail f = failure_of(said);
		cr_expect_eq(f.code, ECTX_E_NO_NATIVE);
		cr_expect_eq(f.after_ms, 1000);
		cr_expect(strstr(f.hint, "agent: python"), "%s: %s", words[i], f.hint);
	}
	struct eci_fail f = failure_of("econtext: no native agent: failed: \x1b[31mred\n");
	cr_expect_str_eq(f.saw, "failed: \\x1b[31mred");
	cr_expect_str_eq(f.hint, "it could not be run: set agent: python");
}

Test(agents, a_reason_longer_than_what_is_kept_is_cut)
{
	char said[6000];
	size_t n = (size_t)snprintf(said, sizeof said, "econtext: no native agent: noexec: ");
	memset(said + n, 'x', 3000);
	said[n + 3000] = 0;
	struct eci_fail f = failure_of(said);
	cr_expect_eq(f.code, ECTX_E_NO_NATIVE);
	cr_expect(strlen(f.saw) < sizeof f.saw);
	memset(said + n, 'x', 5000); /* its beginning is not kept any more */
	said[n + 5000] = 0;
	cr_expect_eq(failure_of(said).code, ECTX_E_BOOT_EXITED);
}

#define IMAGE LOCAL, .image = SCRIPT_IMAGE
#define IMAGE_START "= spawn pipes image"

static const struct script images[] = {
	{"it starts", {IMAGE, NATIVE_FIRST}, {IMAGE_START, "> started", "= promote image native", "> up"}},
	{"no shell's limits",
	 {IMAGE, NATIVE},
	 {IMAGE_START, "> started", "= promote image native", "> at 19999", "> at 20000", "= kill", "> signal 9",
	  "= fail boot boot-timeout"}},
	{"a shell, where it may not be executed",
	 {IMAGE, NATIVE_FIRST},
	 {IMAGE_START, "> nospawn 13 Permission denied", START, MARK, "= promote python3 native", "> up"}},
	{"a shell, where it ends before it starts",
	 {IMAGE, NATIVE},
	 {IMAGE_START, "> exit 127", START, MARK, "= promote python3 native"}},
	{"no shell either",
	 {IMAGE, NATIVE},
	 {IMAGE_START, "> nospawn 2 No such file", "= spawn pipes", "> nospawn 2 No such file",
	  "= fail shell no-program sh: No such file$"}},
	{"it dies, python next",
	 {IMAGE, NATIVE_FIRST},
	 {IMAGE_START, "> started", "= promote image native", "> lost eof", "= next boot boot-exited"}},
	{"it dies, native only",
	 {IMAGE, NATIVE},
	 {IMAGE_START, "> started", "= promote image native", "> err Killed\n", "> lost eof",
	  "= fail boot boot-exited Killed"}},
};
PLAY(images, images)
