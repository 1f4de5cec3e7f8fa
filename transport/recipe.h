/* transport, internal: what the recipe files share. */
#ifndef ECI_TRANSPORT_RECIPE_H
#define ECI_TRANSPORT_RECIPE_H

#include "transport/transport.h"

/* Results of eci_recipe_make() besides 0. */
enum { ECI_RECIPE_NO_MEMORY = -1, ECI_RECIPE_REFUSED = -2 };

/* Counts first (argv NULL), then writes into the block that the count asked for: both passes run the same code, so the
 * sizes cannot disagree. */
struct eci_argv {
	char **argv; /* NULL while counting */
	char *text;
	size_t args, bytes;
};
/* One argument, the parts put together; later parts may be NULL. */
void eci_argv_add(struct eci_argv *a, const char *p1, const char *p2, const char *p3);

/* "econtext-NONCE:", the prompt that sudo is told to print; the nonce is read out of the stage text. */
#define ECI_SUDO_PROMPT_MAX 24u
void eci_sudo_prompt(char out[ECI_SUDO_PROMPT_MAX], const char *stage);

void eci_recipe_ssh(struct eci_argv *a, const struct eci_target *t, enum eci_spawn_mode mode, bool feed,
		    const char *stage);
void eci_recipe_become(struct eci_argv *a, const struct eci_target *t, bool feed, const char *stage);
const char *const *eci_recipe_ssh_env(void);
const char *const *eci_recipe_become_env(void);

/* The same for the target's image: no stage, no shell. */
int eci_recipe_image(struct eci_recipe *out, const struct eci_target *t);

/* NULL, or why this target is not turned into an argv ("host name begins with '-'"). */
const char *eci_recipe_refusal(const struct eci_target *t, const char *stage);

#endif
