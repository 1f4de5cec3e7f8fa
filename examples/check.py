"""Called at the far end by the examples of the README; any Python from 2.7 on."""
import logging
import os

import units  # lies beside this file only: it is served when the far end imports it


def disk(path, least=0):
    """Free space there; a warning when it is less than `least` bytes."""
    st = os.statvfs(path)
    free = st.f_bavail * st.f_frsize
    if free < least:
        logging.warning('%s has only %s', path, units.of_bytes(free))
    return units.of_bytes(free)
