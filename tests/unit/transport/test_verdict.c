/* Why a hop failed, by script: the words of ssh and of the become tools, programs that are not there, boots that end.
 */
#include "tests/unit/transport/script.h"

#define NO_PROXY                                                                                  \
	"> err sh: 1: exec: netcat: not found\r\nkex_exchange_identification: Connection closed " \
	"by remote host\r\nConnection closed by UNKNOWN port 65535\r\n",                          \
		"> exit 255"
#define SAYS(name, text, verdict)                                                                    \
	{                                                                                            \
		name, {SSH},                                                                         \
		{                                                                                    \
			"= spawn pipes", "> started", "> err " text, "> exit 255", "= fail " verdict \
		}                                                                                    \
	}
static const struct script ssh_says[] = {
	SAYS("unknown host", "ssh: Could not resolve hostname web1: Name or service not known\r\n",
	     "resolve unknown-host ssh: Could not"),
	SAYS("refused", "ssh: connect to host web1 port 22: Connection refused\r\n",
	     "connect connection-refused ssh: connect to host"),
	SAYS("no route", "ssh: connect to host web1 port 22: No route to host\r\n", "connect host-unreachable"),
	SAYS("no network", "ssh: connect to host web1 port 22: Network is unreachable\r\n", "connect host-unreachable"),
	SAYS("timeout", "ssh: connect to host web1 port 22: Connection timed out\r\n", "connect connect-timeout"),
	SAYS("BSD timeout", "ssh: connect to host web1 port 22: Operation timed out\r\n", "connect connect-timeout"),
	SAYS("no banner", "Connection timed out during banner exchange\r\nConnection to 10.0.0.1 port 22 timed out\r\n",
	     "banner connect-timeout Connection timed out during"),
	SAYS("changed",
	     "@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\nOffending "
	     "ED25519 key in /kh:2\r\n"
	     "Host key for web1 has changed and you have requested strict checking.\r\nHost key verification "
	     "failed.\r\n",
	     "hostkey hostkey-changed Host key for web1 has changed and you have requested strict checking. | "
	     "Offending ED25519 key in /kh:2"),
	SAYS("unknown key",
	     "No ED25519 host key is known for web1 and you have requested strict checking.\r\nHost key verification "
	     "failed.\r\n",
	     "hostkey hostkey-unknown No ED25519 host key is known"),
	SAYS("key refused", "bob@web1: Permission denied (publickey).\r\n",
	     "auth auth-refused bob@web1: Permission denied (publickey)."),
	SAYS("no identity",
	     "Warning: Identity file /k not accessible: No such file or directory.\nbob@web1: Permission denied "
	     "(publickey).\r\n",
	     "auth auth-refused bob@web1: Permission denied (publickey). | Warning: Identity file /k"),
	SAYS("too many keys",
	     "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\r\nDisconnected from "
	     "10.0.0.1\r\n",
	     "auth auth-refused Received disconnect"),
	SAYS("no key exchange",
	     "Unable to negotiate with 10.0.0.1 port 22: no matching key exchange method found. Their offer: x\r\n",
	     "banner connection-dropped Unable to negotiate"),
	SAYS("config", "/c: line 2: Bad configuration option: foo\r\n/c: terminating, 1 bad configuration options\r\n",
	     "connect spawn-failed /c"),
	SAYS("last line without newline", "ssh: connect to host web1 port 22: Connection refused",
	     "connect connection-refused"),
	SAYS("words unknown", "fatal: the flux is inverted\r\n",
	     "connect connection-dropped fatal: the flux is inverted (exit status 255)"),
	SAYS("nothing at all", "\r\n", "connect connection-dropped no output, exit status 255"),
	{"a jump host that forwards nothing",
	 {SSH},
	 {"= spawn pipes", "> started",
	  "> err channel 0: open failed: administratively prohibited: open failed\r\nstdio forwarding "
	  "failed\r\nConnection closed by UNKNOWN port "
	  "65535\r\n",
	  "> exit 255", "= fail connect connection-dropped administratively prohibited"}},
	{"login is over: the words are the remote side's",
	 {SSH},
	 {"= spawn pipes", "> started", OK_AUTH, "> err ssh: connect to host db port 22: Connection refused\n",
	  "> exit 255", "= fail shell shell-exited Connection refused (exit status 255)"}},
	{"no commands there",
	 {SSH},
	 {"= spawn pipes", "> started", OK_AUTH, "> err exec request failed on channel 0\r\n", "> exit 255",
	  "= fail shell shell-exited exec request failed"}},
	{"the network went after the login",
	 {SSH},
	 {"= spawn pipes", "> started", OK_AUTH, "> err client_loop: send disconnect: Broken pipe\r\n", "> exit 255",
	  "= fail shell shell-exited client_loop: send disconnect: Broken pipe"}},
	{"the server ended the connection after the login",
	 {SSH},
	 {"= spawn pipes", "> started", OK_AUTH, "> err Connection to web1 closed by remote host.\r\n", "> exit 255",
	  "= fail shell shell-exited Connection to web1 closed by remote host"}},
	SAYS("account expired",
	     "Your account has expired; please contact your system administrator.\nConnection closed by 10.0.0.1 port "
	     "22\r\n",
	     "auth auth-refused Your account has expired"),
	{"password expired, found after a login by key",
	 {SSH},
	 {"= spawn pipes", "> started", OK_AUTH,
	  "> err WARNING: Your password has expired.\nPassword change required but no TTY available.\n", "> exit 1",
	  "= fail auth auth-refused Password change required"}},
	{"a word of ssh in what ends well is noise",
	 {SSH},
	 {"= spawn pipes", "> started", "> err banner: Connection refused to the unworthy\r\n", OK_AUTH, MARK,
	  "= promote python3"}},
};
PLAY(words_of_ssh, ssh_says)

