/* Recipes: the exact argv of every method, and what is refused. */
#include "transport/recipe.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define STAGE "echo EC:k3j9x2ab:$p;read -r l"

extern long eci_test_fail_after;

static void argv_is(const struct eci_target *t, enum eci_spawn_mode mode, bool feed, const char *expected)
{
	struct eci_recipe r;
	char got[2048] = "";
	cr_assert_eq(eci_recipe_make(&r, t, mode, feed, STAGE), 0);
	cr_assert_eq(r.mode, mode);
	for (char **a = r.argv; *a; a++) {
		strcat(got, a == r.argv ? "" : "|");
		strcat(got, *a);
	}
	cr_assert_str_eq(got, expected);
	cr_assert_not_null(r.env);
	eci_recipe_deinit(&r);
	cr_assert_null(r.argv);
	eci_recipe_deinit(&r);
}

static int result(const struct eci_target *t)
{
	struct eci_recipe r;
	int result = eci_recipe_make(&r, t, ECI_SPAWN_PIPES, false, STAGE);
	cr_assert_eq(r.argv == NULL, result < 0);
	eci_recipe_deinit(&r);
	return result;
}

Test(recipe, local)
{
	struct eci_target t = {.method = ECI_LOCAL};
	argv_is(&t, ECI_SPAWN_PIPES, false, "sh|-c|" STAGE);
	argv_is(&t, ECI_SPAWN_PIPES, true, "sh");
}

Test(recipe, ssh)
{
	struct eci_target t = {.method = ECI_SSH, .host = "web1", .timeout = ECI_TIMEOUTS_DEFAULT};
	argv_is(&t, ECI_SPAWN_PIPES, false,
		"ssh|-T|-e|none|-o|BatchMode=yes|-o|ClearAllForwardings=yes|-o|LogLevel=VERBOSE|-o|ControlMaster=no|"
		"-o|ConnectTimeout=10|-o|ServerAliveInterval=6|-o|ServerAliveCountMax=2|-o|StrictHostKeyChecking=yes|--"
		"|web1|exec sh -c '" STAGE "'");
	argv_is(&t, ECI_SPAWN_PIPES, true,
		"ssh|-T|-e|none|-o|BatchMode=yes|-o|ClearAllForwardings=yes|-o|LogLevel=VERBOSE|-o|ControlMaster=no|"
		"-o|ConnectTimeout=10|-o|ServerAliveInterval=6|-o|ServerAliveCountMax=2|-o|StrictHostKeyChecking=yes|--"
		"|web1|sh");
}

/* The user's options stand before what they may override and behind what they may not. */
Test(recipe, ssh_with_everything)
{
	static const char *const options[] = {"ProxyCommand=nc %h %p", "LogLevel=DEBUG", NULL};
	struct eci_target t = {.method = ECI_SSH,
			       .host = "web1",
			       .user = "bob",
			       .port = 65535,
			       .identity = "/k",
			       .config = "/c",
			       .options = options,
			       .program = "/opt/ssh",
			       .hostkey = ECI_HOSTKEY_OFF,
			       .secret = "pw"};
	argv_is(&t, ECI_SPAWN_CTTY, false,
		"/opt/ssh|-F|/c|-T|-e|none|-o|BatchMode=no|-o|NumberOfPasswordPrompts=1|-o|ClearAllForwardings=yes|"
		"-o|ProxyCommand=nc %h %p|-o|LogLevel=DEBUG|-o|LogLevel=VERBOSE|-o|ControlMaster=no|"
		"-o|PreferredAuthentications=gssapi-with-mic,hostbased,publickey,keyboard-interactive,password|"
		"-o|StrictHostKeyChecking=no|-o|UserKnownHostsFile=/dev/null|-o|GlobalKnownHostsFile=/dev/null|"
		"-i|/k|-o|IdentitiesOnly=yes|-p|65535|-l|bob|--|web1|exec sh -c '" STAGE "'");
}

/* (CountMax + 1) intervals are more than the idle time, by three seconds at most; the user's word on either stands
 * alone. */
