/* What a script cannot say: any stream cut anyhow does the same; sizes, times and memory at their limits. */
#include "tests/unit/transport/script.h"

extern long eci_test_fail_after;

/* A shell that prints for ever: given up one byte past the limit, and not one before. */
Test(dialogue, noise_limit)
{
	static uint8_t noise[ECI_MARKER_SCAN_MAX];
	for (int over = 0; over < 4; over++) {
		struct eci_target t = {LOCAL};
		if (over > 1)
			t.method = ECI_SUDO;
		struct eci_dialogue *d = eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 0);
		cr_assert_eq(eci_dialogue_next(d).kind, ECI_ACT_SPAWN);
		eci_dialogue_started(d, 0);
		memset(noise, 'y', sizeof noise);
		eci_dialogue_bytes(d, ECI_OUT, noise, sizeof noise, 1);
		cr_assert_eq(eci_dialogue_next(d).kind, ECI_ACT_NONE);
		eci_dialogue_bytes(d, ECI_OUT, (const uint8_t *)(over % 2 ? "y" : "\n"), 1, 1);
		cr_assert_eq(eci_dialogue_next(d).kind, ECI_ACT_KILL);
		eci_dialogue_exited(d, 9, 2);
		cr_assert_eq(eci_dialogue_next(d).fail->code, ECTX_E_SHELL_SILENT);
		eci_dialogue_free(d);
	}
}

Test(dialogue, failure_says_how_long_and_how_long_at_most)
{
	struct eci_target t = {SSH};
	struct eci_dialogue *d = eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 1000);
	static const char says[] = "bob@web1: Permission denied (publickey).\r\n";
	eci_dialogue_next(d);
	eci_dialogue_started(d, 5000); /* a place in the dial window: not the hop's fault */
	eci_dialogue_bytes(d, ECI_ERR, (const uint8_t *)says, sizeof says - 1, 9000);
	eci_dialogue_exited(d, 255 << 8, 9100);
	const struct eci_fail *f = eci_dialogue_next(d).fail;
	cr_assert_eq(f->after_ms, 4100);
	cr_assert_eq(f->limit_ms, 20000);
	eci_dialogue_free(d);
}

/* The status is that of what was killed for it. */
Test(dialogue, a_link_that_is_silent_has_the_limit_that_ended_it)
{
	struct eci_target t = {LOCAL};
	for (int words = 0; words < 2; words++) {
		struct eci_dialogue *d = eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 0);
		eci_dialogue_next(d);
		eci_dialogue_started(d, 0);
		eci_dialogue_bytes(d, ECI_OUT, (const uint8_t *)SCRIPT_MARK, sizeof SCRIPT_MARK - 1, 1000);
		cr_assert_eq(eci_dialogue_next(d).kind, ECI_ACT_PROMOTE);
		if (words)
			eci_dialogue_bytes(d, ECI_ERR, (const uint8_t *)"loading\n", 8, 2000);
		eci_dialogue_link_lost(d, "silent", 9, "no byte came for the idle time", 16000);
		const struct eci_fail *f = eci_dialogue_next(d).fail;
		cr_expect(f->phase == ECTX_PHASE_BOOT && f->code == ECTX_E_BOOT_TIMEOUT);
		cr_expect(f->after_ms == 15000 && f->limit_ms == t.timeout.idle_ms, "%u %u", f->after_ms, f->limit_ms);
		cr_expect_str_eq(f->saw, words ? "loading" : "no byte came for the idle time");
		cr_expect(strstr(f->hint, "timeout.idle"), "%s", f->hint);
		eci_dialogue_free(d);
	}
}

/* PAM's own words are asked in where sudoers forbids ours. */
Test(dialogue, a_sudo_that_asks_otherwise_is_told_of)
{
	struct eci_target t = {SUDO, PW};
	static const char *const said[] = {"Password for bob@REALM: ", "lo: loading\n", "ing.. ", ""};
	for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
		struct eci_dialogue *d = eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 0);
		eci_dialogue_next(d);
		eci_dialogue_started(d, 0);
		eci_dialogue_bytes(d, ECI_ERR, (const uint8_t *)said[i], strlen(said[i]), 100);
		eci_dialogue_tick(d, 20000);
		cr_assert_eq(eci_dialogue_next(d).kind, ECI_ACT_KILL);
		eci_dialogue_exited(d, 9, 20001);
		const struct eci_fail *f = eci_dialogue_next(d).fail;
		cr_assert_eq(f->code, ECTX_E_BECOME_TIMEOUT);
		cr_expect_eq(strstr(f->hint, "passprompt_override") != NULL, i == 0, "%zu: %s", i, f->hint);
		eci_dialogue_free(d);
	}
}

