/* Secrets: had once per mesh, kept in memory that is locked, guarded and wiped (libsodium's sodium_malloc), given away
 * only as an answer to a prompt.
 *
 * They are resolved before connecting, in the thread that starts it and without the mesh lock: a human may take a
 * minute at the prompt and the mesh goes on. Who needs none, or those that were had, does not wait for that. A secret
 * that could not be had is remembered with the reason, and becomes the error of the step that asks for it; a step that
 * never asks never fails. */
#include "mesh/secret.h"
#include "io/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct eci_secret_value *find(ectx_mesh *m, const char *name)
{
	struct eci_secret_value *s;
	HASH_FIND_STR(m->secrets, name, s);
	return s;
}

const char **eci_secret_environ(const ectx_mesh *m, const char *const *changes)
{
	size_t n = 0, secrets = 0;
	const struct eci_secret *s;
	while (changes && changes[n])
		n++;
	while (m->topology && eci_topology_secret_at(m->topology, secrets))
		secrets++;
	const char **out = calloc(n + secrets + 1, sizeof *out);
	for (size_t i = 0; out && i < n; i++)
		out[i] = changes[i];
	for (size_t i = 0; out && i < secrets; i++)
		if ((s = eci_topology_secret_at(m->topology, i))->kind == ECI_SECRET_ENV)
			out[n++] = s->text;
	return out;
}

static int read_secret(ectx_mesh *m, const struct eci_secret *decl, char *buf, size_t cap, char *why, size_t why_cap)
{
	const char **env = eci_secret_environ(m, NULL);
	int r = -1;
	if (env)
		r = eci_secret_read(decl, env, buf, cap, &(struct eci_secret_wait){m->give_up, m->ask_arg}, why,
				    why_cap);
	free(env);
	return r;
}

static int ask(ectx_mesh *m, const struct eci_secret *decl, char *buf, size_t cap, char *why, size_t why_cap)
{
	if (decl->kind != ECI_SECRET_PROMPT)
		return read_secret(m, decl, buf, cap, why, why_cap);
	if (!m->ask || m->ask(m->ask_arg, decl->text, buf, cap) < 0) {
		(void)snprintf(why, why_cap, "nobody to ask for secret %s", decl->name);
		return -1;
	}
	eci_secret_cut(buf);
	return 0;
}

/* False: it was given up. It is asked for again at the next need. */
static bool resolve(ectx_mesh *m, const char *name)
{
	const struct eci_secret *decl = eci_topology_secret(m->topology, name);
	struct eci_secret_value *s = calloc(1, sizeof *s);
	char *value = eci_secret_alloc();
	char why[512];
	(void)snprintf(why, sizeof why, "%s", decl ? "no memory" : "not declared");
	int r = s && value && decl ? ask(m, decl, value, ECI_SECRET_MAX, why, sizeof why) : -1;
	if (r == 0 && !value[0]) { /* given, it would be a wrong password of that account on every host that asks */
		(void)snprintf(why, sizeof why, "secret %s: it is empty", name);
		r = -1;
	}
	bool given_up = m->give_up && m->give_up(m->ask_arg);
	if (r < 0 || given_up) {
		eci_secret_free(value);
		value = NULL;
	}
	if (!s || given_up) {
		eci_secret_free(value);
		free(s);
		return !given_up;
	}
	s->name = strdup(name);
	s->value = value;
	s->why = strdup(why);
	eci_lock(m);
	if (s->name)
		HASH_ADD_KEYPTR(hh, m->secrets, s->name, strlen(s->name), s);
	eci_unlock(m);
	if (s->hh.tbl) /* else it is asked for again at the next need */
		return true;
	eci_secret_free(value);
	free(s->name);
	free(s->why);
	free(s);
	return true;
}

/* Or is known not to be; it stays so. */
static bool is_had(ectx_mesh *m, const char *name)
{
	eci_lock(m);
	bool had = find(m, name) != NULL;
	eci_unlock(m);
	return had;
}

bool eci_secrets_resolve(ectx_context *c, struct eci_fail *fail)
{
	ectx_mesh *m = c->mesh;
	bool wanted = true;
	for (; c && wanted; c = c->parent) { /* parent, target: fixed since the context was made */
		if (!c->target.secret || is_had(m, c->target.secret))
			continue;
		(void)pthread_mutex_lock(&m->ask_lock);
		if (!is_had(m, c->target.secret)) /* nor by who was asked meanwhile */
			wanted = resolve(m, c->target.secret);
		(void)pthread_mutex_unlock(&m->ask_lock);
	}
	if (!wanted)
		*fail = (struct eci_fail){.phase = ECTX_PHASE_CONNECT, .code = ECTX_E_CANCELLED};
	return wanted;
}

const char *eci_secret_get(ectx_mesh *m, const char *name, const char **why)
{
	struct eci_secret_value *s = find(m, name);
	*why = s && s->why ? s->why : "not had";
	return s ? s->value : NULL;
}

void eci_secrets_free(ectx_mesh *m)
{
	struct eci_secret_value *s, *next;
	HASH_ITER(hh, m->secrets, s, next)
	{
		HASH_DEL(m->secrets, s);
		eci_secret_free(s->value);
		free(s->why);
		free(s->name);
		free(s);
	}
}
