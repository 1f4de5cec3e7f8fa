/* core: what may be named as an interpreter. It is written bare into a command line for any shell, so nothing in it may
 * have a meaning for one. */
#ifndef ECI_CORE_INTERPRETER_H
#define ECI_CORE_INTERPRETER_H

#define ECI_INTERPRETER_MAX 200u /* bytes; a longer path is refused */
#define ECI_INTERPRETER_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/+-"

#endif
