/* Which names a copy from a context may bring, by what was asked for. */
#include "take_support.h"

static bool asked(const char *source, const char *path, bool folder)
{
	const char *const sources[] = {source, NULL};
	struct eci_fetch f = {.sources = sources};
	bool yes = eci_fetch_asked(&f, path, folder);
	eci_fetch_forget(&f);
	return yes;
}

Test(unasked, what_an_honest_end_says)
{
	static const char *const good[][2] = {
		{"/var/log/app.log", "app.log"},
		{"app.log", "app.log"},
		{"a/b/", "b"},
		{"a/b//", "b/c/d"},
		{"*/b", "b"},
		{"-x", "-x"},
		{"~/x", "x"},
		{"~joe/.x", ".x"},
		{"/", "root"},
		{"//", "root/x"},
		{"a/.", "anything"},
		{"a/./", ".x"},
		{".", ".x"},
		{"/var/log/*.log", "app.log"},
		{"*", "x"},
		{"**", "x"},
		{"*/*/", "x/y"},
		{".*", ".x"},
		{"a*b*c", "abbc"},
		{"a*b*c", "abcxbc"},
		{"*.tar.gz", "a.tar.tar.gz"},
		{"?", "\xc3"},
		{"??", "\xc3\xa9"},
		{"[a-c]x", "bx"},
		{"[!a-c]x", "dx"},
		{"[]a]", "]"},
		{"[!]a]", "b"},
		{"[a-]", "-"},
		{"[^a]", "^"}, /* of Python the one, of a shell the other */
		{"[^a]", "b"},
		{"[[:alpha:]]x", "ax"},
		{"[ab", "[ab"},
		{"a[*", "a[b"},
		{"a\\*b", "a\\*b"},
		{"a\\*b", "a*b"},
		{"a\\b*", "abc"},
		{"a\\b*", "a\\bc"},
		{"\\.*", ".x"},
		{"[\\]]", "]"},
		{"a*b", "a*b"},
		{"[a]", "[a]"}, /* a name that looks like a pattern */
		{"*", "*"},
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		cr_expect(asked(good[i][0], good[i][1], false), "%s: %s", good[i][0], good[i][1]);
}

Test(unasked, what_nobody_asked_for)
{
	static const char *const bad[][2] = {
		{"/var/log/app.log", ".bashrc"},
		{"/var/log/app.log", "app.lo"},
		{"/var/log/app.log", "app.log2"},
		{"app.log/x", "app.log"},
		{"a/b/", "a"},
		{"~/x", "joe"},
		{"/", "x"},
		{"*", ".bashrc"},
		{"?bashrc", ".bashrc"},
		{"[.]bashrc", ".bashrc"},
		{"[!a]bashrc", ".bashrc"},
		{"[^a]bashrc", ".bashrc"},
		{"*.log", "app.log2"},
		{"*.log", ".log"},
		{".*", "x"},
		{"?", "\xc3\xa9"},
		{"?", "xy"},
		{"[a-c]x", "dx"},
		{"[!a-c]x", "bx"},
		{"[ab", "a"},
		{"a\\*b", "axb"},
		{"a*/x", "ab"},
		{"..", "x"}, /* a file */
		{"~", "x"},
		{"~joe/", "x"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect_not(asked(bad[i][0], bad[i][1], false), "%s: %s", bad[i][0], bad[i][1]);
}

/* It is the far end's to say, once for each source, and is a folder's. */
Test(unasked, a_name_that_only_the_far_end_knows)
{
	static const char *const unknown[] = {"..", "a/../", "~", "~/", "~joe", "~joe//"};
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		const char *const sources[] = {"x", unknown[i], NULL};
		struct eci_fetch f = {.sources = sources};
		cr_expect(eci_fetch_asked(&f, "x", false) && !eci_fetch_asked(&f, "home", false), "%s", unknown[i]);
		cr_expect(eci_fetch_asked(&f, "home", true) && eci_fetch_asked(&f, "home/x", false), "%s", unknown[i]);
		cr_expect(!eci_fetch_asked(&f, ".ssh", true) && !eci_fetch_asked(&f, ".ssh/x", false), "%s",
			  unknown[i]);
		cr_expect(eci_fetch_asked(&f, "home", true) && eci_fetch_asked(&f, "x", false), "%s", unknown[i]);
		eci_fetch_forget(&f);
	}
	const char *const both[] = {"~", "~joe", NULL};
	struct eci_fetch f = {.sources = both};
	cr_expect(eci_fetch_asked(&f, "me", true) && eci_fetch_asked(&f, "joe", true) &&
		  eci_fetch_asked(&f, "me", true) && !eci_fetch_asked(&f, "eve", true));
	eci_fetch_forget(&f);
}

/* A pattern of many stars is the user's, the name whoever's. */
Test(unasked, a_long_name_takes_no_time)
{
	char name[ECI_PLACE_LONGEST] = "";
	memset(name, 'a', sizeof name - 1);
	cr_expect_not(asked("*a*a*a*a*a*a*a*a*a*a*a*a*b", name, false));
}

Test(unasked, what_else_comes_is_refused_and_told)
{
	static const char *const sources[] = {"/var/log/app.log", NULL};
	struct world *w = open_world(true);
	w->f.sources = sources;
	file(w, ".bashrc", "evil");
	cr_expect(w->told == 1 && !strcmp(w->saw, ".bashrc: it was not asked for"), "%s", w->saw);
	folder(w, ".ssh", 0700);
	file(w, ".ssh/authorized_keys", "evil"); /* that is said by its folder */
	cr_expect(w->told == 2 && !strcmp(w->saw, ".ssh: it was not asked for"), "%s", w->saw);
	link_to(w, ".profile", "x");
	cr_expect(w->told == 3 && !strcmp(w->saw, ".profile: it was not asked for"), "%s", w->saw);
	file(w, "app.log", "good");
	cr_expect(w->told == 3 && holds(in(w, "app.log"), "good") && unlink(in(w, "app.log")) == 0);
	cr_expect(rmdir(w->dest) == 0, "something came");
	close_world(w);
}

/* The next copy to that name would be written where it leads. */
Test(unasked, a_link_in_the_place_of_what_was_asked_for)
{
	static const char *const named[] = {"app.log", NULL}, *const pattern[] = {"*", NULL};
	for (int i = 0; i < 3; i++) {
		struct world *w = open_world(i > 0);
		w->f.sources = i == 2 ? pattern : named;
		link_to(w, "app.log", ".bashrc");
		cr_expect(w->told == 1 && strstr(w->saw, "it is a link there that leads nowhere"), "%d: %s", i, w->saw);
		cr_expect(access(i ? in(w, "app.log") : w->dest, F_OK) && (i == 0 || rmdir(w->dest) == 0));
		close_world(w);
	}
	struct world *w = open_world(true); /* what is in a folder may be one, and below */
	link_to(w, "l", "x");
	w->f.sources = named;
	folder(w, "app.log", 0700);
	link_to(w, "app.log/l", "x");
	cr_expect_eq(w->told, 0);
	cr_expect_eq(w->f.k.result.entries, 3);
	close_world(w);
}