#define BECOME(name, target, text, verdict)                                                               \
	{                                                                                                 \
		name, {target},                                                                           \
		{                                                                                         \
			"= spawn pipes", "> started", "> err " text, "> exit 1", "= fail become " verdict \
		}                                                                                         \
	}
static const struct script refusals[] = {
	BECOME("sudo, unknown user", SUDO,
	       "sudo: unknown user nosuch\nsudo: error initializing audit plugin sudoers_audit\n",
	       "become-refused sudo: unknown user nosuch"),
	BECOME("sudo, not in sudoers", SUDO, "bob is not in the sudoers file.\n",
	       "become-refused bob is not in the sudoers file."),
	BECOME("sudo, not allowed", SUDO, "Sorry, user bob is not allowed to execute '/bin/sh -c x' as root on web1.\n",
	       "become-refused Sorry, user bob"),
	BECOME("sudo, not allowed, no nonce", SUDO,
	       "Sorry, user bob is not allowed to execute '/bin/sh -c " SCRIPT_STAGE "' as root on web1.\n",
	       "become-refused Sorry, user bob is not allowed to execute '/bin/sh -c echo EC:nonce000:$p:`uname "
	       "-sm`;read "
	       "-r l' as root on web1.$"),
	BECOME("sudo, warnings are not the cause", SUDO,
	       "sudo: unable to resolve host web1: x\nsudo: account validation failure, is your account locked?\n",
	       "become-refused sudo: account validation"),
	BECOME("su, unknown user", SU,
	       "su: user x does not exist or the user entry does not contain all the required fields\n",
	       "become-refused su: user x"),
	BECOME("su, wheel only", SU, "su: Permission denied\n", "become-refused su: Permission denied"),
	BECOME("sudo, expired", SUDO, "sudo: Account or password is expired, reset your password and try again\n",
	       "become-refused sudo: Account or password is expired"),
	BECOME("sudo-rs, not in sudoers", SUDO, "sudo: I'm sorry bob. I'm afraid I can't do that\n",
	       "become-refused sudo: I'm sorry bob."),
	BECOME("sudo-rs, no password declared", SUDO, "sudo: interactive authentication is required\n",
	       "password-missing sudo: interactive"),
	BECOME("sudo-rs, no password declared, a later version", SUDO, "sudo: Interaction is required\n",
	       "password-missing sudo: Interaction"),
	BECOME("sudo-rs, no password taken", SUDO, "sudo: Authentication required but not attempted\n",
	       "password-missing sudo: Authentication required"),
	{"sudo-rs, password expired",
	 {SUDO, PW},
	 {"= spawn pipes", "> started", PROMPT, "= answer stdin pw",
	  "> err sudo: Account or password is expired, reset your password and try again\n", PROMPT, "= kill",
	  "> exit 1", "= fail become become-refused sudo: Account or password is expired"}},
	{"su, account expired",
	 {SU, PW},
	 {"= spawn pipes", "> started", "> err Password: ", "= answer stdin pw",
	  "> err Your account has expired; please contact your system administrator.\nsu: Authentication failure\n",
	  "= kill", "> exit 1", "= fail become become-refused Your account has expired"}},
	{"su, password expired",
	 {SU, PW},
	 {"= spawn pipes", "> started", "> err Password: ", "= answer stdin pw",
	  "> err You are required to change your password immediately (administrator enforced).\nCurrent password: ",
	  "= kill", "> exit 1", "= fail become become-refused You are required to change"}},
	{"su, nologin: its word is not taken for the prompt's line",
	 {SU, PW},
	 {"= spawn pipes", "> started", "> err Password: ", "= answer stdin pw",
	  "> out This account is currently not available.\n", "> exit 1", "= spawn pipes feed", "> started",
	  "> err Password: ", "= answer stdin pw", FEED, "> out This account is currently not available.\n", "> exit 1",
	  "= fail shell shell-exited This account is currently not available. (exit status 1)"}},
	BECOME("doas, no rule", DOAS, "doas: Operation not permitted\n",
	       "become-refused doas: Operation not permitted"),
	{"ssh not installed",
	 {SSH},
	 {"= spawn pipes", "> nospawn 2 No such file or directory",
	  "= fail connect no-program ssh: No such file or directory"}},
	{"doas not installed",
	 {DOAS},
	 {"= spawn pipes", "> nospawn 2 doas: not found", "= fail become no-program doas: not found"}},
	{"refused behind a jump host that is heard logging in",
	 {SSH},
	 {"= spawn pipes", "> started", OK_AUTH, "> err ops@web1: Permission denied (publickey).\r\n",
	  "> err Connection closed by UNKNOWN port 65535\r\n", "> exit 255",
	  "= fail auth auth-refused ops@web1: Permission denied (publickey).$"}},
	{"the same words, but something did run there",
	 {SSH},
	 {"= spawn pipes", "> started", OK_AUTH, "> out hello\n", "> err ops@web1: Permission denied (publickey).\r\n",
	  "> exit 255", "= fail shell shell-exited"}},
	{"the same words, and not ssh's status",
	 {SSH, .feed = true},
	 {"= spawn pipes feed", "> started", FEED, OK_AUTH, "> err ops@web1: Permission denied (publickey).\r\n",
	  "> exit 1", "= fail shell shell-exited"}},
	{"a ProxyCommand that is not there",
	 {SSH},
	 {"= spawn pipes", "> started", NO_PROXY, "> at 200", "= spawn pipes", "> started", NO_PROXY, "> at 700",
	  "= spawn pipes", "> started", NO_PROXY, "> at 1700", "= spawn pipes", "> started", NO_PROXY,
	  "= fail connect connection-dropped Connection closed by UNKNOWN port 65535 | sh: 1: exec: netcat: not "
	  "found$"}},
	{"what was said before another failure is not shown with it",
	 {SSH},
	 {"= spawn pipes", "> started", "> err Welcome\r\nops@web1: Permission denied (publickey).\r\n", "> exit 255",
	  "= fail auth auth-refused ops@web1: Permission denied (publickey).$"}},
	{"no terminals there",
	 {SSH, PW},
	 {"= spawn ctty", "> nospawn 2 no terminal: No such file or directory",
	  "= fail connect no-tty ssh: no terminal: No such file or directory"}},
	{"no terminals left",
	 {SUDO, PW},
	 {"= spawn pipes", "> started", "> err sudo: a terminal is required to read the password\n", "> exit 1",
	  "= spawn ctty", "> nospawn 28 no terminal: No space left on device",
	  "= fail become no-tty sudo: no terminal: No space left on device"}},
	{"no descriptors left for a terminal",
	 {SSH, PW},
	 {"= spawn ctty", "> nospawn 24 no terminal: Too many open files",
	  "= fail connect spawn-failed ssh: no terminal: Too many open files"}},
	{"no descriptors left",
	 {SSH},
	 {"= spawn pipes", "> nospawn 24 Too many open files (limit 64)",
	  "= fail connect spawn-failed ssh: Too many open files (limit 64)"}},
	{"host that looks like an option",
	 {.method = ECI_SSH, .host = "-oProxyCommand=id"},
	 {"= fail connect bad-argument a host name must not"}},
};
PLAY(refusals, refusals)

