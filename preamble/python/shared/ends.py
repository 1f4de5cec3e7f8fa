# How what was started has ended: for parts `relay` and `exec`.
SIGNAL = sys.modules.get('_signal') or sys.modules.get('signal')  # every interpreter has loaded it

# An ignored SIGCHLD, which exec(2) hands on to us, makes the kernel wait in our place: no status is left, and a number that we still
# mean to kill may be another's. Only the main thread may change that: if it runs a call now, it does so behind that.
if SIGNAL.getsignal(SIGNAL.SIGCHLD) == SIGNAL.SIG_IGN:
    try:
        SIGNAL.signal(SIGNAL.SIGCHLD, SIGNAL.SIG_DFL)
    except ValueError:
        CALLS.append([0, 0, 'signal', ['signal'], [int(SIGNAL.SIGCHLD), int(SIGNAL.SIG_DFL)], {}])
