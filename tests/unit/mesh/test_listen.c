/* Unix sockets that a tunnel listens at here: whose file may be taken away, and whose may not. Nobody is connected to:
 * it is the kernel that says whether somebody listens. */
#include "mesh_support.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un at;
static socklen_t at_len;

/* path: with '@' in front an abstract one, whose name has no NUL behind it. */
static int connect_to(const char *path)
{
	size_t n = strlen(path);
	at = (struct sockaddr_un){.sun_family = AF_UNIX};
	cr_assert(n < sizeof at.sun_path);
	memcpy(at.sun_path, path, n);
	if (*path == '@')
		at.sun_path[0] = 0;
	at_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*path != '@'));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert(fd >= 0);
	int r = connect(fd, (struct sockaddr *)&at, at_len) ? errno : 0;
	(void)close(fd);
	return r;
}

static ectx_tunnel *tunnel(const struct world *w, const char *path, ectx_error *err)
{
	char listen[160];
	(void)snprintf(listen, sizeof listen, "unix:%s", path);
	const ectx_tunnel_options o = {.kind = ECTX_TUNNEL_SOCKS, .listen = listen};
	ectx_tunnel *t = ectx_tunnel_open(get(w->mesh, "d"), &o, WITHIN, err);
	cr_expect(!t || !strcmp(ectx_tunnel_address(t), listen), "%s", t ? ectx_tunnel_address(t) : "");
	return t;
}

Test(listen, the_file_of_one_that_listens_stays)
{
	struct world w = world_open();
	char path[96];
	ectx_error err = {0};
	struct stat st;
	(void)snprintf(path, sizeof path, "%s/sock", w.dir);
	ectx_tunnel *t = tunnel(&w, path, &err);
	cr_assert(t, "%s", err.saw);
	cr_expect(stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0600, "%o", st.st_mode);
	ino_t was = st.st_ino;
	cr_expect(!tunnel(&w, path, &err) && err.code == ECTX_E_SYSTEM, "%s", ectx_code_name(err.code));
	cr_expect(strstr(err.saw, path) && strstr(err.hint, "choose another path"), "%s; %s", err.saw, err.hint);
	ectx_error_clear(&err);
	cr_expect(stat(path, &st) == 0 && st.st_ino == was);
	cr_expect_eq(connect_to(path), 0);
	ectx_tunnel_close(t);
	cr_expect(lstat(path, &st) != 0, "it goes with the tunnel");
	world_close(&w);
}

/* It listens, and has no room for one more just now. */
Test(listen, the_file_of_one_that_is_busy_stays)
{
	struct world w = world_open();
	char path[96];
	ectx_error err = {0};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), waits[8], n = 0;
	(void)snprintf(path, sizeof path, "%s/sock", w.dir);
	cr_expect_eq(connect_to(path), ENOENT);
	cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&at, at_len) == 0 && listen(fd, 0) == 0);
	do {
		waits[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} while (connect(waits[n++], (struct sockaddr *)&at, at_len) == 0 && n < 8);
	cr_assert(errno == EAGAIN, "%d: %s", n, strerror(errno));
	cr_expect(!tunnel(&w, path, &err) && err.code == ECTX_E_SYSTEM, "%s", ectx_code_name(err.code));
	ectx_error_clear(&err);
	cr_expect(access(path, F_OK) == 0);
	while (n)
		(void)close(waits[--n]);
	(void)close(fd);
	world_close(&w);
}

Test(listen, what_a_killed_program_left_is_taken_away_and_nothing_else)
{
	struct world w = world_open();
	char path[96];
	ectx_error err = {0};
	(void)snprintf(path, sizeof path, "%s/sock", w.dir);
	cr_expect_eq(connect_to(path), ENOENT);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&at, at_len) == 0 && close(fd) == 0);
	cr_expect_eq(connect_to(path), ECONNREFUSED);
	ectx_tunnel *t = tunnel(&w, path, &err);
	cr_assert(t, "%s", err.saw);
	cr_expect_eq(connect_to(path), 0);
	ectx_tunnel_close(t);
	put_file(w.dir, "sock", "somebody's", 0644);
	cr_expect(!tunnel(&w, path, &err) && err.code == ECTX_E_SYSTEM, "%s", ectx_code_name(err.code));
	ectx_error_clear(&err);
	cr_expect(access(path, F_OK) == 0);
	world_close(&w);
}

Test(listen, an_abstract_name_has_no_file)
{
	struct world w = world_open();
	char name[96];
	ectx_error err = {0};
	(void)snprintf(name, sizeof name, "@%s", w.dir + 1); /* nobody else's */
	cr_expect_eq(connect_to(name), ECONNREFUSED);
	ectx_tunnel *t = tunnel(&w, name, &err);
	cr_assert(t, "%s", err.saw);
	cr_expect_eq(connect_to(name), 0);
	cr_expect(access(name, F_OK) != 0);
	cr_expect(!tunnel(&w, name, &err) && err.code == ECTX_E_SYSTEM, "%s", ectx_code_name(err.code));
	ectx_error_clear(&err);
	ectx_tunnel_close(t);
	cr_expect_eq(connect_to(name), ECONNREFUSED);
	world_close(&w);
}