static const struct script boots[] = {
	{"no python: perl",
	 {LOCAL},
	 {"= spawn pipes", "> started", "> out EC:k3j9x2ab:perl:Linux x86_64\n", "= kill", "> signal 9",
	  "= fail boot no-python found only perl, on Linux x86_64"}},
	{"no python: sh",
	 {SSH},
	 {"= spawn pipes", "> started", "> out EC:k3j9x2ab:sh:Linux armv7l\n", "= kill", "> signal 9",
	  "= fail boot no-python found only sh"}},
	{"python dies",
	 {SSH},
	 {"= spawn pipes", "> started", OK_AUTH, "> err rc noise\n", MARK, "= promote python3",
	  "> err Traceback (most recent call last):\nSyntaxError: invalid\n", "> lost eof",
	  "= fail boot boot-exited Traceback (most recent call last): | SyntaxError: invalid$"}},
	{"python dies before it is promoted",
	 {LOCAL},
	 {"= spawn pipes", "> started", MARK, "= promote python3", "> err Illegal instruction\n", "> exit 132",
	  "= fail boot boot-exited Illegal instruction (exit status 132)"}},
	{"evidence of the relay",
	 {LOCAL},
	 {"= spawn pipes", "> started", MARK, "= promote python3", "> lost eof last words",
	  "= fail boot boot-exited last words"}},
	{"early bytes",
	 {LOCAL},
	 {"= spawn pipes", "> started", MARK, "= promote python3", "> out x", "= kill", "> signal 9",
	  "= fail boot early-bytes x"}},
	{"early bytes in one piece",
	 {LOCAL},
	 {"= spawn pipes", "> started", MARK "boo", "= promote python3", "= kill", "> signal 9",
	  "= fail boot early-bytes b"}},
	{"early bytes found by the relay",
	 {LOCAL},
	 {"= spawn pipes", "> started", MARK, "= promote python3", "> lost early-bytes xyz",
	  "= fail boot early-bytes early-bytes: xyz"}},
	{"version",
	 {LOCAL},
	 {"= spawn pipes", "> started", MARK, "= promote python3", "> lost version",
	  "= fail version version-mismatch version"}},
	{"early bytes where the agent's first frame should be",
	 {LOCAL},
	 {"= spawn pipes", "> started", MARK, "= promote python3", "> lost bad-frame no header",
	  "= fail boot early-bytes bad-frame: no header"}},
	{"bad hello",
	 {LOCAL},
	 {"= spawn pipes", "> started", MARK, "= promote python3", "> lost bad-hello",
	  "= fail boot protocol bad-hello"}},
	{"silent",
	 {LOCAL},
	 {"= spawn pipes", "> started", MARK, "= promote python3", "> lost silent", "= fail boot boot-timeout"}},
};
PLAY(boots, boots)

