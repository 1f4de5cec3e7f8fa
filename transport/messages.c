/* The table of messages: a pattern in what a tool prints -> phase, code, hint.
 *
 * Tools say why they failed in words only (ssh exits 255 for everything), so the words are matched, one line at a time,
 * against one table that can be read from top to bottom: of all the lines of a failed attempt the one whose entry
 * stands first is the cause. Specific entries therefore stand before general ones, and a tool's own prefix ("su: *") is
 * last. What su says of a wrong password stands without it: it gives its own name there, which may be another.
 *
 * Matching never decides that something works: an entry is used when the tool has exited without a marker (or, MSG_NOW,
 * when it is about to ask for the password again). So a banner that happens to contain these words costs at most a less
 * exact error. Entries of ssh are dropped once it has logged in, as from then on its stderr is the remote side's too.
 *
 * Where a wording differs between versions the shortest common part is the pattern. Checked against OpenSSH 9.2, sudo
 * 1.9.13, util-linux su 2.38, opendoas 6.8.2; the others, and sudo-rs (the sudo of Ubuntu since 25.10), are from their
 * sources' messages.
 */
#include "transport/messages.h"
#include <string.h>

#define SSH (1u << ECI_SSH)
#define SUDO (1u << ECI_SUDO)
#define SU (1u << ECI_SU)
#define DOAS (1u << ECI_DOAS)

