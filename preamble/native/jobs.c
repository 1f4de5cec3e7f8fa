/* EXEC: commands, each with two streams to who asked (docs/protocol.md sections 4 and 9).
 *
 * A job lives from EXEC to its answer, which goes when the process has ended and both streams have. Invariant: no more
 * is read from an output than its stream has credit for (and nothing while much of our bulk waits for the parent), so
 * that a receiver who stops holds the command at its pipe and not in anybody's memory.
 *
 * stdin is the other direction of the stdout stream. What comes before the process is there cannot be (its sender
 * does not know where to yet); credit goes back as the process takes it.
 *
 * A stream that was cut short is closed towards the command, which learns it by SIGPIPE. Output that finds no memory
 * here resets its stream: an END behind it would make it whole. So does an END: without it who reads the output waits
 * for ever. A command whose input finds none is killed (hosts.c).
 *
 * A job with stdin stays after its answer, without a process, until its input has ended too: were the handle gone, what
 * is still sent to it would be answered with a dead notice, and that overtakes the output on its way up. */
#include "preamble/native/proc.h"
#include "preamble/native/sockets.h"

#include "core/cbor.h"
#include "router/stream.h"
#include "service/words.h"

#define JOBS_MAX 128u /* commands at once; more are answered `busy` */

struct output {
	struct native_job *job;
	int which;
	struct eci_stream *stream;
};

struct native_job {
	struct native_job *next;
	uint32_t src, slot;
	struct native_proc *proc;
	struct output outs[2];
	bool input, over; /* over: answered, and there for what is still sent to it */
};

static struct native_job *jobs;
static uint32_t count;

/* ---- streams ---- */

static void forget(struct native_job *j)
{
	struct native_job **at = &jobs;
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	count--;
	for (int i = 0; i < 2; i++)
		eci_stream_free(j->outs[i].stream, NULL, NULL, native.now);
	eci_mem_free(j);
}

static void cut(struct native_job *j, int which)
{
	if (j->proc)
		native_proc_cut(j->proc, which);
}

/* Whatever is dead ends the stream: the output is closed, and reported to have ended. Nobody writes its input any more
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
		native_proc_input(o->job->proc, NULL, 0);
	cut(o->job, o->which);
}

static void on_input(void *arg, const uint8_t *p, size_t n)
{
	struct output *o = arg;
	if (o->which == OUT && o->job->input && o->job->proc)
		native_proc_input(o->job->proc, p, n);
	else /* nobody's stdin: dropped */
		eci_stream_took(o->stream, n, native.now);
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

size_t native_job_room(const struct native_job *j, int which)
{
	size_t room = eci_stream_room(j->outs[which - OUT].stream);
	return room < ECI_BULK_BODY_MAX ? room : ECI_BULK_BODY_MAX;
}

/* What of a stream, its end too, found no memory: it is reset. */
static void checked(struct eci_stream *s, int rc)
{
	if (rc)
		eci_stream_fail(s, "reset", "no memory");
}

void native_job_output(struct native_job *j, int which, size_t n)
{
	struct eci_stream *s = j->outs[which - OUT].stream;
	checked(s, eci_stream_send(s, native.buf, n, native.now));
}

void native_job_ended(struct native_job *j, int which)
{
	struct eci_stream *s = j->outs[which - OUT].stream;
	checked(s, eci_stream_end(s, native.now));
}

void native_job_took(struct native_job *j, size_t n)
{
	eci_stream_took(j->outs[0].stream, n, native.now);
}

/* ---- the end ---- */

static void answer(struct native_job *j, struct eci_buf *b)
{
	(void)eci_router_send_buf(native.router, j->src, j->slot, 0, b, native.now);
	if (!j->input || !j->proc || !eci_stream_handle(j->outs[0].stream) || eci_stream_over(j->outs[0].stream)) {
		forget(j);
		return;
	}
	eci_stream_free(j->outs[1].stream, NULL, NULL, native.now);
	j->outs[1].stream = NULL;
	j->proc = NULL;
	j->slot = 0;
	j->over = true;
}

void native_job_exited(struct native_job *j, int wait_status)
{
	unsigned sig = (unsigned)wait_status & 127, status = (unsigned)wait_status >> 8 & 255;
	struct eci_buf b = ECI_BUF_NULL;
	native_job_ended(j, OUT);
	native_job_ended(j, ERR);
	eci_cbor_put_array(&b, 3);
	eci_cbor_put_uint(&b, 0);
	eci_cbor_put_uint(&b, sig ? 0 : status);
	eci_cbor_put_uint(&b, sig);
	answer(j, &b);
}

