/* Fuzz target: the boot dialogue. The first byte chooses method, feed and secret; then come events, a byte for what
 * happens (and how many bytes, or how much later) and what it brings.
 *
 * The driver keeps to transport.h: it reports an exit only of a process that runs, and time does not go back. In
 * return: one process runs at a time, a process is asked for its secret's value once, nothing is written to one that
 * does not run, FAIL is final and comes when nothing runs (or what was killed does not end within a second), the marker
 * has its shape, and the evidence stays within its bound. */
#include "transport/transport.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play {
	struct eci_dialogue *d;
	const uint8_t *p;
	size_t n;
	uint64_t now;
	unsigned spawns, answers;
	bool runs, started, killed, promoted, over, native;
};

static void must(bool promise)
{
	if (!promise)
		abort();
}

static void answered(struct play *p, const struct eci_action *a)
{
	must(p->runs && p->answers++ == 0 && strcmp(a->secret, "pw") == 0);
}

static void act(struct play *p)
{
	for (unsigned i = 0;; i++) {
		struct eci_action a = eci_dialogue_next(p->d);
		must(i < 16 && (!p->over || a.kind == ECI_ACT_NONE));
		switch (a.kind) {
		case ECI_ACT_NONE:
			return;
		case ECI_ACT_SPAWN:
			must(!p->runs && a.recipe->argv[0] && ++p->spawns <= 16);
			p->runs = true;
			p->started = p->killed = false;
			p->answers = 0;
			break;
		case ECI_ACT_KILL:
			must(p->runs);
			p->killed = true;
			break;
		case ECI_ACT_WRITE:
			must(p->runs && a.len > 0);
			break;
		case ECI_ACT_ANSWER:
			answered(p, &a);
			break;
		case ECI_ACT_PROMOTE:
			must(p->runs && !p->promoted && a.interpreter[0]);
			must(a.agent == ECI_AGENT_NATIVE ||
			     (strcmp(a.interpreter, "sh") && strcmp(a.interpreter, "perl")));
			must(a.agent == ECI_AGENT_PYTHON || p->native);
			p->promoted = true;
			break;
		case ECI_ACT_NEXT_AGENT:
			must(p->promoted && p->native);
			/* fall through */
		case ECI_ACT_FAIL:
			must((!p->runs || p->killed) && a.fail->code != ECTX_E_NONE);
			p->over = true;
			break;
		}
	}
}

/* The next n bytes at most; how many there are. */
static size_t take(struct play *p, size_t n, const uint8_t **out)
{
	n = n < p->n ? n : p->n;
	*out = p->p;
	p->p += n;
	p->n -= n;
	return n;
}

static void event(struct play *p)
{
	const uint8_t *s;
	size_t n;
	(void)take(p, 1, &s);
	unsigned what = *s & 7u, more = *s >> 3;
	if (!p->started && p->runs && what != 7) {
		p->started = true;
		eci_dialogue_started(p->d, p->now);
		act(p);
	}
	switch (what) {
	case 0:
	case 1:
	case 2:
		n = take(p, more == 31 ? 4096 : more, &s);
		if (p->runs && n)
			eci_dialogue_bytes(p->d, (enum eci_from)(what + 1), s, n, p->now);
		break;
	case 3:
		p->now += 1u << (more & 15u);
		break;
	case 4:
		if (p->runs) {
			p->runs = false;
			eci_dialogue_exited(p->d, more & 1u ? (int)more << 8 : (int)(more >> 1), p->now);
		}
		break;
	case 5:
		if (p->answers == 1 && p->runs)
			eci_dialogue_no_secret(p->d, "none", p->now);
		break;
	case 6:
		if (p->promoted && !p->over && !(more & 1u)) {
			p->over = !p->killed; /* too late, while it is being ended */
			eci_dialogue_up(p->d, p->now);
		} else if (p->promoted && !p->over) {
			p->runs = false;
			eci_dialogue_link_lost(p->d, "eof", 0, "gone", p->now);
		}
		break;
	default:
		if (p->runs && !p->started) {
			p->runs = false;
			eci_dialogue_spawn_failed(p->d, 2, "No such file or directory", p->now);
		}
	}
	act(p);
	(void)eci_dialogue_tick(p->d, p->now);
	act(p);
}

static bool has_native(const char *machine)
{
	return *machine == 'x';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct eci_timeouts limits = ECI_TIMEOUTS_DEFAULT;
	if (size == 0)
		return 0;
	struct eci_target t = {.method = (enum eci_method)(data[0] % 5u), .user = "app", .timeout = limits};
	t.host = t.method == ECI_SSH ? "web1" : NULL;
	t.feed = data[0] & 32;
	t.secret = data[0] & 64 ? "pw" : NULL;
	struct play p = {.p = data + 1, .n = size - 1, .now = 1000, .native = data[0] & 128};
	if (p.native)
		t.agents = (struct eci_agents){.count = 2, .kind = {ECI_AGENT_NATIVE, ECI_AGENT_PYTHON}};
	p.d = eci_dialogue_new(&t, "k3j9x2ab", "echo EC:k3j9x2ab:$p:`uname -sm`;read -r l", p.now);
	must(p.d != NULL);
	eci_dialogue_natives(p.d, has_native);
	act(&p);
	while (p.n)
		event(&p);
	must(strlen(eci_dialogue_evidence(p.d)) <= 4u * ECI_EVIDENCE_MAX);
	eci_dialogue_free(p.d);
	return 0;
}
