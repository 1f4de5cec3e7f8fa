/* cli: the same thing at many targets, so many at a time. */
#ifndef ECI_CLI_FAN_H
#define ECI_CLI_FAN_H

#include "cli/failures.h"
#include "cli/fold.h"
#include "cli/opts.h"
#include "cli/out.h"
#include "econtext/econtext.h"

enum eci_job_state { ECI_JOB_WAITING, ECI_JOB_CONNECTING, ECI_JOB_RUNNING, ECI_JOB_ENDED };

/* A channel of a call, whose values are printed. */
struct eci_listen {
	ectx_channel *channel;
	ectx_future *next; /* the value to come; NULL: it has ended */
	ectx_error broke;  /* why no more comes, if not by its end; status OK: nothing did */
};

/* One target. */
struct eci_job {
	const char *name;
	size_t index;
	ectx_context *context;
	ectx_future *future;
	enum eci_job_state state;
	bool check;                /* the future may have ended before anybody could be told: look once */
	bool done;                 /* it has ended: finish once all its events are taken */
	struct eci_split lines[2]; /* stdout, stderr */
	struct eci_kept kept[2];   /* -b */
	size_t input_at;           /* of the feed's chunk it has this much */
	bool input_ended;
	struct eci_listen *listens; /* call: its @channels */
	size_t nlistens;
	bool answered; /* its future is done; a channel is not */
	double until;  /* of its channels: as eci_clock(); 0: for ever */
};

/* How one target ended. */
struct eci_outcome {
	enum ectx_status status;
	int rc; /* -1: none */
	const ectx_value *value;
	const ectx_error *error; /* not NULL */
};

/* What is printed, and what was counted. */
struct eci_report {
	const struct eci_opts *opts;
	struct eci_fold folds[2];
	struct eci_failures failures;
	size_t ok, failed, unreachable, refused, deadline, unknown;
	double started, last; /* the beginning; when a target ended last */
};
void eci_report_output(struct eci_report *r, struct eci_job *job, int stream, const char *p, size_t n);
void eci_report_log(struct eci_report *r, const ectx_event *e);
/* Of what there is, but no more than a mesh keeps of records: somebody may log without end. */
void eci_report_logs(struct eci_report *r, ectx_mesh *m);
void eci_report_result(struct eci_report *r, struct eci_job *job, const struct eci_outcome *end);
/* What has been folded so far: at the end, and at the first ^C. */
void eci_report_flush(struct eci_report *r);
/* Tells failures that would wait for targets which run on and on. Milliseconds until it is to be called again, -1 for
 * never. */
int eci_report_overdue(struct eci_report *r);
void eci_report_summary(struct eci_report *r, size_t not_started);

/* exec --stdin (feed.c). */
struct eci_feed {
	char *chunk;
	size_t n;
	bool over;
	double moved, told_s; /* when somebody took something last; after how many seconds without that it was told */
};

