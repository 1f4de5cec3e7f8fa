#!/usr/bin/env python3
"""py24.py [FILE...]: refuses what Python 2.4 lacks in the agent's source (preamble/python, and the line that loads it).

There is no Python 2.4 to try it with, so this is a list: syntax by the tree and the tokens that Python 3 makes of the
source, library by names. What must differ between versions is reached in ways that both parse; the few names that exist
in newer versions only, on a way that older ones never take, stand in NEWER with the reason.
"""
import ast
import builtins
import io
import os
import sys
import tokenize

# What both 2.4 and 3.13 have. A name of Python 3's builtins that is not here is newer than 2.4.
BUILTINS = set('''ArithmeticError AssertionError AttributeError DeprecationWarning EOFError EnvironmentError Exception False
    FloatingPointError FutureWarning IOError ImportError IndentationError IndexError KeyError KeyboardInterrupt LookupError
    MemoryError NameError None NotImplemented NotImplementedError OSError OverflowError ReferenceError RuntimeError
    RuntimeWarning StopIteration SyntaxError SyntaxWarning SystemError SystemExit TabError True TypeError UnboundLocalError
    UnicodeDecodeError UnicodeEncodeError UnicodeError UnicodeTranslateError UserWarning ValueError Warning
    ZeroDivisionError __import__ __name__ __doc__ abs bool callable chr classmethod compile complex delattr dict dir divmod
    enumerate eval exec filter float frozenset getattr globals hasattr hash help hex id int isinstance issubclass iter len
    list locals map max min object oct open ord pow property range repr reversed round set setattr slice sorted
    staticmethod str sum super tuple type vars zip'''.split())
# Modules that both have and that start without a cost that a leaf should not pay.
MODULES = set('''codecs errno fcntl grp logging math os pwd random re resource select signal socket stat string struct sys
    termios thread time traceback tty types zlib'''.split())
# What these modules got later.
LATER = {
    'os': '''SEEK_CUR SEEK_END SEEK_SET closerange copy_file_range cpu_count device_encoding environb eventfd exec_t fchdir_fd
        fchmod fchown fsdecode fsencode fspath fwalk get_blocking get_exec_path get_inheritable get_terminal_size getenvb
        getgrouplist getpriority getrandom getresgid getresuid initgroups lchflags lchmod lockf memfd_create pidfd_open pipe2
        posix_fadvise posix_fallocate posix_spawn posix_spawnp pread preadv pwrite pwritev readv register_at_fork replace
        scandir sched_getaffinity sched_yield sendfile set_blocking set_inheritable setpriority setresgid setresuid
        splice statvfs_result supports_bytes_environ sync truncate unshare urandom_fd wait3 wait4 waitid waitstatus_to_exitcode
        writev'''.split(),
    'path': 'commonpath lexists_at relpath samefile_at'.split(),
    'struct': 'Struct iter_unpack pack_into unpack_from'.split(),
    'select': 'EPOLLIN devpoll epoll kevent kqueue PIPE_BUF'.split(),
    'sys': '''addaudithook audit breakpointhook dont_write_bytecode flags float_info float_repr_style getsizeof
        get_asyncgen_hooks getallocatedblocks hash_info implementation int_info intern is_finalizing long_info orig_argv
        pycache_prefix setswitchinterval getswitchinterval thread_info unraisablehook warnoptions_ __spec__'''.split(),
    'zlib': 'ZLIB_RUNTIME_VERSION'.split(),
    'codecs': '''BOM_UTF8_SIG IncrementalDecoder IncrementalEncoder getincrementaldecoder getincrementalencoder iterdecode
        iterencode namereplace_errors'''.split(),
    'logging': '''LoggerAdapter NullHandler captureWarnings getHandlerByName getLevelNamesMapping getLogRecordFactory
        lastResort setLogRecordFactory'''.split(),
    'signal': '''pthread_kill pthread_sigmask set_wakeup_fd setitimer getitimer siginterrupt sigpending sigtimedwait sigwait
        sigwaitinfo valid_signals strsignal Signals'''.split(),
    'socket': 'CMSG_LEN CMSG_SPACE create_connection create_server if_nameindex recvmsg sendmsg'.split(),
    'time': '''clock_gettime get_clock_info monotonic monotonic_ns perf_counter process_time thread_time time_ns'''.split(),
    'traceback': 'FrameSummary StackSummary TracebackException clear_frames print_stack_ walk_stack walk_tb'.split(),
}
# Methods of whatever object that 2.4's types lack (or 3.13's).
METHODS = set('''as_integer_ratio bit_count bit_length casefold format_map from_bytes fromhex has_key isascii isdecimal
    isidentifier isnumeric_ isprintable iteritems iterkeys itervalues next partition removeprefix removesuffix rpartition
    to_bytes viewitems viewkeys viewvalues with_traceback add_note detach_ getbuffer readinto1'''.split())
