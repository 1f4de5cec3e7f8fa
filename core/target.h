/* core: what it takes to reach one context from its parent: made by topology/, played by transport/, carried by mesh/.
 * Plain data. */
#ifndef ECI_CORE_TARGET_H
#define ECI_CORE_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum eci_method { ECI_LOCAL, ECI_SSH, ECI_SUDO, ECI_SU, ECI_DOAS };
enum eci_hostkey { ECI_HOSTKEY_STRICT, ECI_HOSTKEY_ACCEPT_NEW, ECI_HOSTKEY_OFF };

enum eci_agent { ECI_AGENT_PYTHON, ECI_AGENT_NATIVE };
/* What may be booted in a context, in the order in which it is tried. count 0: nothing was said, Python. */
struct eci_agents {
	uint8_t count;
	uint8_t kind[2]; /* enum eci_agent */
	bool said;       /* the order is the user's, not the default */
};

struct eci_timeouts {
	uint32_t connect_ms, auth_ms, become_ms, shell_ms, boot_ms, idle_ms;
};
/* Versions of clang-format differ about braces in a macro. */
/* clang-format off */
#define ECI_TIMEOUTS_DEFAULT {10000, 20000, 20000, 5000, 20000, 15000} /* an initialiser */
/* clang-format on */

struct eci_target {
	enum eci_method method;
	const char *user;           /* NULL: the tool's default */
	const char *host;           /* ssh */
	uint32_t port;              /* 0: the tool's default */
	const char *identity;       /* ssh -i; NULL */
	const char *config;         /* ssh -F; NULL */
	const char *const *options; /* ssh -o each; NULL-terminated array or NULL */
	const char *program;        /* instead of "ssh", "sudo", ...; NULL */
	const char *secret;         /* name of the secret that answers its password prompt; NULL */
	bool refused;               /* that was given before, and was wrong: it is not given again */
	const char *python;         /* interpreter to use instead of looking for one; NULL */
	const char *title;          /* NULL: default */
	const char *image;          /* local: its parent's native agent, to be executed as it is; NULL */
	struct eci_agents agents;
	enum eci_hostkey hostkey;
	bool feed; /* forced command that runs a shell: first stage goes on stdin */
	struct eci_timeouts timeout;
};

/* A native agent that its parent may execute in place of a shell. Who names a program or an interpreter wants that one
 * to be started. */
static inline bool eci_target_takes_image(const struct eci_target *t)
{
	return t->method == ECI_LOCAL && !t->program && !t->python && t->agents.count &&
	       t->agents.kind[0] == ECI_AGENT_NATIVE;
}

#endif
