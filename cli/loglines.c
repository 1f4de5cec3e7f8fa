/* cli: log records: `18:15:29 I econtext.a01: stdout: text` on stderr, or a `log` event.
 *
 * One record is one line, whatever the far side put into it: names and text go through ectx_escape(), so that nothing a
 * remote program logs can move the cursor, set the title or forge a second record. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/fan.h"

static char letter(int level)
{
	if (level >= 50)
		return 'C';
	if (level >= 40)
		return 'E';
	if (level >= 30)
		return 'W';
	return level >= 20 ? 'I' : 'D';
}

/* A record about records that are gone reads like any other. */
struct record {
	const char *node, *logger, *text;
	size_t len;
	int level;
	char own[64];
};

static void read_event(struct record *r, const ectx_event *e)
{
	r->node = e->context ? ectx_context_name(e->context) : "master";
	if (e->kind == ECTX_EVENT_DROPPED) {
		snprintf(r->own, sizeof r->own, "%" PRIu64 " log records or printed lines dropped", e->dropped);
		r->logger = "econtext";
		r->level = 30;
		r->text = r->own;
		r->len = strlen(r->own);
		return;
	}
	r->logger = e->logger ? e->logger : "";
	r->level = e->level;
	r->text = e->text ? e->text : "";
	r->len = e->text ? e->len : 0;
}

void eci_log_line(const ectx_event *e)
{
	struct record r;
	read_event(&r, e);
	time_t now = time(NULL);
	struct tm tm;
	char clock[16] = "";
	if (localtime_r(&now, &tm))
		strftime(clock, sizeof clock, "%H:%M:%S", &tm);
	char *logger = ectx_escape(r.logger, strlen(r.logger)), *text = ectx_escape(r.text, r.len);
	eci_out_printf(2, "%s %c econtext.%s: %s: ", clock, letter(r.level), r.node, logger ? logger : "");
	eci_out_text(2, text ? text : "");
	eci_out_text(2, "\n");
	free(logger);
	free(text);
}

void eci_log_json(const ectx_event *e)
{
	struct record r;
	read_event(&r, e);
	eci_json_begin("log");
	eci_json_text("node", r.node, strlen(r.node));
	eci_json_text("logger", r.logger, strlen(r.logger));
	eci_json_number("level", r.level);
	eci_json_text("text", r.text, r.len);
	eci_json_end();
}
