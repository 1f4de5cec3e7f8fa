# Part `program`: calls of single-file programs (docs/protocol.md section 8). Sent before the first of them.

def load(name):
    # `./p` is loaded once, as __main__ and under its file's stem. That is p, but where the stem was served with other bytes before:
    # then whichever was called last has the name, and its source is what tracebacks find.
    x = name.replace('./', '')
    if x == name:
        __import__(x)
        return sys.modules[x]
    if name not in ENTRIES:
        if ENTRIES.get(x, [x])[0] != x:
            del ENTRIES[x]      # another's, that has the name
        if not fetch(x):
            raise ImportError(x)
        ENTRIES[name] = ENTRIES[x], []
    e, loaded = ENTRIES[name]
    stem = e[2][:-3]
    if ENTRIES.get(stem) is not e and 'linecache' in sys.modules:
        sys.modules['linecache'].cache.pop(ROOT + e[2], 0)
    ENTRIES[stem] = e
    loaded or loaded.append(load_module(stem))
    sys.modules['__main__'] = sys.modules[stem] = loaded[0]
    return loaded[0]