#define DROPPED "> err Connection closed by 10.0.0.1 port 22\r\n"
/* Whose exit status somebody else has taken: its words say what they always say. */
static const struct script taken[] = {
	{"refused",
	 {SSH},
	 {"= spawn pipes", "> started", "> err ssh: connect to host web1 port 22: Connection refused\r\n", "> taken",
	  "= fail connect connection-refused ssh: connect to host web1 port 22: Connection refused$"}},
	{"not let in: no second time",
	 {SSH},
	 {"= spawn pipes", "> started", "> err bob@web1: Permission denied (publickey).\r\n", "> taken",
	  "= fail auth auth-refused bob@web1: Permission denied (publickey).$"}},
	{"not let in behind a jump host: no second time",
	 {SSH},
	 {"= spawn pipes", "> started", OK_AUTH, "> err bob@web1: Permission denied (publickey).\r\n", "> taken",
	  "= fail auth auth-refused bob@web1: Permission denied (publickey).$"}},
	{"dropped: dialled again",
	 {SSH},
	 {"= spawn pipes", "> started", DROPPED, "> taken", "> at 199", "> at 200", "= spawn pipes", "> started",
	  DROPPED, "> taken", "> at 700", "= spawn pipes", "> started", MARK, "= promote python3"}},
	{"unknown words",
	 {SSH},
	 {"= spawn pipes", "> started", "> err fatal: the flux is inverted\r\n", "> taken",
	  "= fail connect connection-dropped fatal: the flux is inverted$"}},
	{"no words: the password is not given again",
	 {SSH, PW},
	 {"= spawn ctty", "> started", "> tty a@web1's password: ", "= answer tty pw", "> taken",
	  "= fail connect connection-dropped a@web1's password:$"}},
	{"let in: it may be a login shell that ignores our command",
	 {SSH},
	 {"= spawn pipes", "> started", OK_AUTH, "> taken", "= spawn pipes feed", "> started", FEED, OK_AUTH, "> taken",
	  "= fail shell shell-exited no output$"}},
	{"let in, and lost",
	 {SSH},
	 {"= spawn pipes", "> started", OK_AUTH, "> err client_loop: send disconnect: Broken pipe\r\n", "> taken",
	  "= fail shell shell-exited client_loop: send disconnect: Broken pipe$"}},
	{"sudo",
	 {SUDO},
	 {"= spawn pipes", "> started", "> err sudo: a password is required\n", "> taken",
	  "= fail become password-missing sudo: a password is required$"}},
	{"su, which may have refused it",
	 {SU, PW},
	 {"= spawn pipes", "> started", "> err Password: ", "= answer stdin pw", "> taken",
	  "= fail shell shell-exited no output$"}},
	{"a shell", {LOCAL}, {"= spawn pipes", "> started", "> taken", "= fail shell shell-exited no output$"}},
	{"an interpreter",
	 {LOCAL},
	 {"= spawn pipes", "> started", MARK, "= promote python3", "> taken", "= fail boot boot-exited no output$"}},
};
PLAY(taken, taken)