Test(dialogue, promote_carries_interpreter_and_system)
{
	struct eci_target t = {LOCAL};
	struct eci_dialogue *d = eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 0);
	static const char mark[] = "EC:k3j9x2ab:/opt/py/bin/python3.9:FreeBSD amd64\n";
	eci_dialogue_next(d);
	eci_dialogue_bytes(d, ECI_OUT, (const uint8_t *)mark, sizeof mark - 1, 0);
	struct eci_action a = eci_dialogue_next(d);
	cr_assert_str_eq(a.interpreter, "python3.9");
	cr_assert_str_eq(a.system, "FreeBSD amd64");
	eci_dialogue_free(d);
}

Test(dialogue, evidence_is_printable)
{
	struct eci_target t = {LOCAL};
	struct eci_dialogue *d = eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 0);
	uint8_t noise[2 * ECI_EVIDENCE_MAX];
	memset(noise, 0x1b, sizeof noise);
	cr_assert_str_eq(eci_dialogue_evidence(d), "");
	eci_dialogue_bytes(d, ECI_OUT, noise, sizeof noise, 0);
	const char *e = eci_dialogue_evidence(d);
	cr_assert_gt(strlen(e), 500);
	for (; *e; e++)
		cr_assert(*e >= 0x20 && *e < 0x7f);
	eci_dialogue_bytes(d, ECI_ERR, (const uint8_t *)"the end", 7, 0);
	cr_assert_str_eq(eci_dialogue_evidence(d), "the end");
	eci_dialogue_free(d);
}

/* What a lost link is explained by: stderr since the marker, and not what ssh always says. */
Test(dialogue, evidence_after_boot_is_what_came_after_the_marker)
{
	struct eci_target t = {.method = ECI_SSH, .host = "web1", .timeout = ECI_TIMEOUTS_DEFAULT};
	struct eci_dialogue *d = eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 0);
	static const char login[] = "Authenticated to web1 ([10.0.0.1]:22) using \"publickey\".\r\n";
	static const char mark[] = "motd\nEC:k3j9x2ab:python3:Linux x86_64\n";
	static const char words[] =
		"client_loop: send disconnect: Broken pipe\r\nTransferred: sent 1, received 2 bytes\r\n";
	eci_dialogue_bytes(d, ECI_ERR, (const uint8_t *)login, sizeof login - 1, 0);
	eci_dialogue_bytes(d, ECI_OUT, (const uint8_t *)mark, sizeof mark - 1, 0);
	cr_assert_str_eq(eci_dialogue_evidence(d), "");
	eci_dialogue_up(d, 0);
	cr_assert_str_eq(eci_dialogue_evidence(d), "");
	eci_dialogue_bytes(d, ECI_ERR, (const uint8_t *)words, sizeof words - 1, 0);
	cr_assert_str_eq(eci_dialogue_evidence(d), "client_loop: send disconnect: Broken pipe");
	eci_dialogue_free(d);
}

Test(dialogue, no_memory)
{
	struct eci_target t = {LOCAL};
	for (long n = 0; n < 2; n++) {
		eci_test_fail_after = n;
		cr_assert_null(eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 0));
	}
	eci_test_fail_after = 2;
	struct eci_dialogue *d = eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 0);
	struct eci_action a = eci_dialogue_next(d);
	cr_assert_eq(a.kind, ECI_ACT_FAIL);
	cr_assert_eq(a.fail->code, ECTX_E_NO_MEMORY);
	eci_dialogue_free(d);
	eci_dialogue_free(NULL);
}

/* ---- any stream of what tools print ---- */

#define TRACE_MAX 4096

static void trace_actions(struct eci_dialogue *d, char *trace)
{
	for (struct eci_action a = eci_dialogue_next(d); a.kind != ECI_ACT_NONE; a = eci_dialogue_next(d)) {
		char line[600];
		script_describe(&a, line, sizeof line);
		if (a.kind == ECI_ACT_FAIL && a.fail->code == ECTX_E_EARLY_BYTES)
			strcpy(line, "fail boot early-bytes"); /* the evidence is what came in that piece */
		if (strlen(trace) + strlen(line) + 2 < TRACE_MAX)
			strcat(strcat(trace, line), "\n");
	}
}

