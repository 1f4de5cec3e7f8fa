/* sudo, su and doas: becoming another user of the same host.
 *
 * sudo reads the password from stdin (-S), byte by byte, so what follows the password is left for the first stage; its
 * prompt is our own text with the nonce in it, so nothing has to be known about languages, lectures or PAM modules, and
 * no other text can ask for the password. -H because a context should have its user's home, as after a login.
 *
 * su has no option for a prompt and prints PAM's, hence LC_MESSAGES=C; it takes a command as one string for the
 * target's login shell, so that is quoted like ssh's. `su USER -c COMMAND` in this order is understood by every su:
 * those that stop at the first operand hand -c to the shell, with the same result.
 *
 * doas reads from the terminal only. Without a secret it gets -n, which turns a prompt into a message and an exit.
 *
 * The environment changes stay in what runs behind them, so only the language of messages is set, and LC_ALL taken
 * away, which would override it: LC_ALL=C would make ASCII of the encoding of everything that is ever called there.
 */
#include "transport/recipe.h"

static void shell(struct eci_argv *a, bool feed, const char *stage)
{
	eci_argv_add(a, "sh", NULL, NULL);
	if (feed)
		return;
	eci_argv_add(a, "-c", NULL, NULL);
	eci_argv_add(a, stage, NULL, NULL);
}

static void user(struct eci_argv *a, const struct eci_target *t)
{
	if (!t->user)
		return;
	eci_argv_add(a, "-u", NULL, NULL);
	eci_argv_add(a, t->user, NULL, NULL);
}

void eci_recipe_become(struct eci_argv *a, const struct eci_target *t, bool feed, const char *stage)
{
	char prompt[ECI_SUDO_PROMPT_MAX];
	switch (t->method) {
	case ECI_SUDO:
		eci_sudo_prompt(prompt, stage);
		eci_argv_add(a, t->program ? t->program : "sudo", NULL, NULL);
		eci_argv_add(a, "-S", NULL, NULL);
		eci_argv_add(a, "-H", NULL, NULL);
		eci_argv_add(a, "-p", NULL, NULL);
		eci_argv_add(a, prompt, NULL, NULL);
		user(a, t);
		eci_argv_add(a, "--", NULL, NULL);
		shell(a, feed, stage);
		break;
	case ECI_DOAS:
		eci_argv_add(a, t->program ? t->program : "doas", NULL, NULL);
		if (!t->secret)
			eci_argv_add(a, "-n", NULL, NULL);
		user(a, t);
		eci_argv_add(a, "--", NULL, NULL);
		shell(a, feed, stage);
		break;
	case ECI_SU:
		eci_argv_add(a, t->program ? t->program : "su", NULL, NULL);
		if (t->user)
			eci_argv_add(a, t->user, NULL, NULL);
		eci_argv_add(a, "-c", NULL, NULL);
		if (feed)
			eci_argv_add(a, "sh", NULL, NULL);
		else
			eci_argv_add(a, "exec sh -c '", stage, "'");
		break;
	case ECI_LOCAL:
	case ECI_SSH:
		break;
	}
}

const char *const *eci_recipe_become_env(void)
{
	static const char *const env[] = {"LC_MESSAGES=C", "LC_ALL", "LANGUAGE", NULL};
	return env;
}
