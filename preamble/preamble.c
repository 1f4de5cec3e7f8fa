/* First stage and access to the embedded agent.
 *
 * The first stage is one text for every login shell: it is single-quoted inside `exec sh -c '...'`, so it holds no
 * single quote, no newline, no `!` (csh expands it even in quotes) and no backslash. The interpreter gets one line of
 * code as its argument, because `read -r` is the only thing in a shell that takes an exact number of bytes from a pipe;
 * all that follows stays in the pipe. The nonce is an argument, not a random number made here: this layer is pure, and
 * the caller must know what to look for.
 *
 * A shell that echoes its input shows `EC:nonce:$p:`; the real marker has the interpreter's name there. stty comes
 * first, for a cooked terminal would mangle what is sent behind the marker.
 *
 * What `command -v` says is not sent to /dev/null: where there is none (a chroot), root would make a file of that name,
 * which stays and is read by all who want nothing, and anybody else would find no interpreter.
 *
 * Not printf with octal escapes or base64 into a variable: both need the payload twice as long, and a second
 * interpreter start. */
#include "preamble/preamble.h"

#include "core/interpreter.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

extern const struct eci_part eci_generated_python;
extern const struct eci_part eci_generated_parts[];
extern const struct eci_part eci_generated_served[];
extern const struct eci_part eci_generated_shell[];
extern const struct eci_native eci_generated_native[];

static const char LOWER_DIGITS[] = "abcdefghijklmnopqrstuvwxyz0123456789";

const uint8_t *eci_preamble_python(size_t *len)
{
	*len = eci_generated_python.len;
	return eci_generated_python.bytes;
}

static const struct eci_part *nth(const struct eci_part *p, size_t i)
{
	for (; p->name; p++)
		if (i-- == 0)
			return p;
	return NULL;
}

const struct eci_part *eci_preamble_parts(size_t i)
{
	return nth(eci_generated_parts, i);
}

const struct eci_part *eci_preamble_served(size_t i)
{
	return nth(eci_generated_served, i);
}

const char *eci_preamble_shell(const char *name)
{
	for (const struct eci_part *p = eci_generated_shell; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return (const char *)p->bytes;
	return NULL;
}

const uint8_t *eci_preamble_part(const char *name, size_t *len)
{
	*len = 0;
	for (const struct eci_part *p = eci_generated_parts; p->name; p++)
		if (strcmp(p->name, name) == 0) {
			*len = p->len;
			return p->bytes;
		}
	return NULL;
}

const struct eci_native *eci_preamble_native(size_t i)
{
	const struct eci_native *n = eci_generated_native;
	while (n->arch && i--)
		n++;
	return n->arch ? n : NULL;
}

/* The families whose members have names of their own and run the same program: armv7l also stands for a 64-bit machine
 * that shows itself as 32-bit (armv8l). The agent for 32-bit ARM is built for version 7. */
static bool runs(const char *machine, const char *arch)
{
	if (strcmp(machine, arch) == 0)
		return true;
	if (strcmp(arch, "armv7l") == 0)
		return strncmp(machine, "armv7", 5) == 0 || strncmp(machine, "armv8", 5) == 0;
	return strcmp(arch, "i686") == 0 && strlen(machine) == 4 && machine[0] == 'i' && machine[1] >= '6' &&
	       machine[1] <= '9' && strcmp(machine + 2, "86") == 0;
}

const struct eci_native *eci_preamble_native_for(const char *machine)
{
	for (const struct eci_native *n = eci_generated_native; n->arch; n++)
		if (runs(machine, n->arch))
			return n;
	return NULL;
}

static int write_stage(char *out, size_t cap, const char *nonce, const char *interpreter, const char *before,
		       const char *after)
{
	const char *first = interpreter ? interpreter : "python3 python python2";

	if (strlen(nonce) != ECI_NONCE_LEN || strspn(nonce, LOWER_DIGITS) != ECI_NONCE_LEN)
		return -1;
	if (interpreter) {
		size_t n = strlen(interpreter);
		/* A leading dash would be an option of exec. */
		if (n == 0 || n > ECI_INTERPRETER_MAX || strspn(interpreter, ECI_INTERPRETER_CHARS) != n ||
		    interpreter[0] == '-')
			return -1;
	}
	int n = snprintf(
		out, cap,
		"%s[ -t 0 ]&&stty raw -echo;for p in %s perl sh;do [ \"`command -v $p`\" ]&&break;done;"
		"echo \"EC:%s:$p:`uname -sm`\";read -r l;case $p in *perl)exec $p -e \"$l\";;sh);;*)l=\"import "
		"sys;$l\";esac;exec $p -c \"$l\"%s",
		before, first, nonce, after);
	return n < 0 || (size_t)n >= cap ? -1 : n;
}

int eci_first_stage(char *out, size_t cap, const char *nonce, const char *interpreter)
{
	return write_stage(out, cap, nonce, interpreter, "", "");
}

int eci_first_stage_command(char *out, size_t cap, const char *nonce, const char *interpreter)
{
	return write_stage(out, cap, nonce, interpreter, "exec sh -c '", "'");
}
