# Part `program`: calls of single-file programs (docs/protocol.md section 8). Sent before the first of them.

def load(name):
    # `./p` is loaded once, as __main__ and under its stem.
    x = name.replace('./', '')
    if x == name:
        __import__(x)
    elif fetch(x) and name not in ENTRIES:
        ENTRIES[name] = sys.modules['__main__'] = load_module(x)
    return sys.modules[x]
