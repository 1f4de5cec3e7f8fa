/* Guarded roots: where all may write, what is somebody else's is not there, and why is said. What is a stranger's is
 * settled by whom the roots are guarded for; what only chown(2) can play is root's test. */
#include "io/roots.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRANGER 65534

static char top[32];

static const char *at(const char *path)
{
	static char full[128];

	snprintf(full, sizeof(full), "%s/%s", top, path);
	return full;
}

static void put(const char *path)
{
	int fd = open(at(path), O_WRONLY | O_CREAT, 0644);

	cr_assert(fd >= 0 && write(fd, path, strlen(path)) > 0 && close(fd) == 0);
}

static void setup(void)
{
	(void)snprintf(top, sizeof top, "guard-test-%d", (int)getpid());
	cr_assert(mkdir(top, 0700) == 0);
	cr_assert(mkdir(at("pkg"), 0755) == 0 && mkdir(at("ns"), 0755) == 0);
	put("mod.py");
	put("pkg/__init__.py");
	put("pkg/a.py");
	put("pkg/data.txt");
	put("ns/first.py");
	cr_assert_eq(symlink("mod.py", at("alias.py")), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int give_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return lchown(path, STRANGER, STRANGER);
}

static void teardown(void)
{
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(guard, .init = setup, .fini = teardown);

static struct eci_roots *guarded(mode_t mode, uid_t user)
{
	const char *folders[] = {top, NULL};
	struct eci_roots *r = eci_roots_new(folders);

	cr_assert(r && chmod(top, mode) == 0);
	eci_roots_guard(r, user, user);
	return r;
}

static void finds(struct eci_roots *r, const char *name, const char *content)
{
	struct eci_source s;

	cr_assert_eq(eci_roots_ops.find(r, name, &s), 0);
	cr_expect_eq(s.kind == ECI_MOD_MISSING, !content, "%s", name);
	cr_expect(!content || (s.len == strlen(content) && !memcmp(s.bytes, content, s.len)), "%s", name);
	free(s.path);
	free(s.bytes);
	free(s.children);
}

/* It is missing, and this is why. */
static void misses(struct eci_roots *r, const char *name, const char *strange)
{
	char why[512] = "", said[256];

	finds(r, name, NULL);
	snprintf(said, sizeof(said), "/%s is not served: ", at(strange));
	cr_expect(eci_roots_strange(r, name, false, why, sizeof(why)) && strstr(why, said), "%s: %s", name, why);
}

Test(guard, by_owner)
{
	uid_t me = geteuid();
	struct eci_roots *r;
	char why[512];

	if (me == 0) { /* root's is nobody's stranger: all here becomes another user's */
		cr_assert_eq(nftw(top, give_one, 16, FTW_PHYS), 0);
		me = STRANGER;
	}
	r = guarded(0775, me + 1);
	finds(r, "mod", "mod.py"); /* others cannot write there */
	cr_expect(!eci_roots_strange(r, "mod", false, why, sizeof(why)));
	eci_roots_free(r);
	r = guarded(01777, me);
	finds(r, "pkg.a", "pkg/a.py");
	finds(r, "alias", "mod.py");
	cr_expect(!eci_roots_strange(r, "pkg.a", false, why, sizeof(why)));
	eci_roots_free(r);
	r = guarded(0777, me + 1);
	misses(r, "mod", "mod.py");
	misses(r, "pkg.a", "pkg");
	misses(r, "pkg/data.txt", "pkg");
	misses(r, "pkg/", "pkg");
	misses(r, "ns.first", "ns");
	cr_expect(!eci_roots_strange(r, "absent", true, why, sizeof(why)));
	cr_expect(eci_roots_strange(r, "pkg.a", true, why, sizeof(why)));
	cr_expect(!eci_roots_strange(r, "mod", true, why, sizeof(why)), "it is said once");
	cr_expect(!eci_roots_strange(r, "../mod", false, why, sizeof(why)));
	eci_roots_free(r);
}

/* What was opened is asked, too: it may have been changed since its folder was read. */
Test(guard, when_opened)
{
	struct eci_roots *r;

	if (geteuid() != 0)
		return; /* only root can give files away */
	r = guarded(01777, 0);
	finds(r, "pkg.a", "pkg/a.py");
	cr_assert(chown(at("mod.py"), STRANGER, STRANGER) == 0);
	cr_assert(chown(at("ns"), STRANGER, STRANGER) == 0);
	for (int i = 0; i < 2; i++) {
		misses(r, "mod", "mod.py");
		misses(r, "ns.first", "ns");
	}
	eci_roots_free(r);
}

/* A link of somebody else's to a file of one's own is his choice of a name for it. */
Test(guard, links)
{
	struct eci_roots *r;

	if (geteuid() != 0)
		return; /* only root can give files away */
	cr_assert_eq(lchown(at("alias.py"), STRANGER, STRANGER), 0);
	r = guarded(01777, 0);
	finds(r, "mod", "mod.py");
	misses(r, "alias", "alias.py");
	eci_roots_free(r);
}
