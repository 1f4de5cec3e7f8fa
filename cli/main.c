/* cli: the econtext program: finds the command, reads its options, runs it.
 *
 * The program is a client of the public library like any other: it includes include/econtext/ only. All state is in the
 * command's own frame, except what is the process's anyway: its two outputs (out.c) and its signals (signals.c). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/fan.h"

/* Design section 8 has them; this version does not. Better said than "unknown command". */
static const char *const later[] = {"sh", "doctor", "up", "down", "status"};

static int (*const commands[ECI_CMD_COUNT])(const struct eci_opts *) = {
	[ECI_CMD_TOPO_CHECK] = eci_cmd_topo,   [ECI_CMD_TOPO_SHOW] = eci_cmd_topo, [ECI_CMD_TOPO_PLAN] = eci_cmd_topo,
	[ECI_CMD_EXEC] = eci_cmd_exec,         [ECI_CMD_CALL] = eci_cmd_call,      [ECI_CMD_RUN] = eci_cmd_run,
	[ECI_CMD_TREE] = eci_cmd_tree,         [ECI_CMD_TRACE] = eci_cmd_trace,    [ECI_CMD_CP] = eci_cmd_cp,
	[ECI_CMD_TUNNEL] = eci_cmd_tunnel,     [ECI_CMD_SOCKS] = eci_cmd_socks,    [ECI_CMD_CONNECT] = eci_cmd_connect,
	[ECI_CMD_PREAMBLE] = eci_cmd_preamble,
};

int eci_cmd_preamble(const struct eci_opts *o)
{
	if (!o->size || o->nargs)
		return eci_usage("preamble takes --size");
	const char *name;
	size_t bytes;
	for (size_t i = 0; ectx_preamble_size(i, &name, &bytes); i++)
		eci_out_printf(1, "%s %zu\n", name, bytes);
	eci_out_flush();
	return eci_early_end(0);
}

/* The command that *argv begins with; *argv moves past it. ECI_CMD_COUNT: none, complained. */
static enum eci_cmd find_command(char ***argv)
{
	const char *words[ECI_CMD_COUNT + 1], *word = (*argv)[0];
	size_t n = 0;
	for (int i = 0; i < ECI_CMD_COUNT; i++) {
		const char *name = eci_cmd_text((enum eci_cmd)i)->name, *sub = strchr(name, ' ');
		if (!sub && !strcmp(word, name)) {
			++*argv;
			return (enum eci_cmd)i;
		}
		if (sub && !strncmp(name, word, (size_t)(sub - name)) && !word[sub - name] && (*argv)[1] &&
		    !strcmp((*argv)[1], sub + 1)) {
			*argv += 2;
			return (enum eci_cmd)i;
		}
		words[n++] = sub ? "topo" : name;
	}
	words[n++] = "help";
	if (!strcmp(word, "topo")) {
		eci_usage("topo takes check, show or plan%s%s", (*argv)[1] ? ", not " : "",
			  (*argv)[1] ? (*argv)[1] : "");
		return ECI_CMD_COUNT;
	}
	for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
		if (!strcmp(word, later[i])) {
			eci_usage("%s is not built yet", word);
			return ECI_CMD_COUNT;
		}
	const char *near = eci_nearest(word, words, n);
	if (word[0] == '-')
		eci_usage("the command stands first; %s follows it", word);
	else if (near)
		eci_usage("no command %s; did you mean %s?", word, near);
	else
		eci_usage("no command %s; see econtext help", word);
	return ECI_CMD_COUNT;
}

static int done(void)
{
	if (fflush(stdout) || ferror(stdout)) {
		perror("econtext: writing");
		return ECTX_INTERNAL;
	}
	return 0;
}

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static int help(char **argv)
{
	if (!*argv) {
		eci_help_all();
		return done();
	}
	if (!strcmp(*argv, "topo") && !argv[1]) {
		eci_help_command(ECI_CMD_TOPO_CHECK);
		eci_help_command(ECI_CMD_TOPO_SHOW);
		eci_help_command(ECI_CMD_TOPO_PLAN);
		return done();
	}
	enum eci_cmd cmd = find_command(&argv);
	if (cmd == ECI_CMD_COUNT)
		return ECTX_USAGE;
	eci_help_command(cmd);
	return done();
}

/* A standard descriptor that we were started without would be taken by the next one that is opened: what is read from a
 * closed stdin would be the loop's, what is printed would go to an ssh. An empty stdin is a closed one, writing to a
 * closed stdout stays an error, and who closed stderr wants to hear nothing. */
static void fill_standard(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY) != fd)
			_exit(ECTX_INTERNAL);
}

int main(int argc, char **argv)
{
	fill_standard();
	(void)signal(SIGCHLD, SIG_DFL); /* ignored, as exec(2) hands it on, it costs the exit status of all we start */
	if (argc < 2) {
		eci_usage("no command; see econtext help");
		return ECTX_USAGE;
	}
	argv++;
	if (!strcmp(*argv, "--version") || !strcmp(*argv, "-V")) {
		printf("econtext %s\n", ectx_version());
		return done();
	}
	if (!strcmp(*argv, "help") || is_help(*argv)) {
		argv++; /* `help --help` and `help help` are help as well */
		return help(*argv && (is_help(*argv) || !strcmp(*argv, "help")) ? argv + 1 : argv);
	}
	if (!strcmp(*argv, "topo") && argv[1] && is_help(argv[1])) {
		argv[1] = NULL;
		return help(argv);
	}
	enum eci_cmd cmd = find_command(&argv);
	if (cmd == ECI_CMD_COUNT)
		return ECTX_USAGE;
	struct eci_opts o;
	int status = ECTX_USAGE;
	if (!eci_opts_parse(&o, cmd, argv)) {
		if (o.help)
			eci_help_command(cmd);
		status = o.help ? done() : commands[cmd](&o);
	}
	eci_opts_deinit(&o);
	return status;
}
