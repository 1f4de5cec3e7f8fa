/* Loaders: one line of code that turns an interpreter into the native agent.
 *
 * The line goes where the Python agent's line would go (docs/boot.md), and what follows it on stdin is exactly n bytes:
 * the ELF deflated for Python, as it is for perl and sh, which have no inflate. Each loader
 *
 *   1. reads exactly those n bytes: what follows them are frames, which are the agent's;
 *   2. tries a memfd (Python, perl): with MFD_EXEC first, because vm.memfd_noexec=1 makes the default one that cannot
 *      be executed, then without it, for kernels before 6.3 that do not know the flag;
 *   3. else looks for a directory in which a file can be made and executed;
 *   4. executes it through a descriptor, /proc/self/fd/N, after the file's name is gone. So no name outlives the
 *      loader, whatever ends it, and the agent need not know how it came to be;
 *   5. else says "econtext: no native agent: REASON: what was tried" on stderr and exits: REASON is one word of
 *      transport/agents.c.
 *
 * The directories are those of feasibility 2.3, RAM first. Some are everybody's, and who may rename there could put his
 * own file, link or pipe in the place of ours, whose name he can read in /proc:
 *
 *   - Python and perl make the file with O_EXCL and mode 0700, take its name away at once, and open it to be executed
 *     by /proc/self/fd, as the same file; what is done by that name meanwhile is no concern of theirs.
 *   - sh has no O_EXCL: `set -C` opens whatever is there and is no plain file, a pipe say, and stands until somebody
 *     opens the other end. So in /dev/shm, /tmp and /var/tmp, where they are sticky, it makes a folder, which mkdir(2)
 *     does only where nothing is, of mode 0700 at once, and the file in that. Of the other directories it takes those
 *     that are its user's own and that nobody else may write to, so a home that sudo has left in place is none; there
 *     it makes the file itself: NFS would keep a folder, for the file without a name that is still executed.
 *
 * sh makes a ten-byte script first and runs that, as a file that fails to be executed ends the shell itself. Behind it
 * go as many zeros as the ELF has bytes: those come once, so what has no room for them is to be passed before. All
 * names are gone before the bytes come: that may take long, and a link that is lost meanwhile ends sh with SIGKILL.
 * What writes them has its descriptor from the braces around it: mksh keeps a copy of one that `exec` closes, and what
 * is open to be written is not executed. A limit of a file's size is an error and no signal, here and in perl, so that
 * what failed by it is removed. Where sh finds no room for the descriptors that it puts aside while it redirects, dash,
 * busybox and mksh may end there and then, with their stderr closed: so a subshell tries it first of all, and what says
 * so is a variable that is not set, as to echo on stderr is to redirect.
 *
 * Python first takes the working directory out of sys.path, as the agent's line does (build.py): whoever may write
 * there, behind sudo too, would have his struct.py executed.
 *
 * sh reads with dd: `iflag=fullblock` asks for no byte too much and needs few system calls; where it is not known, one
 * byte at a time. `head -c` of busybox reads ahead, so it is not used. (eval, because zsh does not split what a
 * variable holds.)
 *
 * The last argument is blanks: room for the title, which the agent writes over its arguments. */
