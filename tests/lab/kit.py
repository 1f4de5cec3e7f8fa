"""What the themes of the lab's suite share: the lab, the program under test, checks, and a way back from every fault.

A theme is a module with run(lab); it makes checks and leaves the lab as it found it. What is changed in a host goes
through fault() or change(), whose undoing is remembered and done at the theme's end, whatever happens.
"""
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SCRIPT = os.path.join(TOP, "..", "shared", "lab", "lab")
TMPFS = ("tmp", "run", "var/tmp", "dev/shm")


def parent(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return int(f.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


class Result:
    def __init__(self, status, out, err, wall):
        self.status, self.out, self.err, self.wall = status, out, err, wall

    def values(self):
        """NODE -> what stands behind it, of `NODE: text` lines; several lines of a node are joined."""
        found = {}
        for line in self.out.splitlines():
            node, _, text = line.partition(": ")
            found.setdefault(node, []).append(text)
        return {node: "\n".join(texts) for node, texts in found.items()}

    def events(self, kind=None):
        """The objects of --json output."""
        found = [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]
        return [e for e in found if kind is None or e.get("event") == kind]

    def brief(self):
        words = (self.out[-300:] + " " + self.err[-600:]).split()
        return "exit %d, %.1f s: %s" % (self.status, self.wall, " ".join(words)[-500:] or "no output")


class Program:
    """The program under test, running on the lab's master. pid is its own: the lab's script and nsenter replace
    themselves by it."""

    def __init__(self, argv, env, cwd, stdout, stderr):
        self.began = time.monotonic()
        self.process = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                        text=True, errors="replace")
        self.pid = self.process.pid

    def end(self, timeout):
        """Waits for its end."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            err = (err or "") + "\nnot ended after %g s" % timeout
        return Result(self.process.returncode, out or "", err or "", time.monotonic() - self.began)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Lab:
    def __init__(self, build, work):
        self.work = work
        self.build = build
        self.program = os.path.join(build, "econtext")
        self.env = dict(os.environ, ECONTEXT_NO_COLOR="1", NO_COLOR="1")
        for name in "ECONTEXT_TOPOLOGY", "COLUMNS":
            self.env.pop(name, None)
        self.passed = self.failed = self.skipped = 0
        self.undo = []
        self.running = []
        self.state = os.environ["ECONTEXT_LAB_STATE"]
        for line in self.script("env").splitlines():
            name, _, value = line.partition(" ")[2].partition("=")
            self.env[name] = value.replace("\\ ", " ").strip("'")
        self.hosts = {}
        for line in self.script("status").splitlines()[2:]:
            fields = line.split()
            self.hosts[fields[0]] = int(fields[4])
        self.nets = {os.readlink("/proc/%d/ns/net" % pid): host for host, pid in self.hosts.items()}
        self.leaves = self.env["ECONTEXT_LAB_LEAVES"].split()
        self.variants = self.env["ECONTEXT_LAB_VARIANTS"].split()

    # ---- checks ----

    def check(self, name, good, saw):
        """One line a check; saw says what was seen, in one line."""
        saw = json.dumps(saw) if isinstance(saw, (dict, list)) else str(saw)
        self.passed += bool(good)
        self.failed += not good
        print("%s - %s: %s" % ("ok" if good else "not ok", name, " ".join(saw.split())), flush=True)
        return bool(good)

    def skip(self, name, why):
        self.skipped += 1
        print("skip - %s: %s" % (name, why), flush=True)

    # ---- the lab ----

    def script(self, *argv):
        done = subprocess.run([SCRIPT] + list(argv), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)
        if done.returncode:
            raise RuntimeError("lab %s: %s" % (" ".join(argv)[:200], done.stderr.strip() or done.stdout.strip()))
        return done.stdout

    def root(self, host, text):
        """Runs this shell text on the host as root; what it prints."""
        return self.script("exec", host, "sh", "-c", text)

    def change(self, host, do, back):
        """Changes something on a host; `back` is run at the theme's end."""
        self.undo.append(lambda: self.root(host, back))
        self.root(host, do)

    def fault(self, *argv):
        """`lab fault ...`, taken back at the theme's end."""
        if argv[0] == "freeze":
            self.undo.append(lambda: self.script("fault", "thaw", argv[1]))
        else:
            self.undo.append(lambda: self.script("fault", "heal", argv[1], argv[2]))
        self.script("fault", *argv)

    def put_back(self):
        """Ends what a theme left running and takes back what it changed, last things first."""
        for program in self.running:
            program.kill()
        self.running = []
        while self.undo:
            try:
                self.undo.pop()()
            except (RuntimeError, subprocess.TimeoutExpired) as e:
                self.check("the lab is put back", False, e)

    def sshd_log(self, host):
        with open(os.path.join(self.state, "hosts", host, "log"), errors="replace") as f:
            return f.read()

    def processes(self, host=None):
        """pid -> (host, command line, state) of every process on a host, or on all but the master."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                where = self.nets.get(os.readlink("/proc/%s/ns/net" % pid))
                if not where or where == "master" and host != "master" or host and where != host:
                    continue
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    argv = f.read().rstrip(b"\0").replace(b"\0", b" ").decode("utf8", "replace")
                with open("/proc/%s/stat" % pid) as f:
                    state = f.read().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state not in "ZX":
                found[int(pid)] = where, argv, state
        return found

    def agents(self, host):
        """pids of the Python agents there, whoever they run as. An agent's parent is its watcher, which has the same title."""
        titled = {pid for pid, (_, argv, _) in self.processes(host).items() if argv.startswith("econtext:")}
        return sorted(pid for pid in titled if parent(pid) in titled)

    def files(self, host):
        """Path -> what tells a change, of everything on a host that could be written to."""
        found = {}
        seen = "/proc/%d/root" % self.hosts[host]
        upper = os.path.join(self.state, "hosts", host, "fs", "up")
        places = [os.path.join(seen, x) for x in TMPFS + ("home", "root", "etc", "var", "opt", "srv", "mnt", "media")]
        for place in places + [upper]:
            for folder, _, names in os.walk(place):
                for path in [folder] + [os.path.join(folder, x) for x in names]:
                    try:
                        s = os.lstat(path)
                    except OSError:
                        continue
                    found[path.replace(seen, "")] = s.st_ino, s.st_mode, s.st_uid, s.st_size, s.st_mtime_ns, s.st_ctime_ns
        return found

    # ---- the program ----

    def start(self, *argv, topology="topology.yaml", env=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE):
        command = [argv[0]] + (["--topology", self.topology(topology)] if topology else []) + list(argv[1:])
        program = Program([SCRIPT, "exec", "master", self.program] + command, dict(self.env, **(env or {})), self.work,
                          stdout, stderr)
        self.running.append(program)
        return program

    def run(self, *argv, timeout=60, **more):
        program = self.start(*argv, **more)
        result = program.end(timeout)
        self.running.remove(program)
        return result

    def failure(self, *argv, **more):
        """The error of the one result of a run with --json, {} if there is none."""
        result = self.run(argv[0], "--json", *argv[1:], **more)
        errors = [e.get("error") or {} for e in result.events("result")]
        return result, errors[0] if errors else {}

    def topology(self, name):
        return name if os.path.isabs(name) else os.path.join(HERE, name)

    def write(self, name, text):
        """A file in the suite's own folder, which is the working directory of the program; its path."""
        path = os.path.join(self.work, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb" if isinstance(text, bytes) else "w") as f:
            f.write(text)
        return path

    def until(self, what, seconds, pause=0.05):
        """Waits for what() to be true; what it gave last, and the seconds that took."""
        began = time.monotonic()
        while True:
            got = what()
            took = time.monotonic() - began
            if got or took > seconds:
                return got, took
            time.sleep(pause)


def stop(signum, frame):
    raise SystemExit(128 + signum)


def on_signals():
    """A signal ends the suite by way of its clean-up."""
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        signal.signal(number, stop)
    sys.stdout.reconfigure(line_buffering=True)
