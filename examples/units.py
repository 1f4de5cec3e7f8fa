def of_bytes(n):
    for unit in 'B', 'KiB', 'MiB', 'GiB', 'TiB':
        if n < 1024 or unit == 'TiB':
            return '%d %s' % (n, unit)
        n //= 1024
