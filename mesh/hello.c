/* HELLO: what a new context is told about itself, and what it answers (docs/protocol.md section 6).
 *
 * At most 256 bytes, as it is part of what every boot sends: the title is cut, a name that is too long is left out, and
 * a mesh whose override prefixes have no room in it is not made. What comes back is text of a machine that is not
 * trusted: it is escaped where it is taken. */
#include "mesh/connect.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TITLE_MAX 100u /* of HELLO's 256 bytes */
#define NAME_MAX_SENT 40u
#define OVERRIDES_MAX 80u /* a prefix and 2 for its head, all of them together */

/* Asks the system's lists where $USER is not set, which may take long: never with the lock. */
void eci_user_name(char *out, size_t cap)
{
	struct passwd entry, *found = NULL;
	char mem[4096];
	const char *env = getenv("USER");
	if (!env || !*env)
		(void)getpwuid_r(geteuid(), &entry, mem, sizeof mem, &found);
	if (env && *env)
		(void)snprintf(out, cap, "%s", env);
	else if (found)
		(void)snprintf(out, cap, "%s", entry.pw_name);
	else
		(void)snprintf(out, cap, "%lu", (unsigned long)geteuid());
}

static void title_of(const ectx_context *c, char *out, size_t cap)
{
	const char *title = c->target.title ? c->target.title : c->mesh->title;
	char host[65] = "?";
	(void)gethostname(host, sizeof host - 1);
	if (!title)
		title = "econtext:%u@%h:%p";
	size_t n = 0;
	for (const char *p = title; *p && n + 1 < cap; p++) {
		char pid[16];
		(void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
		const char *put = p[0] == '%' && p[1] == 'u'   ? c->mesh->user
				  : p[0] == '%' && p[1] == 'h' ? host
				  : p[0] == '%' && p[1] == 'p' ? pid
							       : NULL;
		if (!put) {
			out[n++] = *p;
			continue;
		}
		p++;
		int w = snprintf(out + n, cap - n, "%s", put);
		n += w > 0 ? (size_t)w : 0;
		n = n < cap ? n : cap - 1;
	}
	out[n] = 0;
	if (!eci_utf8_valid((const uint8_t *)out, n))
		(void)snprintf(out, cap, "econtext:%ld", (long)getpid());
}

bool eci_title_fits(const char *title)
{
	const char *p = title;
	while (p && (unsigned char)*p >= 0x20 && *p != 0x7f)
		p++;
	return !p || (!*p && eci_utf8_valid((const uint8_t *)title, (size_t)(p - title)));
}

bool eci_overrides_fit(const char *const *v)
{
	size_t n = 0;
	for (; v && *v; v++) {
		n += strlen(*v) + 2;
		if (n > OVERRIDES_MAX || !eci_utf8_valid((const uint8_t *)*v, strlen(*v)))
			return false;
	}
	return true;
}

void eci_hello_put(const ectx_context *c, struct eci_buf *b)
{
	char title[TITLE_MAX];
	title_of(c, title, sizeof title);
	size_t overrides = 0;
	while (c->mesh->overrides[overrides])
		overrides++;
	eci_cbor_put_map(b, overrides ? 7 : 6);
	eci_cbor_put_uint(b, 0);
	eci_cbor_put_uint(b, ECI_PROTOCOL_VERSION);
	eci_cbor_put_uint(b, 1);
	eci_cbor_put_array(b, 2);
	eci_cbor_put_uint(b, c->id);
	eci_cbor_put_uint(b, c->size);
	eci_cbor_put_uint(b, 2);
	eci_cbor_put_uint(b, c->target.timeout.idle_ms);
	eci_cbor_put_uint(b, 3);
	eci_cbor_put_int(b, c->mesh->log_level);
	eci_cbor_put_uint(b, 4);
	eci_cbor_put_str(b, title);
	eci_cbor_put_uint(b, 5);
	size_t len = strlen(c->name);
	eci_cbor_put_text(b, c->name, len <= NAME_MAX_SENT ? len : 0);
	if (!overrides)
		return;
	eci_cbor_put_uint(b, 6);
	eci_cbor_put_array(b, overrides);
	for (size_t i = 0; i < overrides; i++)
		eci_cbor_put_str(b, c->mesh->overrides[i]);
}

void eci_text_take(struct eci_cbor *c, char *out, size_t cap)
{
	const char *p;
	size_t n;
	if (eci_cbor_get_text(c, &p, &n))
		(void)eci_escape_into(out, cap, p, n);
}

uint64_t eci_hello_take(ectx_context *c, struct eci_cbor *b)
{
	size_t pairs = eci_cbor_get_map(b);
	uint64_t version = 0;
	for (size_t i = 0; i < pairs && !b->bad; i++) {
		switch (eci_cbor_get_uint(b)) {
		case 0:
			version = eci_cbor_get_uint(b);
			break;
		case 1:
			eci_text_take(b, c->agent, sizeof c->agent);
			break;
		case 2:
			eci_text_take(b, c->python, sizeof c->python);
			break;
		case 3:
			eci_text_take(b, c->arch, sizeof c->arch);
			break;
		case 4:
			c->pid = eci_cbor_get_uint(b);
			break;
		case 6:
			eci_text_take(b, c->host_name, sizeof c->host_name);
			break;
		default:
			(void)eci_cbor_skip(b);
		}
	}
	return version;
}