#include "preamble/preamble.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* For both the text is one line; "\\n" inside exec() is Python's. */
static const char python[] =
	"p=sys.path;p[0]or p.pop(0);import "
	"os,zlib,fcntl,struct;fcntl.fcntl(0,4,0);n=%zu;v=%u,%u;b=''.encode();"
	"exec('while len(b)<n:b+=os.read(0,n-len(b))or n');b=zlib.decompress(b);exec(\""
	"w=[]\\n"
	"def run(f,s):\\n"
	" try:os.execv('/proc/self/fd/%%d'%%f,['econtext',' '*%u])\\n"
	" except OSError:w.append((s,sys.exc_info()[1]))\\n"
	"def put(f):\\n"
	" d=b\\n"
	" while d:d=d[os.write(f,d):]\\n"
	"def mem(f):\\n"
	" if hasattr(os,'memfd_create'):return os.memfd_create('econtext',f)\\n"
	" import ctypes\\n"
	" r=ctypes.CDLL(None,use_errno=True).syscall(v[struct.calcsize('P')>4],ctypes.c_char_p('econtext'.encode()),f)"
	"\\n"
	" if r<0:e=ctypes.get_errno();raise OSError(e,os.strerror(e))\\n"
	" return r\\n"
	"for f in 17,1:\\n"
	" try:f=mem(f);put(f)\\n"
	" except Exception:w.append(('memfd',sys.exc_info()[1]));continue\\n"
	" run(f,'memfd');os.close(f);break\\n"
	"g=os.environ.get\\n"
	"for s in '/dev/shm',g('XDG_RUNTIME_DIR'),'/run/user/%%d'%%os.getuid(),'/tmp','/var/tmp',g('HOME'),'.':\\n"
	" if not s:continue\\n"
	" p=s+'/.econtext-%%d-%s'%%os.getpid()\\n"
	" try:f=os.open(p,193,448);os.unlink(p)\\n"
	" except OSError:continue\\n"
	" try:\\n"
	"  try:put(f);r=os.open('/proc/self/fd/%%d'%%f,0)\\n"
	"  finally:os.close(f)\\n"
	" except OSError:w.append((s,sys.exc_info()[1]));continue\\n"
	" fcntl.fcntl(r,2,1);run(r,s);os.close(r)\\n"
	"e=[getattr(x[1],'errno',0) for x in w if x[0]!='memfd'] or [0]\\n"
	"sys.exit('econtext: no native agent: %%s: %%s'%%({0:'no-place',1:'exec-denied',8:'wrong-format',13:'noexec',"
	"27:'no-space',28:'no-space',2:'no-proc'}.get(e[-1],'failed'),'; '.join(['%%s: %%s'%%x for x in w])))\\n\")\n";

static const char perl[] =
	"$SIG{XFSZ}=\"IGNORE\";$n=%zu;@v=(%u,%u);fcntl STDIN,4,0;binmode STDIN;"
	"while(length($b)<$n){sysread(STDIN,$b,$n-length$b,length$b)||exit 1}"
	"sub run{my($f,$s)=@_;exec{\"/proc/self/fd/\".fileno$f}\"econtext\",\" \"x%u;push@w,\"$s: $!\";$e=$!+0}"
	"sub put{my$f=shift;my$o=0;while($o<$n){my$r=syswrite$f,$b,$n-$o,$o;$r||return 0;$o+=$r}1}"
	"for$g(17,1){$t=\"econtext\";$f=syscall$v[length(pack\"p\",0)>4],$t,$g;"
	"if($f<0||!open M,\"+<&=\",$f){push@w,\"memfd: $!\";next}"
	"binmode M;if(put(\\*M)){$k=$e;run(\\*M,\"memfd\");$e=$k}else{push@w,\"memfd: $!\"}close M;last}"
	"for$s(\"/dev/shm\",$ENV{XDG_RUNTIME_DIR},\"/run/user/$<\",\"/tmp\",\"/var/tmp\",$ENV{HOME},\".\"){"
	"length$s||next;$p=\"$s/.econtext-$$-%s\";sysopen(F,$p,193,448)&&unlink($p)||next;binmode F;"
	"if(put(\\*F)&&open(G,\"<\",\"/proc/self/fd/\".fileno F)&&close F){run(\\*G,$s)}else{push@w,\"$s: $!\";$e=$!+0}"
	"close F;close G}"
	"%%r=(0,\"no-place\",1,\"exec-denied\",8,\"wrong-format\",13,\"noexec\",27,\"no-space\",28,\"no-space\",2,\"no-"
	"proc\");"
	"print STDERR\"econtext: no native agent: \",$r{$e+0}||\"failed\",\": \",join(\"; \",@w),\"\\n\";exit 1\n";

