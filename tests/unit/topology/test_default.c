/* Which file is taken where none is named. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "topology/internal.h"

/* What lies in the working directory is obeyed when it is ours; the cases of other owners need root (tests/cli). */
Test(default_file, default_is_ours)
{
	static const char text[] = "econtext: 1\nnodes: {a: {local: {}}}\n";
	static const struct {
		mode_t folder, file;
		const char *wrong;
	} cases[] = {{0700, 0600, NULL},
		     {0775, 0664, NULL},
		     {01777, 0644, NULL},
		     {0700, 0602, "everybody may write to it"},
		     {0777, 0600, "everybody may write to its folder"}};
	char dir[] = "/tmp/ectx-topology-XXXXXX", *path;
	cr_assert(mkdtemp(dir) && chdir(dir) == 0);
	unsetenv("ECONTEXT_TOPOLOGY");
	FILE *f = fopen("econtext.yaml", "w");
	fputs(text, f);
	fclose(f);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ectx_error e = {0};
		cr_assert(chmod(".", cases[i].folder) == 0 && chmod("econtext.yaml", cases[i].file) == 0);
		ectx_topology *t = ectx_topology_load_default(&path, &e);
		cr_expect_str_eq(path, "./econtext.yaml");
		cr_expect(cases[i].wrong ? !t && strstr(e.saw, cases[i].wrong) : t != NULL, "%zu: %s", i, e.saw);
		cr_expect(!cases[i].wrong || strstr(e.hint, "--topology ./econtext.yaml"));
		ectx_topology_free(t);
		t = ectx_topology_load(path, &e);
		cr_expect(t, "named, it is not asked");
		ectx_topology_free(t);
		free(path);
	}
	unlink("econtext.yaml");
	cr_expect_eq(chdir("/"), 0);
	rmdir(dir);
}
