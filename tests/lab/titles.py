"""Line 7: what `ps` shows of the agents on a host."""
import pwd

TOPOLOGY = """econtext: 1
nodes:
  bastion: {}
  relay-a: {via: bastion}
  a01: {via: relay-a, title: "vlab-watch %u@%h", become: [{as: vlab-deploy, method: sudo}]}
"""


def shown(lab, host):
    """(user, command line) of `ps` there, but for what sshd, the lab and ps itself run."""
    rows = [line.split(None, 1) for line in lab.root(host, "ps -eo user:32,args").splitlines()[1:]]
    return [(row[0], row[1]) for row in rows if row[0] != "root" and len(row) == 2 and not row[1].startswith("sshd:")]


def run(lab):
    user = pwd.getpwuid(0).pw_name
    lab.env.pop("USER", None)
    machine = lab.script("exec", "master", "hostname").strip()
    # csh's login shell is tcsh, a01's is bash and it has children: contexts, and what a call starts.
    for nodes, host, users in (("a01:vlab-app,a01", "a01", ["vlab-ops", "vlab-deploy", "vlab-app"]), ("csh", "csh", ["vlab-ops"])):
        lab.write("pause.py", "import os\n\n\ndef main():\n    os.system('sleep 30')\n")
        program = lab.start("call", "-w", nodes, "./pause.py:main")
        title = "econtext:%s@%s:%d" % (user, machine, program.pid)
        got, _ = lab.until(lambda: {users[0], users[-1]} <= {who for who, args in shown(lab, host) if args == "sleep 30"}, 30, 0.3)
        rows = shown(lab, host)
        for one in users:
            mine = [args.strip() for who, args in rows if who == one and "sleep 30" not in args and not args.startswith("sudo")]
            lab.check("ps on %s shows %s's agent as %s" % (host, one, title), title in mine, mine)
        code = [args for who, args in rows if "exec(" in args or "read -r" in args and not args.startswith("sudo ")]
        lab.check("... and no command line of ours on %s" % host, got and not code, code or "%d processes" % len(rows))
        program.kill()
    path = lab.write("titles.yaml", TOPOLOGY)
    lab.write("pause.py", "import time\n\n\ndef main():\n    time.sleep(30)\n")
    program = lab.start("call", "-w", "a01,a01:vlab-deploy", "./pause.py:main", topology=path)
    want = "vlab-watch %s@%s" % (user, machine)
    users = {"vlab-ops", "vlab-deploy"}
    got, _ = lab.until(lambda: users <= {who for who, args in shown(lab, "a01") if args.strip() == want}, 20, 0.3)
    lab.check("title: of the node changes it, for its become step too", got, shown(lab, "a01"))
