/* Commands, each with two streams to who asked.
 *
 * A job lives from EXEC to its answer, which goes when the process has ended and both streams have. Invariant: no more
 * is read from an output than its stream has credit for (and nothing while much of our bulk waits for the parent), so
 * that a receiver who stops holds the command at its pipe and not in anybody's memory.
 *
 * stdin is the other direction of the stdout stream. What comes before the process is there cannot be (its sender
 * does not know where to yet); the host gives credit back as the process takes it.
 *
 * A stream that was cut short is closed towards the command, which learns it by SIGPIPE.
 *
 * A job with stdin stays after its answer, without a process, until its input has ended too: were the handle gone, what
 * is still sent to it would be answered with a dead notice, and that overtakes the output on its way up. */
#include "service/exec.h"

#include "core/cbor.h"
#include "core/mem.h"
#include "router/stream.h"
#include "service/words.h"

enum { OUT = 1, ERR = 2 };

struct output {
	struct eci_job *job;
	int which;
	struct eci_stream *stream;
	bool ended;
};

struct eci_job {
	struct eci_jobs *all;
	struct eci_job *next;
	uint32_t src, slot;
	void *proc;
	struct output outs[2];
	bool input, over; /* over: answered, and there for what is still sent to it */
};

struct eci_jobs {
	struct eci_router *router;
	const struct eci_job_host *host;
	void *ctx;
	struct eci_job *list;
	uint32_t n;
};

struct eci_jobs *eci_jobs_new(struct eci_router *r, const struct eci_job_host *host, void *ctx)
{
	struct eci_jobs *all = eci_mem_alloc(sizeof *all);
	if (all)
		*all = (struct eci_jobs){.router = r, .host = host, .ctx = ctx};
	return all;
}

void *eci_job_proc(const struct eci_job *j)
{
	return j->proc;
}

/* ---- streams ---- */

static void forget(struct eci_job *j)
{
	struct eci_job **at = &j->all->list;
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	j->all->n--;
	for (int i = 0; i < 2; i++)
		eci_stream_free(j->outs[i].stream, NULL, NULL, 0);
	eci_mem_free(j);
}

static void cut(struct eci_job *j, int which)
{
	if (j->proc)
		j->all->host->cut(j->all->ctx, j->proc, which);
}

/* Whatever is dead ends the stream: the host closes the output and reports its end. Nobody writes its input any more
 * either. */
static void on_dead(void *arg, const struct eci_answer *a)
{
	struct output *o = arg;
	(void)a;
	if (o->job->over) {
		forget(o->job);
		return;
	}
	if (o->which == OUT && o->job->input && o->job->proc)
		o->job->all->host->input(o->job->all->ctx, o->job->proc, NULL, 0);
	cut(o->job, o->which);
}

static void on_input(void *arg, const uint8_t *p, size_t n)
{
	struct output *o = arg;
	if (o->which == OUT && o->job->input && o->job->proc)
		o->job->all->host->input(o->job->all->ctx, o->job->proc, p, n);
	else /* nobody's stdin: dropped */
		eci_stream_took(o->stream, n, 0);
}

static void on_input_end(void *arg)
{
	struct output *o = arg;
	if (o->job->over)
		forget(o->job);
	else
		on_input(arg, NULL, 0);
}

static const struct eci_stream_ops ops = {.data = on_input, .ended = on_input_end, .dead = on_dead};

size_t eci_job_room(const struct eci_job *j, int which)
{
	size_t room = eci_stream_room(j->outs[which - OUT].stream);
	return room < ECI_BULK_BODY_MAX ? room : ECI_BULK_BODY_MAX;
}

void eci_job_output(struct eci_job *j, int which, const uint8_t *p, size_t n, uint64_t now_ms)
{
	if (eci_stream_send(j->outs[which - OUT].stream, p, n, now_ms)) /* bytes are missing: nothing may follow them */
		cut(j, which);
}

void eci_job_ended(struct eci_job *j, int which, uint64_t now_ms)
{
	(void)eci_stream_end(j->outs[which - OUT].stream, now_ms);
}

void eci_job_took(struct eci_job *j, size_t n, uint64_t now_ms)
{
	eci_stream_took(j->outs[0].stream, n, now_ms);
}

/* ---- the end ---- */

static void answer(struct eci_job *j, struct eci_buf *b, uint64_t now_ms)
{
	(void)eci_router_send_buf(j->all->router, j->src, j->slot, 0, b, now_ms);
	if (!j->input || !j->proc || !eci_stream_handle(j->outs[0].stream) || eci_stream_over(j->outs[0].stream)) {
		forget(j);
		return;
	}
	eci_stream_free(j->outs[1].stream, NULL, NULL, 0);
	j->outs[1].stream = NULL;
	j->proc = NULL;
	j->slot = 0;
	j->over = true;
}