static void random_run(const struct eci_target *t, unsigned seed, size_t most, char *trace)
{
	static const char *const pieces[] = {"Password: ",
					     "econtext-k3j9x2ab:",
					     "doas (a@b) password: ",
					     "a@b's password: ",
					     "Enter passphrase for key 'k': ",
					     "\n",
					     "\r\n",
					     " ",
					     ":",
					     "su: Authentication failure\n",
					     "Sorry, try again.\n",
					     "doas: Authentication failed\n",
					     "Permission denied, please try again.\r\n",
					     "Authenticated to x\r\n",
					     "EC:k3j9x2ab:",
					     SCRIPT_MARK,
					     "EC:",
					     "\x80\xff\0x",
					     "kex_exchange_identification: x\n",
					     "su: must be run from a terminal\n",
					     "sudo: no tty present\n",
					     "noise ",
					     "EC:k3j9x2ab:sh:Linux x86_64\n",
					     "Host key verification failed.\n"};
	struct eci_dialogue *d = eci_dialogue_new(t, SCRIPT_NONCE, SCRIPT_STAGE, 0);
	unsigned state = seed, cut = seed * 7919 + (unsigned)most;
	*trace = '\0';
	trace_actions(d, trace);
	for (int run = 0; run < 3; run++) {
		eci_dialogue_started(d, 0);
		trace_actions(d, trace);
		for (int burst = 0; burst < 6; burst++) {
			char text[512] = "";
			size_t n = 0;
			state = state * 1103515245 + 12345;
			enum eci_from from = (enum eci_from)(1 + (state >> 16) % 3);
			for (int i = 0; i < 4; i++) {
				state = state * 1103515245 + 12345;
				const char *p = pieces[(state >> 16) % (sizeof pieces / sizeof *pieces)];
				memcpy(text + n, p, strlen(p));
				n += strlen(p);
			}
			for (size_t at = 0; at < n;) {
				cut = cut * 1103515245 + 12345;
				size_t k = most > 1 ? 1 + (cut >> 16) % most : most;
				k = k && k < n - at ? k : n - at;
				eci_dialogue_bytes(d, from, (const uint8_t *)text + at, k, 1);
				trace_actions(d, trace);
				at += k;
			}
		}
		eci_dialogue_exited(d, seed % 3 ? 255 << 8 : 1 << 8, 2);
		trace_actions(d, trace);
		eci_dialogue_tick(d, 100000);
		trace_actions(d, trace);
	}
	eci_dialogue_free(d);
}

Test(dialogue, cutting_does_not_change_what_is_done)
{
	static char whole[TRACE_MAX], cut[TRACE_MAX];
	for (unsigned seed = 0; seed < 3000; seed++) {
		struct eci_target t = {
			.method = (enum eci_method)(seed % 5), .host = "h", .timeout = ECI_TIMEOUTS_DEFAULT};
		t.secret = seed % 2 ? "pw" : NULL;
		t.feed = seed % 7 == 0;
		random_run(&t, seed, 0, whole);
		for (size_t most = 1; most < 40; most += 6) {
			random_run(&t, seed, most, cut);
			cr_assert_str_eq(cut, whole, "seed %u, pieces up to %zu", seed, most);
		}
	}
}

Test(dialogue, how_an_agent_ended_is_said_in_words)
{
	static const struct {
		const char *said, *shown;
	} cases[] = {
		{"status 768\n", "exit status 3"},
		{"status 0\n", "exit status 0"},
		{"status 9\n", "ended by signal 9"},
		{"status 139\nConnection closed\n", "ended by signal 11 | Connection closed"},
		{"Fatal error\nstatus 134\n", "Fatal error | ended by signal 6"},
		{"status x\n", "status x"},
		{"status 768x\n", "status 768x"},
		{"status 65536\n", "status 65536"},
		{"a status 9\n", "a status 9"},
	};
	struct eci_target t = {LOCAL};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct eci_dialogue *d = eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 0);
		eci_dialogue_bytes(d, ECI_ERR, (const uint8_t *)cases[i].said, strlen(cases[i].said), 0);
		cr_expect_str_eq(eci_dialogue_evidence(d), cases[i].shown);
		eci_dialogue_free(d);
	}
}
