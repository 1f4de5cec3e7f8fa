/* The ids of an attempt that failed: the next one has them again, unless somebody may know them still. */
#include "mesh/internal.h"
#include "mesh_support.h"

static const char nodes_ssh[] = "econtext: 1\n"
				"defaults: {native: %s}\n"
				"nodes:\n"
				"  r: {local: {}, timeout: {idle: 60s}}\n"
				"  below: {via: r, ssh: {host: h}, native: never}\n"
				"  quiet: {via: r, ssh: {host: h}, timeout: {connect: 1s, boot: 1s}}\n"
				"  first: {ssh: {host: h}, native: never}\n"
				"  many[1-1000]: {via: first, local: {}}\n";

/* What stands for ssh: it may be refused, or come to be this host, where the agent may end in its preamble. */
#define THERE "for last; do :; done\n"
static const char refused[] = "#!/bin/sh\necho refused >&2\nexit 255\n",
		  there[] = "#!/bin/sh\n" THERE "exec sh -c \"$last\"\n",
		  half[] = "#!/bin/sh\n" THERE "head -c 10 | sh -c \"$last\"\n";

static struct world open_with(const char *ssh)
{
	struct world w = world_open();
	char text[1024], path[4096];
	ectx_error err = {0};
	const char *native = getenv("MESH_TEST_NATIVE");
	ectx_mesh_free(w.mesh);
	ectx_topology_free(w.topology);
	(void)snprintf(text, sizeof text, nodes_ssh, native ? native : "auto");
	put_file(w.dir, "ssh", ssh, 0755);
	(void)snprintf(path, sizeof path, "%s:%s", w.dir, getenv("PATH"));
	cr_assert(setenv("PATH", path, 1) == 0);
	w.topology = ectx_topology_parse(text, strlen(text), "test", &err);
	cr_assert(w.topology, "%s", err.saw);
	w.mesh = mesh_over(&w, 0);
	return w;
}

/* As another file: the one that is there may be executed right now. */
static void change(struct world *w, const char *ssh)
{
	char from[128], to[128];
	put_file(w->dir, "new", ssh, 0755);
	(void)snprintf(from, sizeof from, "%s/new", w->dir);
	(void)snprintf(to, sizeof to, "%s/ssh", w->dir);
	cr_assert(rename(from, to) == 0);
}

static bool connects(ectx_context *c)
{
	ectx_error e = {0};
	return ectx_connect(c, WITHIN, &e) == ECTX_OK;
}

struct ids {
	uint32_t id, kept, next; /* next: that the parent gives */
};

static struct ids ids_of(ectx_context *c)
{
	eci_lock(c->mesh);
	struct ids x = {c->id, c->kept_id, c->parent ? c->parent->free_lo : c->mesh->next_id};
	eci_unlock(c->mesh);
	return x;
}

/* Of a relay, which may be no Python. */
static pid_t relay_pid(ectx_context *c)
{
	cr_assert(connects(c));
	eci_lock(c->mesh);
	pid_t pid = (pid_t)c->pid;
	eci_unlock(c->mesh);
	cr_assert(pid > 1);
	return pid;
}

static void fails_and_keeps(struct world *w, const char *name)
{
	ectx_context *c = get(w->mesh, name);
	cr_assert(!c->parent || connects(c->parent));
	cr_assert(!connects(c));
	struct ids first = ids_of(c);
	cr_assert(first.kept && !first.id, "%u, %u", first.kept, first.id);
	for (int i = 0; i < 5; i++) {
		cr_assert(!connects(c));
		struct ids again = ids_of(c);
		cr_expect(again.kept == first.kept && again.next == first.next, "%u, not %u", again.kept, first.kept);
	}
	change(w, there);
	cr_expect(call_int(c, "work:add", "[1]") == 1);
	struct ids up = ids_of(c);
	cr_expect(up.id == first.kept && !up.kept && up.next == first.next, "%u, not %u", up.id, first.kept);
	pid_t pid = pid_of(c);
	cr_assert(kill(pid, SIGKILL) == 0 && gone(pid, WITHIN));
	while (ids_of(c).id)
		nap_ms(5);
	cr_expect(!ids_of(c).kept, "it was a link");
	cr_expect(pid_of(c) != pid && ids_of(c).id != up.id);
}

Test(redial, ids_of_one_below_a_relay)
{
	struct world w = open_with(refused);
	fails_and_keeps(&w, "below");
	world_close(&w);
}

/* With many below it: all of theirs. */
Test(redial, ids_of_a_child_of_the_master)
{
	struct world w = open_with(refused);
	(void)get(w.mesh, "many1");
	fails_and_keeps(&w, "first");
	world_close(&w);
}

Test(redial, ids_that_were_promoted)
{
	struct world w = open_with(half);
	ectx_context *c = get(w.mesh, "below");
	cr_assert(connects(c->parent));
	uint32_t next = ids_of(c).next;
	cr_assert(!connects(c));
	struct ids x = ids_of(c);
	cr_expect(!x.kept && x.next != next, "%u, %u", x.kept, x.next);
	world_close(&w);
}

/* Its relay may still start it, and then knows the ids. */
Test(redial, ids_of_one_whose_end_was_not_said)
{
	struct world w = open_with(refused);
	ectx_context *c = get(w.mesh, "quiet");
	pid_t pid = relay_pid(c->parent);
	struct ids before = ids_of(c);
	cr_assert(kill(pid, SIGSTOP) == 0);
	cr_assert(!connects(c));
	cr_expect(!ids_of(c).kept);
	cr_assert(kill(pid, SIGCONT) == 0);
	ectx_context *below = get(w.mesh, "below");
	change(&w, there);
	cr_expect(call_int(below, "work:add", "[1]") == 1);
	cr_expect(ids_of(below).id > before.next, "%u", ids_of(below).id);
	world_close(&w);
}

Test(redial, ids_of_a_parent_that_was_lost)
{
	struct world w = open_with(refused);
	ectx_context *c = get(w.mesh, "below"), *r = get(w.mesh, "r");
	pid_t pid = relay_pid(r);
	cr_assert(!connects(c));
	uint32_t kept = ids_of(c).kept;
	cr_assert(kill(pid, SIGKILL) == 0 && gone(pid, WITHIN));
	while (ids_of(r).id)
		nap_ms(5);
	change(&w, there);
	cr_expect(call_int(c, "work:add", "[1]") == 1);
	cr_expect(kept && ids_of(c).id > kept && ids_of(c).id > ids_of(r).id);
	world_close(&w);
}