/* Versions of clang-format differ about braces in a macro. */
/* clang-format off */
#define CHATTER(methods, pattern) {methods, true, ECI_MSG_CHATTER, pattern, ECTX_PHASE_NONE, ECTX_E_NONE, NULL}
#define ALSO(methods, pattern) {methods, false, ECI_MSG_ALSO, pattern, ECTX_PHASE_NONE, ECTX_E_NONE, NULL}
#define SAYS(methods, act, pattern, phase, code, hint) \
	{methods, false, ECI_MSG_##act, pattern, ECTX_PHASE_##phase, ECTX_E_##code, hint}
#define LATER(pattern, hint) {SSH, true, ECI_MSG_CAUSE, pattern, ECTX_PHASE_SHELL, ECTX_E_SHELL_EXITED, hint}
/* clang-format on */

static const char config_hint[] =
	"ssh on the hop that dials does not take its configuration: check ssh.config and ssh.options";
static const char algorithm_hint[] = "the two ends have no algorithm in common: see what it offers, and ssh.options";
static const char proxy_hint[] = "what carries the connection ended: the ProxyCommand or ProxyJump of the ssh "
				 "configuration, or the host behind it";
static const char lost_hint[] = "it had logged in when the connection was lost: look at the network, and at that host";
static const char no_user_hint[] = "no such user on that host: check the name of this step";
static const char expired_hint[] = "the password must be changed first: log in by hand";
static const char renew_hint[] = "the account has an end date (chage -l): have it renewed on that host";
static const char rules_hint[] = "the rules on that host do not allow this step for this user";

static const struct eci_message messages[] = {
	{SSH, false, ECI_MSG_LOGIN, "^Authenticated to ", ECTX_PHASE_NONE, ECTX_E_NONE, NULL},
	CHATTER(SSH, "^Authenticated to "),
	CHATTER(SSH, "^Transferred: sent "),
	CHATTER(SSH, "^Bytes per second: sent "),
	CHATTER(SSH, "^Warning: Permanently added "),
	CHATTER(SSH, "^debug?: "),
	CHATTER(SSH, "^Connection to * closed."),
	CHATTER(SSH, "^Shared connection to "),
	CHATTER(SSH, "^@@@@@@@@"),
	CHATTER(SUDO, "^econtext-*:"),
	CHATTER(SUDO, "^sudo: unable to resolve host"),
	CHATTER(SUDO, "^We trust you have received the usual lecture"),
	CHATTER(SUDO, "^Administrator. It usually boils down"),
	CHATTER(SUDO, "    #?) "),
	CHATTER(SUDO, "^For security reasons, the password you type"),
	CHATTER(SU, "^Password:"),

	ALSO(SSH, "^Warning: Identity file "),
	ALSO(SSH, "^Load key "),
	ALSO(SSH, "^Offending "),

	SAYS(SSH, CAUSE, "Bad configuration option", CONNECT, SPAWN_FAILED, config_hint),
	SAYS(SSH, CAUSE, "Bad owner or permissions on", CONNECT, SPAWN_FAILED, config_hint),
	SAYS(SSH, CAUSE, "^Can't open user config file", CONNECT, SPAWN_FAILED, config_hint),
	SAYS(SSH, CAUSE, "unsupported option", CONNECT, SPAWN_FAILED, config_hint),
	SAYS(SSH, CAUSE, "bad configuration options", CONNECT, SPAWN_FAILED, config_hint),
	SAYS(SSH, CAUSE, "^command-line: line ", CONNECT, SPAWN_FAILED, config_hint),
	SAYS(SSH, CAUSE, "^Cannot execute command-line and remote command", CONNECT, SPAWN_FAILED,
	     "the ssh configuration sets RemoteCommand for this host: add RemoteCommand=none to ssh.options"),
	SAYS(SSH, CAUSE, "^usage: ssh ", CONNECT, SPAWN_FAILED,
	     "ssh on the hop that dials does not know an option that it was given: is it very old?"),
	SAYS(SSH, CAUSE, "ostname contains invalid characters", CONNECT, BAD_ARGUMENT, "check ssh.host"),
	SAYS(SSH, CAUSE, "Could not resolve hostname", RESOLVE, UNKNOWN_HOST, NULL),
	SAYS(SSH, CAUSE, "REVOKED HOST KEY", HOSTKEY, HOSTKEY_CHANGED, "that key is marked as revoked in known_hosts"),
	SAYS(SSH, CAUSE, "^Host key for * has changed", HOSTKEY, HOSTKEY_CHANGED, NULL),
	SAYS(SSH, CAUSE, "REMOTE HOST IDENTIFICATION HAS CHANGED", HOSTKEY, HOSTKEY_CHANGED, NULL),
	SAYS(SSH, CAUSE, "host key is known for", HOSTKEY, HOSTKEY_UNKNOWN, NULL),
	SAYS(SSH, CAUSE, "^Host key verification failed", HOSTKEY, HOSTKEY_UNKNOWN, NULL),
	SAYS(SSH, NOW, "^Permission denied, please try again", AUTH, PASSWORD_WRONG, NULL),
	SAYS(SSH, TAKEN, "password has expired", AUTH, AUTH_REFUSED, expired_hint),
	SAYS(SSH, TAKEN, "You are required to change your password", AUTH, AUTH_REFUSED, expired_hint),
	SAYS(SSH, CAUSE, "Too many authentication failures", AUTH, AUTH_REFUSED,
	     "ssh offered more keys than the server looks at: set ssh.identity"),
	SAYS(SSH, CAUSE, "Permission denied (", AUTH, AUTH_REFUSED, NULL),
	SAYS(SSH, TAKEN, "^Your account has expired", AUTH, AUTH_REFUSED, renew_hint),
	SAYS(SSH, CAUSE, "^No supported authentication methods", AUTH, AUTH_REFUSED, NULL),
	SAYS(SSH, CAUSE, "timed out during banner exchange", BANNER, CONNECT_TIMEOUT,
	     "it accepts connections but does not speak: an overloaded or frozen host"),
	SAYS(SSH, CAUSE, "no matching ", BANNER, CONN_DROPPED, algorithm_hint),
	SAYS(SSH, CAUSE, "no mutual signature", AUTH, AUTH_REFUSED, algorithm_hint),
	SAYS(SSH, CAUSE, "banner line contains invalid characters", BANNER, CONN_DROPPED,
	     "what answers there is not an ssh server: check ssh.port"),
	SAYS(SSH, CAUSE, "Connection refused", CONNECT, CONN_REFUSED, NULL),
	SAYS(SSH, CAUSE, "No route to host", CONNECT, NO_ROUTE_TO_HOST, NULL),
	SAYS(SSH, CAUSE, "Network is unreachable", CONNECT, NO_ROUTE_TO_HOST, NULL),
	SAYS(SSH, CAUSE, "Host is down", CONNECT, NO_ROUTE_TO_HOST, NULL),
	SAYS(SSH, CAUSE, "Connection timed out", CONNECT, CONNECT_TIMEOUT, NULL),
	SAYS(SSH, CAUSE, "Operation timed out", CONNECT, CONNECT_TIMEOUT, NULL),
	SAYS(SSH, CAUSE, "administratively prohibited", CONNECT, CONN_DROPPED,
	     "a jump host of the ssh configuration does not forward: name it as via instead"),
	SAYS(SSH, DROPPED, "^Connection closed by UNKNOWN port 65535", CONNECT, CONN_DROPPED, proxy_hint),
	SAYS(SSH, DROPPED, "exchange_identification: ", CONNECT, CONN_DROPPED, NULL),
	SAYS(SSH, DROPPED, "^Connection closed by ", CONNECT, CONN_DROPPED, NULL),
	SAYS(SSH, DROPPED, "^Connection reset by ", CONNECT, CONN_DROPPED, NULL),
	SAYS(SSH, DROPPED, "closed by remote host", CONNECT, CONN_DROPPED, NULL),
	SAYS(SSH, DROPPED, "Connection reset by peer", CONNECT, CONN_DROPPED, NULL),
	SAYS(SSH, DROPPED, "Not allowed at this time", CONNECT, CONN_DROPPED, NULL),
	{SSH, true, ECI_MSG_STATUS, "^Password change required but no TTY", ECTX_PHASE_AUTH, ECTX_E_AUTH_REFUSED,
	 expired_hint},
	LATER("request failed on channel", "the server could not start a shell: a limit of its processes or "
					   "descriptors, or of this account (its log says)"),
	LATER("administratively prohibited", "the server does not let this account do that"),
	LATER("open failed: ", "the server opens no session: MaxSessions, or a limit of the account"),
	LATER("^client_loop: send disconnect", lost_hint),
	LATER("^Connection to * closed by remote host", lost_hint),
	LATER("^Read from remote host ", lost_hint),
	LATER("^Timeout, server ", lost_hint),

	SAYS(SUDO, NOW, "^Sorry, try again", BECOME, PASSWORD_WRONG, NULL),
	SAYS(SUDO, NOW, "incorrect password attempt", BECOME, PASSWORD_WRONG, NULL),
	SAYS(SUDO, NOW, "^sudo: Authentication failed", BECOME, PASSWORD_WRONG, NULL),
	SAYS(SUDO, NOW, "ncorrect authentication attempt", BECOME, PASSWORD_WRONG, NULL),
	SAYS(SUDO, TTY, "sudo: sorry, you must have a tty", BECOME, NO_TTY, NULL),
	SAYS(SUDO, TTY, "sudo: no tty present", BECOME, NO_TTY, NULL),
	SAYS(SUDO, TTY, "sudo: ? terminal is required", BECOME, NO_TTY, NULL),
	SAYS(SUDO, CAUSE, "unknown user", BECOME, BECOME_REFUSED, no_user_hint),
	SAYS(SUDO, CAUSE, "^sudo: user '*' not found", BECOME, BECOME_REFUSED, no_user_hint),
	SAYS(SUDO, CAUSE, "is not in the sudoers file", BECOME, BECOME_REFUSED, rules_hint),
	SAYS(SUDO, CAUSE, "not allowed to execute", BECOME, BECOME_REFUSED, rules_hint),
	SAYS(SUDO, CAUSE, "not allowed to authenticate", BECOME, BECOME_REFUSED, rules_hint),
	SAYS(SUDO, CAUSE, "I'm afraid I can't do that", BECOME, BECOME_REFUSED, rules_hint),
	SAYS(SUDO, CAUSE, "may not run ", BECOME, BECOME_REFUSED, rules_hint),
	SAYS(SUDO, CAUSE, "not allowed to run sudo", BECOME, BECOME_REFUSED, rules_hint),
	SAYS(SUDO, CAUSE, "no new privileges", BECOME, BECOME_REFUSED,
	     "the process on the hop before it may not gain privileges (a container or a systemd unit)"),
	SAYS(SUDO, CAUSE, "password is required", BECOME, PASSWORD_MISSING, NULL),
	SAYS(SUDO, CAUSE, "^sudo: interactive authentication is required", BECOME, PASSWORD_MISSING, NULL),
	SAYS(SUDO, CAUSE, "^sudo: Interaction is required", BECOME, PASSWORD_MISSING, NULL),
	SAYS(SUDO, CAUSE, "^sudo: Authentication required", BECOME, PASSWORD_MISSING, NULL),
	SAYS(SUDO, CAUSE, "no password was provided", BECOME, PASSWORD_MISSING, NULL),
	SAYS(SUDO, CAUSE, "command not found", SHELL, SHELL_EXITED, "sudo finds no sh in its secure_path"),
	SAYS(SUDO, TAKEN, "^sudo: Account or password is expired", BECOME, BECOME_REFUSED, expired_hint),
	SAYS(SUDO, TAKEN, "^sudo: Password expired", BECOME, BECOME_REFUSED, expired_hint),
	SAYS(SUDO, TAKEN, "^sudo: Account expired", BECOME, BECOME_REFUSED, renew_hint),
	SAYS(SUDO, CAUSE, "^sudo: ", BECOME, BECOME_REFUSED, NULL),

	SAYS(SU | DOAS, TAKEN, "^You are required to change your password", BECOME, BECOME_REFUSED, expired_hint),
	SAYS(SU, TAKEN, "^Your account has expired", BECOME, BECOME_REFUSED, renew_hint),
	SAYS(SU, NOW, ": Authentication failure", BECOME, PASSWORD_WRONG, NULL),
	SAYS(SU, NOW, ": incorrect password", BECOME, PASSWORD_WRONG, NULL),
	SAYS(SU, NOW, "^su: Sorry", BECOME, PASSWORD_WRONG, NULL),
	SAYS(SU, TTY, "must be run from a terminal", BECOME, NO_TTY, NULL),
	SAYS(SU, TTY, "standard in must be a tty", BECOME, NO_TTY, NULL),
	SAYS(SU, CAUSE, "^su: user * does not exist", BECOME, BECOME_REFUSED, no_user_hint),
	SAYS(SU, CAUSE, "^su: unknown ", BECOME, BECOME_REFUSED, no_user_hint),
	SAYS(SU, CAUSE, "^su: *o passwd entry for ", BECOME, BECOME_REFUSED, no_user_hint),
	SAYS(SU, CAUSE, "^su: failed to execute ", SHELL, SHELL_EXITED, "the login shell of that user cannot be run"),
	SAYS(SU, CAUSE, "^su: Permission denied", BECOME, BECOME_REFUSED, rules_hint),
	SAYS(SU, CAUSE, "^su: ", BECOME, BECOME_REFUSED, NULL),

	SAYS(DOAS, NOW, "^doas: Authentication failed", BECOME, PASSWORD_WRONG, NULL),
	SAYS(DOAS, NOW, "^doas: Authorization failed", BECOME, PASSWORD_WRONG, NULL),
	SAYS(DOAS, CAUSE, "^doas: Authentication required", BECOME, PASSWORD_MISSING, NULL),
	SAYS(DOAS, CAUSE, "^doas: Authorization required", BECOME, PASSWORD_MISSING, NULL),
	SAYS(DOAS, TTY, "^doas: a tty is required", BECOME, NO_TTY, NULL),
	SAYS(DOAS, CAUSE, "^doas: unknown user", BECOME, BECOME_REFUSED, no_user_hint),
	SAYS(DOAS, CAUSE, "^doas: Operation not permitted", BECOME, BECOME_REFUSED, rules_hint),
	SAYS(DOAS, CAUSE, "command not found", SHELL, SHELL_EXITED, "doas finds no sh on its PATH"),
	SAYS(DOAS, CAUSE, "^doas: ", BECOME, BECOME_REFUSED, NULL),
};

/* Questions of a change of the password, in PAM's words; the last is of ssh's own method. ssh names the host first. */
#define CHANGE(pattern)                                                            \
	SAYS(SU | DOAS, TAKEN, "^" pattern, BECOME, BECOME_REFUSED, expired_hint), \
		SAYS(SSH, TAKEN, "^" pattern, AUTH, AUTH_REFUSED, expired_hint),   \
		SAYS(SSH, TAKEN, "^(*@*) " pattern, AUTH, AUTH_REFUSED, expired_hint)
static const struct eci_message prompts[] = {
	CHANGE("Current ?assword:"),
	CHANGE("(current) *assword:"),
	CHANGE("New ?assword:"),
	CHANGE("New UNIX password:"),
	SAYS(SSH, TAKEN, "^Enter *'s old password:", AUTH, AUTH_REFUSED, expired_hint),
};

/* The pattern up to the next '*' at s; '?' is any one character. */
static bool piece_at(const char *s, const char *pattern, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!s[i] || (pattern[i] != '?' && s[i] != pattern[i]))
			return false;
	return true;
}

static bool matches(const char *line, const char *pattern)
{
	bool bound = *pattern == '^';
	pattern += bound;
	for (;;) {
		size_t n = strcspn(pattern, "*");
		while (!piece_at(line, pattern, n)) {
			if (bound || !*line)
				return false;
			line++;
		}
		line += n;
		pattern += n;
		if (!*pattern)
			return true;
		pattern++;
		bound = false;
	}
}

static const struct eci_message *first(const struct eci_message *m, size_t n, enum eci_method method, bool after_login,
				       const char *line)
{
	for (; n; n--, m++)
		if ((m->methods & 1u << method) && (m->after_login || !after_login) && matches(line, m->pattern))
			return m;
	return NULL;
}

const struct eci_message *eci_message_match(enum eci_method method, bool after_login, const char *line)
{
	return first(messages, sizeof messages / sizeof *messages, method, after_login, line);
}

const struct eci_message *eci_message_prompt(enum eci_method method, const char *line)
{
	return first(prompts, sizeof prompts / sizeof *prompts, method, false, line);
}
