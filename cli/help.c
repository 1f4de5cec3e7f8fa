/* cli: what `econtext help` says. The list of options is made from the table in opts.c; the rest is here, one entry a
 * command, in the order of enum eci_cmd. */
#include "cli/opts.h"

#include <stdio.h>

static const struct eci_cmd_text texts[ECI_CMD_COUNT] = {
	[ECI_CMD_TOPO_CHECK] =
		{"topo check", "[FILE]", "check the topology file",
		 "Prints `FILE: ok`, or FILE:LINE:COL, what is wrong and a suggestion (exit status 2).\n"},
	[ECI_CMD_TOPO_SHOW] = {"topo show", "[OPTION...]", "settings of the targets, and where each came from",
			       "Without -w, -g: every node of the topology.\n"},
	[ECI_CMD_TOPO_PLAN] = {"topo plan", "[OPTION...]", "how the targets would be reached; connects nowhere",
			       "For each context: the hop path, the exact argv at each hop, secrets that will be "
			       "asked, round trips.\n"},
	[ECI_CMD_EXEC] =
		{"exec", "-w TARGETS [OPTION...] [--] COMMAND [ARG...]", "run a command there",
		 "Prints `NODE: line` on stdout or stderr as it comes. COMMAND with ARGs is executed as it is, without "
		 "a shell. COMMAND\n"
		 "alone, when it holds blanks or characters that mean something to a shell, is run by `sh -c`:\n"
		 "  econtext exec -w @web uptime\n"
		 "  econtext exec -w @web 'cd /srv && du -sh * | sort -h'\n"},
	[ECI_CMD_CALL] =
		{"call", "-w TARGETS [OPTION...] FUNCTION [ARG...] [-- K=V...]", "call a Python function there",
		 "FUNCTION is module:function, module:Class.method or ./file.py:function. An ARG or V that parses as "
		 "JSON is that value,\n"
		 "else text. Prints `NODE: VALUE`, VALUE being one line of JSON (bytes as {\"$bytes\": base64}).\n"
		 "  econtext call -w web001 os:getuid\n"
		 "  econtext call -w web001 ./tool.py:check /srv 3 -- deep=true\n"},
	[ECI_CMD_RUN] = {"run", "-w TARGETS [OPTION...] SCRIPT [ARG...]", "run a local script there",
			 "A Python script, with what it imports served from here; or, when its first line names a "
			 "shell (#!/bin/sh),\n"
			 "that shell's. Nothing is written there. All after SCRIPT is its own.\n"},
	[ECI_CMD_TREE] = {"tree", "-w TARGETS [OPTION...]", "connect, and show the contexts",
			  "--json prints one object a context: name, id, parent, transport, agent, arch, python, "
			  "state, rtt_us and counters.\n"},
	[ECI_CMD_TRACE] = {"trace", "-w TARGETS [OPTION...]", "route to the targets, and the time per hop", ""},
	[ECI_CMD_CP] =
		{"cp", "[OPTION...] SRC... TARGETS:DST | TARGETS:SRC... DST", "copy files there, or here",
		 "Folders with all in them, with modes and times; checked by digest; what fails leaves nothing. To "
		 "several "
		 "targets over\n"
		 "each link once. From several: a folder for each. Into DST if it is a folder, ends in / or there are "
		 "several SRC.\n"
		 "  econtext cp app.tar.gz @web:/srv/\n"
		 "  econtext cp '@web:/var/log/app.log' logs/\n"},
	[ECI_CMD_TUNNEL] =
		{"tunnel", "NAME | -L|-R [ADDR:]PORT:HOST:PORT --exit NODE[:USER]",
		 "TCP and unix sockets through a context",
		 "NAME is one of the topology's tunnels. -L listens here and connects from the exit, -R listens at the "
		 "exit and connects\n"
		 "from here; a word with a slash is a unix socket. Names are resolved where the connection "
		 "is made. Says on stderr\n"
		 "where it listens; ^C ends it.\n"
		 "  econtext tunnel db\n"
		 "  econtext tunnel -L 5432:127.0.0.1:5432 --exit db01:app\n"},
	[ECI_CMD_SOCKS] =
		{"socks", "-D [ADDR:]PORT --exit NODE[:USER]", "a SOCKS 5 proxy whose connections leave there",
		 "CONNECT to IPv4, IPv6 and names, which are resolved at the exit. Listens on loopback unless "
		 "told otherwise.\n"
		 "  econtext socks -D 1080 --exit web001 &  curl --socks5-hostname 127.0.0.1:1080 "
		 "http://intranet/\n"},
	[ECI_CMD_CONNECT] = {"connect", "[OPTION...] NODE HOST PORT", "one connection, on stdin and stdout",
			     "For ssh's ProxyCommand, git and the like; works where sshd forbids forwarding.\n"
			     "  ssh -o ProxyCommand='econtext connect dc1-relay %h %p' web001\n"},
	[ECI_CMD_PREAMBLE] =
		{"preamble", "--size", "what a boot sends",
		 "One `NAME BYTES` a line: command, python, each part that is served later, the native agents.\n"},
};

const struct eci_cmd_text *eci_cmd_text(enum eci_cmd cmd)
{
	return &texts[cmd];
}

static const char statuses[] = "Exit status: 0 all well, 1 a remote command or call failed, 2 usage or topology, 3 "
			       "unreachable, 4 authentication or become\n"
			       "refused, 5 deadline, 6 outcome unknown (lost while running), 7 internal, 130 "
			       "interrupted; of several 7>6>4>3>5>1.\n";

void eci_help_all(void)
{
	puts("usage: econtext COMMAND [OPTION...] [ARG...]\n");
	for (int i = 0; i < ECI_CMD_COUNT; i++)
		printf("  %-12s %s\n", texts[i].name, texts[i].summary);
	puts("  help         this text; help COMMAND: that of a command\n"
	     "  --version    the version\n");
	puts("Targets (-w): web001  web[001-010,300]  @group  !not-this  NODE:USER  @group:USER  bastion/web001:root");
	puts("Options stand before the first argument; -- ends them.\n");
	fputs(statuses, stdout);
}

void eci_help_command(enum eci_cmd cmd)
{
	const struct eci_cmd_text *t = &texts[cmd];
	printf("usage: econtext %s %s\n\n%c%s.\n", t->name, t->usage, t->summary[0] & ~0x20, t->summary + 1);
	if (*t->text)
		printf("%s", t->text);
	puts("\nOptions:");
	eci_opts_help(cmd);
	printf("\n%s", statuses);
}
