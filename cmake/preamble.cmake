# The agent's bytes are built from preamble/python by preamble/build.py and embedded; see docs/boot.md.
