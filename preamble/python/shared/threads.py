# What `exec` and `stream` bring: threads, where none may be to be had (the limit of processes, a policy of the host).

def begin_thread(f, *args):
    try:
        thread.start_new_thread(f, args)
    except:
        raise EnvironmentError(11, "can't start new thread")