struct eci_fan {
	ectx_mesh *mesh;
	const struct eci_opts *opts;
	struct eci_job *jobs;
	size_t n;
	/* Starts the work in job->context; NULL when out of memory. NULL pointer: connecting is all. */
	ectx_future *(*start)(struct eci_fan *fan, struct eci_job *job, long timeout_ms);
	const void *arg;
	struct eci_feed *feed; /* NULL: no stdin; all jobs are started at once */
	/* Prints what came over a channel; NULL: there are none. */
	void (*item)(struct eci_fan *fan, struct eci_job *job, const ectx_value *value);
	/* Prints the value of a good end; NULL: there is none. */
	void (*value)(struct eci_fan *fan, struct eci_job *job, const ectx_value *value);
	struct eci_report report;
	struct eci_job **active; /* those under way */
	size_t next, running, ended;
	bool stop;         /* ^C: start no more */
	ectx_future *last; /* the last that ended: its DONE is asked for again behind the records that wait then */
	bool reached;      /* it came */
	enum ectx_status worst;
};
/* A failure to connect, as it is told under -t; its detail is still e's. */
ectx_error eci_connect_error(const ectx_error *e, long connect_ms);
/* Whether it is of one that nothing was dialled for: it counts as not started. */
bool eci_never_begun(const ectx_error *e);
size_t eci_fan_not_started(const struct eci_fan *fan);
/* Which of two says more: the order of exit statuses when several came. */
enum ectx_status eci_fan_worse(enum ectx_status a, enum ectx_status b);
/* Runs it all. Returns the exit status: the worst of all targets. Failure blocks are printed, the summary is not. */
enum ectx_status eci_fan_run(struct eci_fan *fan);
/* No more are started, and those that run are ended: as failures of that kind, or, NULL, without a word. */
void eci_fan_break(struct eci_fan *fan, const ectx_error *why);
void eci_fan_deinit(struct eci_fan *fan);
/* The channels of a job (listen.c): waits for their values; one was told of by e; all have ended; frees them. */
void eci_listen_all(struct eci_job *job);
bool eci_listen_heard(struct eci_fan *fan, struct eci_job *job, const ectx_event *e);
bool eci_listen_over(const struct eci_job *job);
const ectx_error *eci_listen_broke(const struct eci_job *job); /* of the first that did; NULL: none */
void eci_listen_close(struct eci_job *job);
/* Gives what was read to those who take it. True: more is wanted. */
bool eci_feed_wants(struct eci_fan *fan);
void eci_feed_read(struct eci_fan *fan); /* stdin is readable */
/* Tells who takes nothing, and so stops all. Milliseconds until it is to be called again, -1 for not now. */
int eci_feed_overdue(struct eci_fan *fan);

/* A topology, its selected targets and a mesh over them. */
struct eci_session {
	ectx_topology *topology;
	char **names;
	size_t n;
	ectx_mesh *mesh;
};
/* topology only, then names, then mesh; each 0, or an exit status after complaining. */
int eci_session_topology(struct eci_session *s, const struct eci_opts *o);
int eci_session_names(struct eci_session *s, const struct eci_opts *o);
/* roots: what call and run serve where no --root was given, NULL-terminated; NULL: the current folder. Other commands
 * run no code of the user's, and serve none of his files. */
int eci_session_mesh(struct eci_session *s, const struct eci_opts *o, const char *const *roots);
/* All three, and a fan over it. */
int eci_session_open(struct eci_session *s, struct eci_fan *fan, const struct eci_opts *o, const char *const *roots);
/* The roots of a program, for these two: one block, to be freed. */
const char **eci_program_roots(const char *path);
/* Whoever ended the program early decides how it is seen to end: death by a signal or a broken pipe; else status, 130
 * when interrupted, 7 when the output could not be written, which is said. */
int eci_early_end(int status);
/* Summary, --stats, mesh freed, then that. */
int eci_session_close(struct eci_session *s, struct eci_fan *fan, int status);
/* Waits for a future of no job (tree); gives up when the user does. false: given up. */
bool eci_session_wait(ectx_future *f);

/* ask.c: ectx_options.ask */
int eci_ask(void *arg, const char *prompt, char *buf, size_t cap);

/* json_out.c */
void eci_json_begin(const char *event); /* {"event": E, "t": T */
void eci_json_text(const char *key, const char *p,
		   size_t n); /* , "key": "text", or {"$bytes": base64} when it is not UTF-8 */
void eci_json_number(const char *key, long long v);
void eci_json_value(const char *key, const ectx_value *v);
void eci_json_error(const ectx_error *e);
void eci_json_end(void); /* }\n */
const char *eci_json_status(enum ectx_status status);

/* loglines.c */
void eci_log_line(const ectx_event *e);
void eci_log_json(const ectx_event *e);

/* Commands: an exit status. */
int eci_cmd_topo(const struct eci_opts *o);
int eci_cmd_exec(const struct eci_opts *o);
int eci_cmd_call(const struct eci_opts *o);
int eci_cmd_run(const struct eci_opts *o);
int eci_cmd_tree(const struct eci_opts *o);
int eci_cmd_trace(const struct eci_opts *o);
int eci_cmd_cp(const struct eci_opts *o);
int eci_cmd_tunnel(const struct eci_opts *o);
int eci_cmd_socks(const struct eci_opts *o);
int eci_cmd_connect(const struct eci_opts *o);
int eci_cmd_preamble(const struct eci_opts *o);

#endif
