/* transport, internal: what the words of ssh, sudo, su and doas mean. */
#ifndef ECI_TRANSPORT_MESSAGES_H
#define ECI_TRANSPORT_MESSAGES_H

#include "transport/transport.h"

enum eci_message_act {
	ECI_MSG_CHATTER, /* always printed: no evidence */
	ECI_MSG_LOGIN,   /* chatter that says that login is over */
	ECI_MSG_ALSO,    /* not the cause, but shown with it */
	ECI_MSG_CAUSE,   /* the cause, should the tool exit without a marker */
	ECI_MSG_DROPPED, /* the same; worth dialling again */
	ECI_MSG_STATUS,  /* the same; whatever status ssh passes on */
	ECI_MSG_TTY,     /* the same; on a terminal it would work */
	ECI_MSG_TAKEN,   /* the same; the password was right, whatever is said or asked for then */
	ECI_MSG_NOW      /* the cause; do not wait for the tool to ask again */
};

struct eci_message {
	uint8_t methods;  /* bits 1 << enum eci_method */
	bool after_login; /* ssh: also when login is over, and everything may be the words of the remote side */
	enum eci_message_act act;
	const char *pattern; /* '*' any text; a leading '^' binds to the line's start; matches anywhere else */
	enum ectx_phase phase;
	enum ectx_code code;
	const char *hint; /* NULL: the code's */
};

/* The first entry that fits, or NULL. Entries stand in the order of what they tell: of two lines, the one whose entry
 * comes first is the cause. */
const struct eci_message *eci_message_match(enum eci_method method, bool after_login, const char *line);

/* The same for a question; NULL: it does not ask for a change of the password. */
const struct eci_message *eci_message_prompt(enum eci_method method, const char *line);

#endif
