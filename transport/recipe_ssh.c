/* ssh(1): the user's own, so that ssh_config, agent, certificates and hardware keys keep working.
 *
 * ssh takes the first value that it sees for an option, so the order is the policy:
 *   1. what the dialogue cannot do without (no remote terminal, no escape character, batch mode or exactly one password
 *      prompt, no port forwardings of the user's config: they would fail or outlive their purpose);
 *   2. `options` of the topology: the user's word;
 *   3. our preferences, which a user may override in 2 but the config files may not.
 *
 * LogLevel=VERBOSE makes ssh print `Authenticated to HOST` (5.4 and later): the one sign by which silence after login
 * can be told from silence before it. What else it prints at that level is filtered out of the evidence (messages.c).
 *
 * ControlMaster=no: an existing master of the user is used when the config says so, but we never become one. With
 * `auto` and ControlPersist our connection would stay in the background after the run, and a connection that others
 * ride on would end when our hop ends; both break "nothing outlives the master".
 *
 * ServerAliveInterval and -CountMax come from timeout.idle, unless `options` has a word about either. Frames carry
 * heartbeats of their own, but when the network is frozen and our agent gone, ssh alone would wait for TCP, which takes
 * a quarter of an hour. ssh gives up after (CountMax + 1) intervals; what that makes is more than the idle time, by
 * three seconds at most: the agents find the silence first, and say whose it is.
 *
 * No LC_ALL: OpenSSH's own messages are not translated, and Debian's ssh_config sends LC_* along, so it
 * would become the locale of every program on the remote side.
 */
#include "transport/recipe.h"
#include <string.h>
#include <strings.h>

#define ALIVE_COUNT 2u /* unanswered, before ssh ends */

static void opt(struct eci_argv *a, const char *name, const char *value)
{
	eci_argv_add(a, "-o", NULL, NULL);
	eci_argv_add(a, name, value, NULL);
}

static void flag(struct eci_argv *a, const char *name, const char *value)
{
	if (!value)
		return;
	eci_argv_add(a, name, NULL, NULL);
	eci_argv_add(a, value, NULL, NULL);
}

static const char *decimal(uint32_t v, char out[12])
{
	char *p = out + 11;
	*p = '\0';
	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	return p;
}

static void hostkey_options(struct eci_argv *a, enum eci_hostkey policy)
{
	switch (policy) {
	case ECI_HOSTKEY_STRICT:
		opt(a, "StrictHostKeyChecking=", "yes");
		break;
	case ECI_HOSTKEY_ACCEPT_NEW:
		opt(a, "StrictHostKeyChecking=", "accept-new");
		break;
	case ECI_HOSTKEY_OFF:
		/* Both files: a changed key in either one switches password login off even with `no`. */
		opt(a, "StrictHostKeyChecking=", "no");
		opt(a, "UserKnownHostsFile=", "/dev/null");
		opt(a, "GlobalKnownHostsFile=", "/dev/null");
		break;
	}
}

static bool speaks_of_alive(const char *const *options)
{
	for (; options && *options; options++)
		if (!strncasecmp(*options + strspn(*options, " \t"), "ServerAlive", 11))
			return true;
	return false;
}

static void alive_options(struct eci_argv *a, const struct eci_target *t)
{
	char number[12];
	if (!t->timeout.idle_ms || speaks_of_alive(t->options))
		return;
	opt(a, "ServerAliveInterval=", decimal(t->timeout.idle_ms / (ALIVE_COUNT + 1) / 1000 + 1, number));
	opt(a, "ServerAliveCountMax=", decimal(ALIVE_COUNT, number));
}

void eci_recipe_ssh(struct eci_argv *a, const struct eci_target *t, enum eci_spawn_mode mode, bool feed,
		    const char *stage)
{
	char number[12];
	bool ask = mode != ECI_SPAWN_PIPES;
	eci_argv_add(a, t->program ? t->program : "ssh", NULL, NULL);
	flag(a, "-F", t->config);
	eci_argv_add(a, "-T", NULL, NULL);
	flag(a, "-e", "none");
	opt(a, "BatchMode=", ask ? "no" : "yes");
	if (ask)
		opt(a, "NumberOfPasswordPrompts=", "1");
	opt(a, "ClearAllForwardings=", "yes");
	for (const char *const *o = t->options; o && *o; o++)
		flag(a, "-o", *o);
	opt(a, "LogLevel=", "VERBOSE");
	opt(a, "ControlMaster=", "no");
	/* Whole seconds, rounded up: 0 would mean no limit. */
	if (t->timeout.connect_ms)
		opt(a, "ConnectTimeout=", decimal((t->timeout.connect_ms - 1) / 1000 + 1, number));
	alive_options(a, t);
	if (ask)
		opt(a,
		    "PreferredAuthentications=", "gssapi-with-mic,hostbased,publickey,keyboard-interactive,password");
	hostkey_options(a, t->hostkey);
	if (t->identity) {
		flag(a, "-i", t->identity);
		/* Else an agent full of other keys uses up the server's MaxAuthTries first. */
		opt(a, "IdentitiesOnly=", "yes");
	}
	if (t->port)
		flag(a, "-p", decimal(t->port, number));
	flag(a, "-l", t->user);
	eci_argv_add(a, "--", NULL, NULL);
	eci_argv_add(a, t->host, NULL, NULL);
	if (feed)
		eci_argv_add(a, "sh", NULL, NULL);
	else
		eci_argv_add(a, "exec sh -c '", stage, "'");
}

const char *const *eci_recipe_ssh_env(void)
{
	/* A graphical askpass must not take the prompt away from the terminal that the dialogue watches. */
	static const char *const env[] = {"SSH_ASKPASS_REQUIRE=never", NULL};
	return env;
}