void eci_job_exited(struct eci_job *j, int wait_status, uint64_t now_ms)
{
	unsigned sig = (unsigned)wait_status & 127, status = (unsigned)wait_status >> 8 & 255;
	struct eci_buf b = ECI_BUF_NULL;
	eci_job_ended(j, OUT, now_ms);
	eci_job_ended(j, ERR, now_ms);
	eci_cbor_put_array(&b, 3);
	eci_cbor_put_uint(&b, 0);
	eci_cbor_put_uint(&b, sig ? 0 : status);
	eci_cbor_put_uint(&b, sig);
	answer(j, &b, now_ms);
}

static void failed(struct eci_job *j, const char *what, int err, uint64_t now_ms)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 3);
	eci_cbor_put_uint(&b, 1);
	eci_words_why(&b, what, j->all->host->explain(j->all->ctx, err), err);
	answer(j, &b, now_ms);
}

/* ---- requests ---- */

struct request {
	char **argv, **env, **cwd;
	uint32_t far[2];
	uint32_t pty, rows, cols, input;
};

static const struct eci_word exec_words[] = {
	{ECI_FIELD_ARGV, offsetof(struct request, argv)},  {ECI_FIELD_ENV, offsetof(struct request, env)},
	{ECI_FIELD_WORD, offsetof(struct request, cwd)},   {ECI_FIELD_U32, offsetof(struct request, far[0])},
	{ECI_FIELD_U32, offsetof(struct request, far[1])}, {ECI_FIELD_SIZE, offsetof(struct request, pty)},
	{ECI_FIELD_BOOL, offsetof(struct request, input)},
};

static bool parse(struct request *r, struct eci_cbor *c)
{
	return eci_words_read(c, r, exec_words, sizeof exec_words / sizeof *exec_words) && r->argv && r->far[0] &&
	       r->far[1];
}

static struct eci_job *find(const struct eci_jobs *all, uint32_t src, uint64_t slot)
{
	struct eci_job *j = all->list;
	while (j && (j->over || j->src != src || j->slot != slot))
		j = j->next;
	return j;
}

static struct eci_job *job_new(struct eci_jobs *all, const struct eci_frame *f, const struct request *r)
{
	struct eci_job *j = eci_mem_alloc(sizeof *j);
	if (!j)
		return NULL;
	*j = (struct eci_job){.all = all, .next = all->list, .src = f->src, .slot = f->reply_to};
	all->list = j;
	all->n++;
	for (int i = 0; i < 2; i++) {
		j->outs[i].job = j;
		j->outs[i].which = OUT + i;
		j->outs[i].stream = eci_stream_new(all->router, f->src, r->far[i], &ops, &j->outs[i]);
		if (!j->outs[i].stream) {
			forget(j);
			return NULL;
		}
	}
	return j;
}

static void start(struct eci_jobs *all, const struct eci_frame *f, struct eci_cbor *c, uint64_t now_ms)
{
	struct request r = {0};
	struct eci_job *j = NULL;
	int err = 0;
	bool at_cwd = false;
	if (!parse(&r, c) || !f->reply_to)
		eci_router_dead(all->router, f, "bad-body", "EXEC", now_ms);
	else if (all->n >= ECI_JOBS_MAX || find(all, f->src, f->reply_to) || (j = job_new(all, f, &r)) == NULL)
		eci_router_dead(all->router, f, "busy", "too many commands", now_ms);
	if (j) {
		struct eci_job_request q = {.argv = r.argv, .env = r.env, .rows = r.rows, .cols = r.cols};
		q.cwd = r.cwd ? r.cwd[0] : NULL;
		q.pty = r.pty;
		q.input = j->input = r.input;
		if (j->input) /* an empty frame: whoever writes the input learns where to */
			(void)eci_stream_send(j->outs[0].stream, NULL, 0, now_ms);
		j->proc = all->host->start(all->ctx, j, &q, &err, &at_cwd);
		if (!j->proc)
			failed(j, at_cwd ? q.cwd : q.argv[0], err, now_ms);
		else if (q.pty)
			eci_job_ended(j, ERR, now_ms);
	}
	eci_mem_free(r.argv);
	eci_mem_free(r.env);
	eci_mem_free(r.cwd);
}

static void cancel(struct eci_jobs *all, const struct eci_frame *f, struct eci_cbor *c, uint64_t now_ms)
{
	(void)eci_cbor_get_array(c);
	uint64_t slot = eci_cbor_get_uint(c);
	struct eci_job *j = c->bad ? NULL : find(all, f->src, slot);
	if (c->bad)
		eci_router_dead(all->router, f, "bad-body", "CANCEL", now_ms);
	if (j)
		all->host->cancel(all->ctx, j->proc);
}

bool eci_jobs_deliver(struct eci_jobs *all, const struct eci_frame *f, uint64_t now_ms)
{
	if (f->handle != ECI_H_EXEC && f->handle != ECI_H_CANCEL)
		return false;
	struct eci_cbor c = eci_cbor_of(f);
	if (f->handle == ECI_H_EXEC)
		start(all, f, &c, now_ms);
	else
		cancel(all, f, &c, now_ms);
	return true;
}
