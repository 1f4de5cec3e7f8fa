# Log records, and what is printed: both go to handle LOG of the master. Whoever prints writes to a pipe of ours; what is
# in it is sent by the I/O thread, and by the main thread before each answer (drain).

def drain(rounds):
    # Sends what is in the captured pipes; 6 rounds hold more than a full pipe, and a child that never stops printing
    # does not hold the caller.
    DRAIN.acquire()
    while rounds:
        try:
            ready = select.select(list(PIPES), [], [], 0)[0]
            rounds = ready and rounds - 1
            for x in ready:
                name, s = PIPES[x]
                s += os.read(x, PRINTED_READ)
                o, n = codecs.utf_8_decode(s, 'replace')
                PIPES[x] = name, s[n:]
                send(1, 0, 33, 0, pack_value([20, name, o, 0]))
        except:
            again()
    DRAIN.release()


def prepare():
    # For the first call. (logging is slow to import: only contexts that are called pay for it.) Where there is no thread to be had, that
    # call fails by it, and the next one tries again.
    global prepare
    thread.start_new_thread(loop, ())
    prepare = dict
    import logging

    def emit(record):
        # COUNT[5] is the time that records have used up, half a millisecond each: a second's burst, then 2,000 a second.
        # (By more than 3 s it is ahead only of a time that is negative or has begun anew, as 32 bits of ticks do: no limit then.)
        x = os.times()[4]
        if PID - os.getpid():
            print(h.format(record))     # a fork of called code: its parent's threads write the link, a piece of a frame at a time
        elif 4 > COUNT[5] - x > 1:
            COUNT[4] += 1
        else:
            # The handler's lock is held, so what comes while one is formatted is made by that: over the limit, too.
            COUNT[5] = max(COUNT[5], x) + 2
            try:
                send(1, 0, 33, 0, pack_value([record.levelno, text(record.name, LOGGER_TEXT), text(h.format(record), TRACE_TEXT), COUNT[4] - COUNT[6]]))
                COUNT[6] = COUNT[4]
            except:
                h.handleError(record)
            COUNT[5] -= 1.9995

    h = logging.Handler(LEVEL)
    logging.root.setLevel(LEVEL)
    h.emit = emit
    logging.root.addHandler(h)
