"""Line 6: an exception at depth 3, and what was printed and logged there, as records."""
import re

RECORD = re.compile(r"^\d\d:\d\d:\d\d ([A-Z]) econtext\.(\S+): (.*)$", re.M)


def run(lab):
    lab.write("trouble.py", "import logging\nimport os\n\n\nclass Trouble(Exception):\n    pass\n\n\ndef inner(n):\n"
              "    raise Trouble('number %d' % n)\n\n\ndef raises(n):\n    inner(n)\n\n\ndef talks():\n"
              "    os.system('hostname; uptime')\n    logging.warning('from logging')\n    return 1\n")
    result = lab.run("call", "-w", "a01", "./trouble.py:raises", "7")
    text = result.out + result.err
    lab.check("an exception at depth 3 has type and message", result.status == 1 and "Trouble" in text and "number 7" in text,
              result.brief())
    places = re.findall(r'File "([^"]*trouble\.py)", line (\d+), in (\w+)', text)
    lab.check("... and the remote traceback", [x[2] for x in places] == ["raises", "inner"], places or result.brief())
    result, e = lab.failure("call", "-w", "a01", "./trouble.py:raises", "7")
    lab.check("... in JSON too", e.get("code") == "exception" and e.get("path", "").endswith("a01") and "number 7" in str(e), e)
    result = lab.run("call", "-w", "a01", "./trouble.py:talks")
    records = RECORD.findall(result.err)
    out = [text for level, node, text in records if node.startswith("a01") and "stdout" in node + text]
    lab.check("os.system('hostname; uptime') arrives as records", any("a01" in x.split() for x in out)
              and any("load average" in x for x in out), out or result.brief())
    warned = [(level, text) for level, node, text in records if "from logging" in text]
    lab.check("logging.warning arrives as a record", [x[0] for x in warned] == ["W"], warned or result.brief())
    lab.check("the call's value came too", result.values().get("a01") == "1", result.values())
