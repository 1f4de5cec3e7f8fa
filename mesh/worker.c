/* Workers: the Python of a native context.
 *
 * A native agent runs no Python. When somebody calls one at native context N, the master boots one beside it: a context
 * of its own, started by N with the `local` recipe, whose id is N's plus one, kept for it when N got its block. It is
 * made at the first need, under the lock, so once however many threads call; it stays while N does.
 *
 * The program does not see it. It holds N; errors, logs and events name N; only `tree` shows the worker, because it is
 * a process with traffic of its own. So a future has two contexts: `context`, the program's, and `at`, where it is
 * listed and where its frames go.
 *
 * Why not a Python agent in N's place for good, once one is needed: N's children and streams hang on it. */
#include "mesh/worker.h"

ectx_context *eci_worker_of(ectx_context *c)
{
	if (c->worker)
		return c->worker;
	ectx_context *w = eci_context_add(c->mesh, c->name, c);
	if (!w)
		return NULL;
	w->host = c;
	w->target = (struct eci_target){
		.method = ECI_LOCAL,
		.python = c->target.python,
		.title = c->target.title,
		.agents = {.count = 1, .kind = {ECI_AGENT_PYTHON}},
		.timeout = c->target.timeout,
	};
	return c->worker = w;
}

ectx_context *eci_context_shown(const ectx_context *c)
{
	return c && c->host ? c->host : (ectx_context *)(uintptr_t)c;
}

bool eci_worker_takes(const struct ectx_future *f)
{
	const ectx_context *c = f->context;
	return c && f->at == c && (f->kind == ECI_OP_CALL || f->kind == ECI_OP_RUN) && eci_context_reachable(c) &&
	       c->native;
}

void eci_worker_give_back(ectx_context *c)
{
	ectx_context *w = c->worker;
	while (w && w->ops) {
		struct ectx_future *f = w->ops;
		DL_DELETE(w->ops, f);
		f->at = c;
		DL_APPEND(c->ops, f);
	}
}
