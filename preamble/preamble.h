/* preamble: the bytes that turn a shell on another host into a context (docs/boot.md): first stage, Python agent,
 * parts, native agents. The Python bytes are built from preamble/python by preamble/build.py, the native ones by
 * preamble/native/make.py; nothing here allocates or does I/O. */
#ifndef ECI_PREAMBLE_H
#define ECI_PREAMBLE_H

#include <stddef.h>
#include <stdint.h>

#define ECI_NONCE_LEN 8u /* 36^8: no banner or earlier output hits it by accident */

struct eci_part {
	const char *name;
	const uint8_t *bytes;
	size_t len;
};

/* What is sent after the marker of a Python interpreter: LINE, newline, N bytes; exactly as sent. */
const uint8_t *eci_preamble_python(size_t *len);
/* zlib source for PART: "relay", "exec", "stats", "stream", "cancel", "program"; NULL and *len 0 if there is no such
 * part. */
const uint8_t *eci_preamble_part(const char *name, size_t *len);
/* The i-th part, or NULL past the last. */
const struct eci_part *eci_preamble_parts(size_t i);

/* Modules of ours that are served like any other when they are imported: source text. The i-th, or NULL past the last.
 */
const struct eci_part *eci_preamble_served(size_t i);

/* A script for a POSIX shell, NUL-terminated: "put", "get" (preamble/shell, without its comments). NULL: another. */
const char *eci_preamble_shell(const char *name);

/* The native agent for one kind of machine: a static ELF that runs from RAM. */
struct eci_native {
	const char *arch;   /* as uname -m says it: x86_64, aarch64, armv7l, riscv64, i686 */
	const uint8_t *elf; /* ready to be executed */
	size_t elf_len;
	const uint8_t *packed; /* the same in zlib format: what is sent to whoever can inflate */
	size_t packed_len;
};
/* The i-th, or NULL past the last: those whose compiler was there when this was built. */
const struct eci_native *eci_preamble_native(size_t i);
/* The one that a machine runs whose uname -m is this (armv7 and armv8, i686 and i786 are families); NULL. */
const struct eci_native *eci_preamble_native_for(const char *machine);

/* What turns an interpreter into the native agent: code for Python 2.4 on, for perl, for a POSIX shell. */
enum eci_loader { ECI_LOADER_PYTHON, ECI_LOADER_PERL, ECI_LOADER_SH };
#define ECI_LOADER_MAX 4096u /* the line, with room */
#define ECI_TITLE_ROOM 110u  /* bytes of arguments for the title: 100 are sent at most */
/* The line, newline and NUL included, into out. nonce: part of the name of the file that may have to be made. Length,
 * or -1: cap is too small. */
int eci_preamble_loader(char *out, size_t cap, enum eci_loader kind, const struct eci_native *native,
			const char *nonce);
/* The bytes that follow the line. */
const uint8_t *eci_preamble_loaded(enum eci_loader kind, const struct eci_native *native, size_t *len);

/* FIRST STAGE text, NUL-terminated, into out. nonce: ECI_NONCE_LEN characters of [0-9a-z]. interpreter: NULL to search,
 * else a name or path as core/interpreter.h allows, taken as it is. Length of the text, or -1: cap is too small, or an
 * argument has other characters (nothing may have a meaning for any shell). */
int eci_first_stage(char *out, size_t cap, const char *nonce, const char *interpreter);
/* The same as one command line: exec sh -c 'FIRST STAGE'. */
int eci_first_stage_command(char *out, size_t cap, const char *nonce, const char *interpreter);

#endif