HANDLERS = 'h', 'handler', 'formatter'     # the names of what has a format() of its own: the one of strings is younger
NEWER = {
    '__spec__': 'find_spec is called by Python 3.4 and later only',
    'waitid': 'its absence is caught',
    'fsdecode': 'only Python 3 has arguments that are neither bytes nor UTF-8',
}
STATEMENTS = {
    'With': 'with', 'AsyncWith': 'async with', 'AsyncFor': 'async for', 'AsyncFunctionDef': 'async def', 'Await': 'await',
    'YieldFrom': 'yield from', 'Nonlocal': 'nonlocal', 'IfExp': 'x if y else z', 'JoinedStr': 'f-string',
    'FormattedValue': 'f-string', 'NamedExpr': ':=', 'Set': 'set display', 'SetComp': 'set comprehension',
    'DictComp': 'dict comprehension', 'AnnAssign': 'annotation', 'TryStar': 'except*', 'Match': 'match',
    'TypeAlias': 'type', 'TemplateStr': 't-string',
}


class Check(ast.NodeVisitor):
    def __init__(self):
        self.found = []

    def no(self, node, what):
        self.found.append((getattr(node, 'lineno', 0), what))

    def visit(self, node):
        name = type(node).__name__
        if name in STATEMENTS:
            self.no(node, STATEMENTS[name])
        getattr(self, 'see_' + name, lambda n: None)(node)
        for child in ast.iter_child_nodes(node):
            self.visit(child)

    def see_BinOp(self, node):
        if isinstance(node.op, ast.MatMult):
            self.no(node, '@')

    def see_Try(self, node):
        if node.handlers and node.finalbody:
            self.no(node, 'except and finally of one try')

    def see_ExceptHandler(self, node):
        if node.name:
            self.no(node, 'except ... as')

    def see_Raise(self, node):
        if node.cause:
            self.no(node, 'raise ... from')

    def see_FunctionDef(self, node):
        a = node.args
        if a.kwonlyargs or getattr(a, 'posonlyargs', None):
            self.no(node, 'keyword-only or positional-only argument')
        if node.returns or [x for x in a.args + [a.vararg, a.kwarg] if x and x.annotation]:
            self.no(node, 'annotation')

    def see_Lambda(self, node):
        if node.args.kwonlyargs or getattr(node.args, 'posonlyargs', None):
            self.no(node, 'keyword-only or positional-only argument')

    def see_ClassDef(self, node):
        if node.keywords:
            self.no(node, 'class keyword')
        if node.decorator_list:
            self.no(node, 'class decorator')

    def see_Import(self, node):
        for a in node.names:
            if a.name not in MODULES:
                self.no(node, 'module ' + a.name)

    def see_ImportFrom(self, node):
        if node.level:
            self.no(node, 'relative import')
        elif node.module not in MODULES:
            self.no(node, 'module ' + node.module)
        for a in node.names:
            if a.name in LATER.get(node.module, ()):
                self.no(node, '%s.%s' % (node.module, a.name))

    def see_Constant(self, node):
        if isinstance(node.value, bytes):
            self.no(node, "b''")
        elif node.value is Ellipsis:
            self.no(node, '...')

    def see_Dict(self, node):
        if None in node.keys:
            self.no(node, '** in a display')

    def see_Name(self, node):
        if node.id in dir(builtins) and node.id not in BUILTINS and isinstance(node.ctx, ast.Load) and node not in self.see_in_call:
            self.no(node, 'builtin ' + node.id)

    def see_Attribute(self, node):
        base = node.value
        base = getattr(base, 'id', None) or getattr(base, 'attr', None)
        if node.attr in NEWER:
            return
        if node.attr in LATER.get(base, ()):
            self.no(node, '%s.%s' % (base, node.attr))
        elif node.attr in METHODS or node.attr == 'format' and base not in HANDLERS:
            self.no(node, 'method ' + node.attr)

    def see_Call(self, node):
        name = getattr(node.func, 'id', None) or getattr(node.func, 'attr', '')
        stars = [i for i, a in enumerate(node.args) if isinstance(a, ast.Starred)]
        if len(stars) > 1 or stars and (stars[0] != len(node.args) - 1 or [k for k in node.keywords if k.arg]):
            self.no(node, 'argument behind *')
        if len([k for k in node.keywords if not k.arg]) > 1:
            self.no(node, 'two **')
        if name in ('min', 'max', 'encode', 'decode', 'open', 'fdopen', 'exec', 'split', 'enumerate', 'int') and [
                k for k in node.keywords if k.arg]:
            self.no(node, 'keyword argument of ' + name)
        if name in ('startswith', 'endswith') and node.args and isinstance(node.args[0], ast.Tuple):
            self.no(node, '%s of a tuple' % name)
        for a in node.args:
            if isinstance(a, ast.Starred):
                self.see_in_call.add(a)

    see_in_call = set()

    def see_Starred(self, node):
        if node not in self.see_in_call:
            self.no(node, '* outside of a call')

    def see_Expr(self, node):
        v = node.value
        if isinstance(v, ast.Yield):
            self.see_in_call.add(v)
        if isinstance(v, ast.Call) and len(v.args) == 1 and not v.keywords and not isinstance(v.args[0], ast.Starred) and (
                getattr(v.func, 'id', '') == 'print'):
            self.see_in_call.add(v.func)    # a statement there, of an expression in brackets

    def see_Yield(self, node):
        if node not in self.see_in_call:
            self.no(node, 'value of yield')