/* The refusal behind a question for a passphrase: not that the key is the wrong one. */
Test(dialogue, hint_of_a_key_with_a_passphrase)
{
	static const char asks[] = "Enter passphrase for key '/k': ", no[] = "a@web1: Permission denied (publickey).\n";
	struct eci_target t = {SSH, PW};
	struct eci_dialogue *d = eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 0);
	struct eci_action a;
	cr_assert(d);
	eci_dialogue_started(d, 0);
	eci_dialogue_bytes(d, ECI_TTY, (const uint8_t *)asks, sizeof asks - 1, 1);
	eci_dialogue_bytes(d, ECI_ERR, (const uint8_t *)no, sizeof no - 1, 2);
	eci_dialogue_exited(d, 255 << 8, 3);
	do
		a = eci_dialogue_next(d);
	while (a.kind != ECI_ACT_FAIL && a.kind != ECI_ACT_NONE);
	cr_assert(a.kind == ECI_ACT_FAIL && a.fail->code == ECTX_E_AUTH_REFUSED);
	cr_expect(strstr(a.fail->hint, "ssh-add"), "%s", a.fail->hint);
	eci_dialogue_free(d);
}

/* What is said of an agent that ended before it answered: ssh's words are of the way, and silence has none. */
static const char *hint_of_boot(enum eci_method method, const char *words, char *out, size_t cap)
{
	static const char marker[] = SCRIPT_MARK;
	struct eci_target t = {.method = method, .host = "web1", .timeout = ECI_TIMEOUTS_DEFAULT};
	struct eci_dialogue *d = eci_dialogue_new(&t, SCRIPT_NONCE, SCRIPT_STAGE, 0);
	struct eci_action a;
	cr_assert(d);
	eci_dialogue_started(d, 0);
	eci_dialogue_bytes(d, ECI_OUT, (const uint8_t *)marker, sizeof marker - 1, 1);
	eci_dialogue_bytes(d, ECI_ERR, (const uint8_t *)words, strlen(words), 2);
	eci_dialogue_link_lost(d, "eof", 255 << 8, "", 3);
	do
		a = eci_dialogue_next(d);
	while (a.kind != ECI_ACT_FAIL && a.kind != ECI_ACT_NONE);
	cr_assert(a.kind == ECI_ACT_FAIL && a.fail->code == ECTX_E_BOOT_EXITED, "%d %s", (int)a.kind, a.fail->saw);
	(void)snprintf(out, cap, "%s", a.fail->hint);
	eci_dialogue_free(d);
	return out;
}

Test(dialogue, hints_of_a_boot_that_ended)
{
	static const char gone[] = "client_loop: send disconnect: Broken pipe\r\n";
	char hint[512];
	cr_expect(strstr(hint_of_boot(ECI_SSH, gone, hint, sizeof hint), "look at the network"), "%s", hint);
	cr_expect(!*hint_of_boot(ECI_SSH, "Killed\n", hint, sizeof hint), "the code's own does: %s", hint);
	cr_expect(!*hint_of_boot(ECI_LOCAL, gone, hint, sizeof hint), "%s", hint);
	cr_expect(strstr(hint_of_boot(ECI_SSH, "", hint, sizeof hint), "nothing says why"), "%s", hint);
}
