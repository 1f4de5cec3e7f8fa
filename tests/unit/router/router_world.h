/* The state of a router under test whose neighbours are played by the test. */
#ifndef ECI_TESTS_ROUTER_WORLD_H
#define ECI_TESTS_ROUTER_WORLD_H

#include "core/cbor.h"
#include "core/mem.h"
#include "router/internal.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ME 64u
#define KIDS 3

struct wire { /* what the router wrote to one link */
	struct eci_link *link;
	struct eci_buf bytes;
	uint8_t body[ECI_FRAME_BODY_MAX];
};

struct world {
	struct eci_router *r;
	struct eci_link *up, *kid[KIDS];
	struct wire wires[KIDS + 1];
	uint64_t now;
	/* deliver hook */
	int delivered;
	enum eci_origin from;
	struct eci_frame last;
	uint8_t *last_body;
	bool served;
	int hellos;
	const char *hello_refusal;
	/* broken hook */
	int broken;
	struct eci_link *broken_link;
	char reason[64];
	int wakes;
};

#endif