def by_tokens(source):
    """What the tree no longer tells: forms of literals, `class A():`."""
    before = ['', '', '']
    for t in tokenize.generate_tokens(io.StringIO(source).readline):
        s = t.string
        if t.type == tokenize.NUMBER and ('_' in s or s[:2] in ('0o', '0O', '0b', '0B')):
            yield t.start[0], 'number ' + s
        if t.type == tokenize.STRING:
            prefix = s[:min(s.find(q) for q in '\'"' if q in s)].lower()
            if prefix.strip('r'):
                yield t.start[0], 'prefix %s of a string' % prefix
        if s == ')' and before[0] == 'class' and before[2] == '(':
            yield t.start[0], 'class A()'
        before = before[1:] + [s]


def check(source):
    """[(line, what)] that Python 2.4 lacks in this text."""
    try:
        tree = ast.parse(source)
    except SyntaxError as e:
        return [(e.lineno or 0, 'syntax that Python 3 lacks: %s' % e.msg)]
    c = Check()
    c.visit(tree)
    return sorted(set(c.found) | set(by_tokens(source)))


def agent(top):
    """[(name, source)] of what is sent: the readable files, and the line before them."""
    folder = os.path.join(top, 'preamble', 'python')
    for here, _, files in sorted(os.walk(folder)):
        for name in sorted(files):
            if name.endswith('.py'):
                path = os.path.join(here, name)
                with open(path, encoding='utf-8') as f:
                    yield os.path.relpath(path, top), f.read()
    sys.path.insert(0, os.path.join(top, 'preamble'))
    sys.dont_write_bytecode = True
    import build
    yield 'preamble/build.py (LINE)', build.LINE % {'n': 1}


def main(argv):
    top = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
    if argv:
        texts = [(name, open(name, encoding='utf-8').read()) for name in argv]
    else:
        texts = list(agent(top))
    bad = 0
    for name, source in texts:
        for line, what in check(source):
            print('%s:%d: Python 2.4 lacks this: %s' % (name, line, what))
            bad += 1
    if len(texts) < (1 if argv else 3):
        print('py24: found no source')
        bad += 1
    print('py24: %d files, %d refused' % (len(texts), bad))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
