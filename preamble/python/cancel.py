# Part `cancel`: takes calls that still wait out of the queue (docs/protocol.md section 8). Sent before the first CANCEL of a call.
before_cancel = H.get(26)       # the exec part's, or stream's


def cancel_call(kind, src, reply, body):
    slot = decode(body)[0]
    for x in CALLS[:]:
        if x[:2] == [src, slot]:
            # Not taken out, for the main thread may be about to take the first: another call in its place, without an answer.
            x[1:] = 0, 'sys', ['getrecursionlimit'], (), {}
            notice('cancelled', src, slot)
    if before_cancel:
        before_cancel(kind, src, reply, body)


H[26] = cancel_call
