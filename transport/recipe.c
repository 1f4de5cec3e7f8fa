/* Recipes: what is started to make one hop, as a pure function of the target.
 *
 * A recipe is an argv, a few environment settings and a spawn mode; nothing of it is interpreted by a shell on our
 * side, and none of it depends on where it will run, so `topo plan` can print exactly what a relay will be told to
 * execute. What comes from the user (host, user) stands where no tool can take it for an option: a value that begins
 * with '-' is refused instead of quoted, because not every su and doas knows `--`.
 *
 * An argv is built by running its builder twice, first to count and then to write, into one block: the caller frees one
 * pointer, and there is no growing buffer whose failure would have to be handled at every append.
 *
 * Modes: pipes wherever the tool can live with them, because a terminal changes bytes (CR, echo, signals) and has no
 * half-close. ssh and doas read a password from the controlling terminal only, so they get one beside the three pipes
 * (CTTY); a tool that turns out to insist is started once more by the dialogue.
 */
#include "transport/recipe.h"
#include "core/mem.h"
#include <string.h>

void eci_argv_add(struct eci_argv *a, const char *p1, const char *p2, const char *p3)
{
	const char *parts[] = {p1, p2, p3};
	if (a->argv)
		a->argv[a->args] = a->text + a->bytes;
	a->args++;
	for (size_t i = 0; i < 3 && parts[i]; i++) {
		size_t n = strlen(parts[i]);
		if (a->argv)
			memcpy(a->text + a->bytes, parts[i], n);
		a->bytes += n;
	}
	if (a->argv)
		a->text[a->bytes] = '\0';
	a->bytes++;
}

void eci_sudo_prompt(char out[ECI_SUDO_PROMPT_MAX], const char *stage)
{
	const char *nonce = strstr(stage, "EC:");
	size_t n = nonce ? strcspn(nonce + 3, ":") : 0;
	memcpy(out, "econtext-", 9);
	/* A nonce has 8 characters; anything else is a stage text of a test or of `topo plan`. */
	if (n != 8)
		memcpy(out + 9, "xxxxxxxx", 8);
	else
		memcpy(out + 9, nonce + 3, 8);
	memcpy(out + 17, ":", 2);
}

static bool plain_word(const char *s)
{
	if (!*s || *s == '-')
		return false;
	for (; *s; s++)
		if ((unsigned char)*s < 0x21 || *s == 0x7f)
			return false;
	return true;
}

const char *eci_recipe_refusal(const struct eci_target *t, const char *stage)
{
	if (t->method == ECI_SSH && (!t->host || !plain_word(t->host)))
		return "a host name must not be empty, begin with '-' or contain blanks";
	if (t->method == ECI_SSH && t->port > 65535)
		return "a port is at most 65535";
	if (t->user && !plain_word(t->user))
		return "a user name must not be empty, begin with '-' or contain blanks";
	if (strchr(stage, '\''))
		return "the first stage must not contain a single quote";
	return NULL;
}

static void build(struct eci_argv *a, const struct eci_target *t, enum eci_spawn_mode mode, bool feed,
		  const char *stage)
{
	if (t->method == ECI_SSH) {
		eci_recipe_ssh(a, t, mode, feed, stage);
	} else if (t->method != ECI_LOCAL) {
		eci_recipe_become(a, t, feed, stage);
	} else {
		eci_argv_add(a, t->program ? t->program : "sh", NULL, NULL);
		if (!feed) {
			eci_argv_add(a, "-c", NULL, NULL);
			eci_argv_add(a, stage, NULL, NULL);
		}
	}
}

int eci_recipe_make(struct eci_recipe *out, const struct eci_target *t, enum eci_spawn_mode mode, bool feed,
		    const char *stage)
{
	static const char *const no_env[] = {NULL};
	*out = (struct eci_recipe){.env = no_env, .mode = mode};
	if (eci_recipe_refusal(t, stage))
		return ECI_RECIPE_REFUSED;
	struct eci_argv a = {0};
	build(&a, t, mode, feed, stage);
	size_t pointers = (a.args + 1) * sizeof(char *);
	char *block = eci_mem_alloc(pointers + a.bytes);
	if (!block)
		return ECI_RECIPE_NO_MEMORY;
	a = (struct eci_argv){.argv = (char **)(void *)block, .text = block + pointers};
	build(&a, t, mode, feed, stage);
	a.argv[a.args] = NULL;
	out->argv = a.argv;
	if (t->method == ECI_SSH)
		out->env = eci_recipe_ssh_env();
	else if (t->method != ECI_LOCAL)
		out->env = eci_recipe_become_env();
	return 0;
}

int eci_recipe_image(struct eci_recipe *out, const struct eci_target *t)
{
	static const char *const no_env[] = {NULL};
	/* Its last argument is room for the title, as with every loader (preamble/loader.c). */
	static const char room[] = "                                                                                 "
				   "                             ";
	*out = (struct eci_recipe){.env = no_env, .mode = ECI_SPAWN_PIPES};
	size_t n = strlen(t->image) + 1;
	char **argv = eci_mem_alloc(3 * sizeof *argv + n + sizeof room);
	if (!argv)
		return ECI_RECIPE_NO_MEMORY;
	argv[0] = memcpy(argv + 3, t->image, n);
	argv[1] = memcpy(argv[0] + n, room, sizeof room);
	argv[2] = NULL;
	out->argv = argv;
	return 0;
}

void eci_recipe_deinit(struct eci_recipe *r)
{
	eci_mem_free(r->argv);
	*r = (struct eci_recipe){0};
}

enum eci_spawn_mode eci_recipe_first_mode(const struct eci_target *t)
{
	/* ssh and doas open /dev/tty for a password and look nowhere else. */
	if (t->secret && (t->method == ECI_SSH || t->method == ECI_DOAS))
		return ECI_SPAWN_CTTY;
	return ECI_SPAWN_PIPES;
}

unsigned eci_recipe_round_trips(const struct eci_target *t)
{
	/* SPAWN until the marker, preamble until HELLO, and one for a prompt that is answered. */
	return t->secret ? 3 : 2;
}
