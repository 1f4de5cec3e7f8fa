/* Runs a fuzz target as an ordinary program: NAME [-n MUTATIONS] [-s SEED] [FILE|FOLDER...]
 *
 * Each file (of a folder: each file in it, in order of name) is given to the target as it is; then MUTATIONS inputs are
 * made from them, each a corpus file changed in one to eight places by the usual means (bit, byte, telling value, cut,
 * double, splice with another file), and given to it too. The same arguments always make the same inputs, whatever
 * the machine, so a failure in a test run is repeated by running the test. An input is handed over in an allocation of
 * its exact size, for the sanitizer's sake. On a crash the number of the input is written, and -k NUMBER writes that
 * input to standard output instead of running anything. */
#include "tests/support/random.h"
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES_MAX = 1000, INPUT_MAX = 1 << 17 }; /* one frame of the largest size, and then some */

static struct {
	uint8_t *p;
	size_t n;
} corpus[FILES_MAX];
static size_t corpus_len;
static volatile long current, print_only = -1;

static void die(const char *what, const char *name)
{
	fprintf(stderr, "replay: %s: %s\n", what, name);
	exit(2);
}

static void add_file(const char *path)
{
	uint8_t *p = malloc(INPUT_MAX);
	FILE *f = fopen(path, "rb");

	if (!p || !f || corpus_len == FILES_MAX)
		die("cannot take", path);
	corpus[corpus_len].n = fread(p, 1, INPUT_MAX, f);
	corpus[corpus_len++].p = p;
	if (ferror(f) || fgetc(f) != EOF)
		die("cannot read, or too long", path);
	fclose(f);
}

static int visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void add(const char *path)
{
	struct dirent **names;
	char file[4096];
	int n = scandir(path, &names, visible, alphasort), i;

	if (n < 0) {
		add_file(path);
		return;
	}
	for (i = 0; i < n; i++) {
		if (snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name) >= (int)sizeof(file))
			die("name too long", path);
		add_file(file);
		free(names[i]);
	}
	free(names);
}

static void run(const uint8_t *p, size_t n)
{
	uint8_t *exact;

	if (print_only >= 0) {
		if (current++ == print_only)
			fwrite(p, 1, n, stdout);
		return;
	}
	exact = malloc(n ? n : 1);
	if (!exact)
		die("no memory", "");
	memcpy(exact, p, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	current++;
}

/* Opens a gap at `at`, or closes one. Bounded by INPUT_MAX. */
static size_t insert(uint8_t *p, size_t n, size_t at, const uint8_t *from, size_t len)
{
	if (len > INPUT_MAX - n)
		len = INPUT_MAX - n;
	memmove(p + at + len, p + at, n - at);
	memmove(p + at, from, len);
	return n + len;
}

static size_t mutate_once(struct eci_random *r, uint8_t *p, size_t n)
{
	static const uint8_t telling[] = {0x00, 0x01, 0x17, 0x18, 0x1B, 0x1F, 0x3B, 0x40, 0x5B, 0x60, 0x7F, 0x80, 0x81,
					  0x9B, 0xA0, 0xA1, 0xBB, 0xC2, 0xC3, 0xEC, 0xF4, 0xF6, 0xF9, 0xFB, 0xFF};
	size_t at = eci_random_below(r, (uint32_t)n + 1), len = 1 + eci_random_below(r, 8), other;
	uint8_t bytes[8];
	uint64_t v;

	if (at == n || eci_random_below(r, 8) == 0) {
		v = eci_random_magnitude(r);
		memcpy(bytes, &v, sizeof(bytes));
		return insert(p, n, at, bytes, len);
	}
	switch (eci_random_below(r, 7)) {
	case 0:
		p[at] ^= (uint8_t)(1u << eci_random_below(r, 8));
		return n;
	case 1:
		p[at] = telling[eci_random_below(r, sizeof(telling))];
		return n;
	case 2:
		p[at] = (uint8_t)(p[at] + (eci_random_below(r, 2) ? 1 : -1));
		return n;
	case 3:
		return at;
	case 4:
		len = len < n - at ? len : n - at;
		memmove(p + at, p + at + len, n - at - len);
		return n - len;
	case 5:
		len = 1 + eci_random_below(r, (uint32_t)(n - at));
		memcpy(bytes, p + at, len < 8 ? len : 8);
		return insert(p, n, at, bytes, len < 8 ? len : 8);
	default:
		other = eci_random_below(r, (uint32_t)corpus_len);
		len = eci_random_below(r, (uint32_t)corpus[other].n + 1);
		return insert(p, n, at, corpus[other].p + (corpus[other].n - len), len);
	}
}

static void mutate(struct eci_random *r, long inputs)
{
	static uint8_t p[INPUT_MAX];
	size_t n, from;
	uint32_t steps;

	while (inputs-- > 0) {
		from = eci_random_below(r, (uint32_t)corpus_len);
		n = corpus[from].n;
		memcpy(p, corpus[from].p, n);
		for (steps = 1 + eci_random_below(r, 8); steps > 0; steps--)
			n = mutate_once(r, p, n);
		run(p, n);
	}
}

/* Async-signal-safe: digits by hand. The default action then ends the program as it would have. */
static void on_crash(int number)
{
	char text[64] = "replay: crashed in input ", *end = text + strlen(text);
	unsigned long v = (unsigned long)current, scale = 1;

	while (v / scale > 9)
		scale *= 10;
	for (; scale > 0; scale /= 10)
		*end++ = (char)('0' + v / scale % 10);
	*end++ = '\n';
	if (write(STDERR_FILENO, text, (size_t)(end - text)) < 0)
		_exit(2);
	signal(number, SIG_DFL);
	raise(number);
}

int main(int argc, char **argv)
{
	unsigned long seed = 1;
	struct eci_random r;
	long mutations = 0;
	size_t i;
	int opt;

	while ((opt = getopt(argc, argv, "n:s:k:")) != -1) {
		if (opt == 'n')
			mutations = strtol(optarg, NULL, 10);
		else if (opt == 's')
			seed = strtoul(optarg, NULL, 10);
		else if (opt == 'k')
			print_only = strtol(optarg, NULL, 10);
		else
			return 2;
	}
	for (; optind < argc; optind++)
		add(argv[optind]);
	if (corpus_len == 0)
		die("nothing to replay", argv[0]);
	signal(SIGABRT, on_crash);
	signal(SIGSEGV, on_crash);
	for (i = 0; i < corpus_len; i++)
		run(corpus[i].p, corpus[i].n);
	r = (struct eci_random){seed * 2 + 1};
	mutate(&r, mutations);
	if (print_only < 0)
		printf("%zu files and %ld mutations of them, seed %lu\n", corpus_len, mutations, seed);
	for (i = 0; i < corpus_len; i++)
		free(corpus[i].p);
	return 0;
}