static struct eci_buf failure(void)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 3);
	eci_cbor_put_uint(&b, 1);
	return b;
}

void native_job_failed(struct native_job *j, const uint8_t *why, size_t n)
{
	struct eci_buf b = failure();
	(void)eci_buf_append(&b, why, n);
	j->proc = NULL;
	answer(j, &b);
}

/* It could not even be begun. */
static void failed(struct native_job *j, const char *what, int err)
{
	struct eci_buf b = failure();
	eci_words_why(&b, what, native_explain, NULL, err);
	answer(j, &b);
}

/* ---- requests ---- */

struct request {
	struct native_plan plan;
	uint32_t far[2];
};

static const struct eci_word exec_words[] = {
	{ECI_FIELD_ARGV, offsetof(struct request, plan.argv)},
	{ECI_FIELD_ENV, offsetof(struct request, plan.env)},
	{ECI_FIELD_WORD, offsetof(struct request, plan.cwd)},
	{ECI_FIELD_U32, offsetof(struct request, far[0])},
	{ECI_FIELD_U32, offsetof(struct request, far[1])},
	{ECI_FIELD_SIZE, offsetof(struct request, plan.mode)}, /* a terminal, and its rows and columns */
	{ECI_FIELD_BOOL, offsetof(struct request, plan.input)},
};

static bool parse(struct request *r, struct eci_cbor *c)
{
	return eci_words_read(c, r, exec_words, sizeof exec_words / sizeof *exec_words) && r->plan.argv && r->far[0] &&
	       r->far[1];
}

static struct native_job *find(uint32_t src, uint64_t slot)
{
	struct native_job *j = jobs;
	while (j && (j->over || j->src != src || j->slot != slot))
		j = j->next;
	return j;
}

static struct native_job *job_new(const struct eci_frame *f, const struct request *r)
{
	struct native_job *j = eci_mem_alloc(sizeof *j);
	if (!j)
		return NULL;
	*j = (struct native_job){.next = jobs, .src = f->src, .slot = f->reply_to};
	jobs = j;
	count++;
	for (int i = 0; i < 2; i++) {
		j->outs[i].job = j;
		j->outs[i].which = OUT + i;
		j->outs[i].stream = eci_stream_new(native.router, f->src, r->far[i], &ops, &j->outs[i]);
		if (!j->outs[i].stream) {
			forget(j);
			return NULL;
		}
	}
	return j;
}

static void start(const struct eci_frame *f, struct eci_cbor *c)
{
	struct request r = {0};
	struct native_job *j = NULL;
	int err = 0;
	if (!parse(&r, c) || !f->reply_to)
		eci_router_dead(native.router, f, "bad-body", "EXEC", native.now);
	else if (count >= JOBS_MAX || find(f->src, f->reply_to) || (j = job_new(f, &r)) == NULL)
		eci_router_dead(native.router, f, "busy", "too many commands", native.now);
	if (j) {
		j->input = r.plan.input;
		/* An empty frame: whoever writes the input learns where to, or would wait for it. */
		if (j->input && eci_stream_send(j->outs[0].stream, NULL, 0, native.now))
			err = SYS_ENOMEM;
		else
			j->proc = native_proc_new(NULL, j, &r.plan, &err);
		if (!j->proc)
			failed(j, *r.plan.argv, err);
	}
	eci_mem_free(r.plan.argv);
	eci_mem_free(r.plan.env);
	eci_mem_free(r.plan.cwd);
}

static void cancel(const struct eci_frame *f, struct eci_cbor *c)
{
	(void)eci_cbor_get_array(c);
	uint64_t slot = eci_cbor_get_uint(c);
	if (c->bad) {
		eci_router_dead(native.router, f, "bad-body", "CANCEL", native.now);
	} else if (!native_socks_cancel(f->src, slot)) {
		struct native_job *j = find(f->src, slot);
		if (j)
			native_proc_cancel(j->proc);
	}
}

bool native_jobs_deliver(const struct eci_frame *f)
{
	if (f->handle != ECI_H_EXEC && f->handle != ECI_H_CANCEL)
		return false;
	struct eci_cbor c = eci_cbor_of(f);
	if (f->handle == ECI_H_EXEC)
		start(f, &c);
	else
		cancel(f, &c);
	return true;
}