Test(recipe, ssh_ends_by_itself_after_the_idle_time)
{
	static const char *const other[] = {"serveraliveinterval 60", NULL}, *const count[] = {" ServerAliveCountMax=9",
											       NULL};
	static const struct {
		uint32_t idle_ms;
		const char *const *options;
		const char *expected; /* NULL: none of ours */
	} cases[] = {
		{0, NULL, NULL},
		{1, NULL, "Interval=1"},
		{2999, NULL, "Interval=1"},
		{3000, NULL, "Interval=2"},
		{5999, NULL, "Interval=2"},
		{6000, NULL, "Interval=3"},
		{15000, NULL, "Interval=6"},
		{UINT32_MAX, NULL, "Interval=1431656"},
		{15000, other, NULL},
		{15000, count, NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct eci_target t = {.method = ECI_SSH, .host = "web1", .options = cases[i].options};
		struct eci_recipe r;
		bool found = false;
		t.timeout.idle_ms = cases[i].idle_ms;
		cr_assert_eq(eci_recipe_make(&r, &t, ECI_SPAWN_PIPES, false, STAGE), 0);
		for (char **a = r.argv; *a; a++)
			if (!strncmp(*a, "ServerAliveInterval=", 20)) {
				found = true;
				cr_assert_not_null(cases[i].expected, "case %zu", i);
				cr_assert_str_eq(*a + 11, cases[i].expected);
				cr_assert_str_eq(a[2], "ServerAliveCountMax=2");
			}
		cr_assert_eq(found, cases[i].expected != NULL, "case %zu", i);
		eci_recipe_deinit(&r);
	}
}

Test(recipe, ssh_connect_timeout_is_whole_seconds_up)
{
	static const struct {
		uint32_t ms;
		const char *option;
	} cases[] = {
		{1, "ConnectTimeout=1"},
		{1000, "ConnectTimeout=1"},
		{1001, "ConnectTimeout=2"},
		{UINT32_MAX, "ConnectTimeout=4294968"},
		{0, NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct eci_target t = {.method = ECI_SSH, .host = "h", .timeout.connect_ms = cases[i].ms};
		struct eci_recipe r;
		const char *found = NULL;
		cr_assert_eq(eci_recipe_make(&r, &t, ECI_SPAWN_PIPES, false, STAGE), 0);
		for (char **a = r.argv; *a; a++)
			if (strstr(*a, "ConnectTimeout"))
				found = *a;
		if (cases[i].option)
			cr_assert_str_eq(found, cases[i].option);
		else
			cr_assert_null(found);
		eci_recipe_deinit(&r);
	}
}

Test(recipe, become)
{
	struct eci_target sudo = {.method = ECI_SUDO, .user = "app"}, su = {.method = ECI_SU, .user = "db"};
	struct eci_target doas = {.method = ECI_DOAS, .user = "app"};
	argv_is(&sudo, ECI_SPAWN_PIPES, false, "sudo|-S|-H|-p|econtext-k3j9x2ab:|-u|app|--|sh|-c|" STAGE);
	argv_is(&sudo, ECI_SPAWN_CTTY, true, "sudo|-S|-H|-p|econtext-k3j9x2ab:|-u|app|--|sh");
	argv_is(&su, ECI_SPAWN_PIPES, false, "su|db|-c|exec sh -c '" STAGE "'");
	argv_is(&su, ECI_SPAWN_PTY, true, "su|db|-c|sh");
	argv_is(&doas, ECI_SPAWN_PIPES, false, "doas|-n|-u|app|--|sh|-c|" STAGE);
	doas.secret = "pw";
	argv_is(&doas, ECI_SPAWN_CTTY, false, "doas|-u|app|--|sh|-c|" STAGE);
	sudo.user = su.user = NULL;
	su.program = "/sbin/su";
	argv_is(&sudo, ECI_SPAWN_PIPES, true, "sudo|-S|-H|-p|econtext-k3j9x2ab:|--|sh");
	argv_is(&su, ECI_SPAWN_PIPES, true, "/sbin/su|-c|sh");
}

Test(recipe, become_asks_for_messages_in_english_and_no_other_locale)
{
	struct eci_target t = {.method = ECI_SU, .user = "db"};
	struct eci_recipe r;
	cr_assert_eq(eci_recipe_make(&r, &t, ECI_SPAWN_PIPES, false, STAGE), 0);
	cr_assert_str_eq(r.env[0], "LC_MESSAGES=C");
	cr_assert_str_eq(r.env[1], "LC_ALL");
	eci_recipe_deinit(&r);
}

Test(recipe, nothing_that_a_tool_takes_for_an_option)
{
	static const char *const bad[] = {"", "-oProxyCommand=id", "-", "a b", "a\tb", "a\nb", "a\x7f"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct eci_target t = {.method = ECI_SSH, .host = bad[i]};
		cr_assert_eq(result(&t), ECI_RECIPE_REFUSED, "host %s", bad[i]);
		for (t.host = "h", t.user = bad[i], t.method = ECI_SSH; t.method <= ECI_DOAS; t.method++)
			cr_assert_eq(result(&t), ECI_RECIPE_REFUSED, "user %s", bad[i]);
	}
	struct eci_target t = {.method = ECI_SSH};
	cr_assert_eq(result(&t), ECI_RECIPE_REFUSED);
	t.host = "h";
	t.port = 65535;
	cr_assert_eq(result(&t), 0);
	t.port = 65536;
	cr_assert_eq(result(&t), ECI_RECIPE_REFUSED);
}

Test(recipe, stage_that_would_break_out_of_its_quotes)
{
	struct eci_target t = {.method = ECI_SU};
	struct eci_recipe r;
	cr_assert_eq(eci_recipe_make(&r, &t, ECI_SPAWN_PIPES, false, "a'b"), ECI_RECIPE_REFUSED);
}

Test(recipe, no_memory)
{
	struct eci_target t = {.method = ECI_SUDO};
	eci_test_fail_after = 0;
	cr_assert_eq(result(&t), ECI_RECIPE_NO_MEMORY);
}

Test(recipe, first_mode_and_round_trips)
{
	for (int m = ECI_LOCAL; m <= ECI_DOAS; m++) {
		struct eci_target t = {.method = (enum eci_method)m};
		cr_assert_eq(eci_recipe_first_mode(&t), ECI_SPAWN_PIPES);
		cr_assert_eq(eci_recipe_round_trips(&t), 2);
		t.secret = "pw";
		bool tty = m == ECI_SSH || m == ECI_DOAS;
		cr_assert_eq(eci_recipe_first_mode(&t), tty ? ECI_SPAWN_CTTY : ECI_SPAWN_PIPES);
		cr_assert_eq(eci_recipe_round_trips(&t), 3);
	}
}

Test(recipe, sudo_prompt_has_the_nonce_of_the_stage)
{
	char prompt[ECI_SUDO_PROMPT_MAX];
	eci_sudo_prompt(prompt, "x;echo EC:abcdefgh:$p");
	cr_assert_str_eq(prompt, "econtext-abcdefgh:");
	eci_sudo_prompt(prompt, "x;echo EC:NONCE:$p");
	cr_assert_str_eq(prompt, "econtext-xxxxxxxx:");
	eci_sudo_prompt(prompt, "");
	cr_assert_str_eq(prompt, "econtext-xxxxxxxx:");
}