static const char sh[] =
	"[ ! -e /dev/null ]||(exec 2>/dev/null;: `umask`;{ { echo>&2;} 2>/dev/null;} </dev/null)||"
	": \"${econtext_?econtext: no native agent: no-files:}\";u=`umask`;umask 77;set -C;w=no-place;t=;f=;trap '' "
	"XFSZ;"
	"no(){ trap - 0;[ \"$f\" ]&&rm -rf \"$f\";echo \"econtext: no native agent: $1:$t$2\">&2;exit 1;};"
	"[ -e /dev/null ]||no no-tools /dev/null;"
	"for c in chmod rm mkdir dd;do command -v $c>/dev/null||no no-tools $c;done;"
	"for d in /dev/shm \"$XDG_RUNTIME_DIR\" \"/run/user/`id -u 2>/dev/null`\" /tmp /var/tmp \"$HOME\" .;do f=;"
	"[ -d \"$d\" ]&&[ \"$d\" ]||continue;f=$d/.econtext-$$-%s;p=$f;"
	"if [ -O \"$d\" ]&&case `ls -ld \"$d/.\" 2>/dev/null` in d????[!w]??[!w]*);;*)false;esac;then [ ! -e \"$f\" "
	"];else "
	"case $d in /dev/shm|/tmp|/var/tmp)p=$f/p;[ -k \"$d\" ]&&mkdir -m 700 \"$f\" 2>/dev/null;;*)false;esac;fi||"
	"{ f=;continue;};"
	"{ echo '#!/bin/sh'>\"$p\";} 2>/dev/null||{ rm -rf \"$f\";f=;continue;};"
	"chmod 700 \"$p\";w=noexec;\"$p\" </dev/null 2>/dev/null&&w=no-space&&"
	"{ [ ! -e /dev/zero ]||dd bs=%zu count=1 </dev/zero>>\"$p\";} 2>/dev/null&&break;"
	"t=\"$t $d\";rm -rf \"$f\";f=;done;"
	"[ \"$f\" ]||no $w;rm -f \"$p\";t=\" $d\";o='bs=1 count=%zu';"
	"dd bs=1 count=0 iflag=fullblock</dev/null>/dev/null 2>&1&&o='bs=%zu count=1 iflag=fullblock';"
	"trap 'no no-space' 0;true>\"$p\"&&exec 9<\"$p\"||no no-space;chmod 700 \"$p\";"
	"{ rm -rf \"$f\";f=;eval dd $o>&8 2>/dev/null;} 8>>\"$p\"||no no-space;trap 'no exec-denied' 0;"
	"[ -r /proc/self/fd/9 ]||no no-proc;umask $u;"
	"exec /proc/self/fd/9 '%*s'\n";

/* memfd_create by machine: for the kernel's own size of pointers, and for a process of 32 bits on it. */
static const struct {
	const char *machine;
	unsigned nr32, nr64;
} numbers[] = {
	{"x86_64", 356, 319},  {"i", 356, 356},   /* i386 to i686 */
	{"aarch64", 385, 279}, {"arm", 385, 385}, /* armv7l, ... */
	{"riscv64", 279, 279},
};

int eci_preamble_loader(char *out, size_t cap, enum eci_loader kind, const struct eci_native *native, const char *nonce)
{
	unsigned nr32 = 279, nr64 = 279; /* what new architectures have */
	int n = -1;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (strncmp(native->arch, numbers[i].machine, strlen(numbers[i].machine)) == 0) {
			nr32 = numbers[i].nr32;
			nr64 = numbers[i].nr64;
			break;
		}
	size_t elf = native->elf_len;
	switch (kind) {
	case ECI_LOADER_PYTHON:
		n = snprintf(out, cap, python, native->packed_len, nr32, nr64, ECI_TITLE_ROOM, nonce);
		break;
	case ECI_LOADER_PERL:
		n = snprintf(out, cap, perl, elf, nr32, nr64, ECI_TITLE_ROOM, nonce);
		break;
	case ECI_LOADER_SH:
		n = snprintf(out, cap, sh, nonce, elf, elf, elf, (int)ECI_TITLE_ROOM, "");
		break;
	}
	return n < 0 || (size_t)n >= cap ? -1 : n;
}

const uint8_t *eci_preamble_loaded(enum eci_loader kind, const struct eci_native *native, size_t *len)
{
	bool packed = kind == ECI_LOADER_PYTHON;
	*len = packed ? native->packed_len : native->elf_len;
	return packed ? native->packed : native->elf;
}
