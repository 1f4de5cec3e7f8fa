"""cp of several sources that come to one name: the first does, the others are named with it, and nothing is replaced. Folders of one
name become one, as with cp(1)."""
import json
import os

from files import THREE, read, write
from support import expect


def both(place, sources, to='to/', back='back/'):
    """The arguments of a copy there, and of one from there, with where they bring it."""
    return (sources + ('leaf1:' + place.path(to),), to), (tuple('leaf1:' + place.path(x) for x in sources) + (back,), back)


def fill(place, *names):
    for x in names:
        write(place.path(x), x.encode())


def brings(place, args, where, due, lost=()):
    """due: name -> whose content it has. lost: pairs, what is not copied and what came in its stead."""
    status, out, err = place.run('cp', '--json', *args)
    events = [json.loads(x) for x in out.splitlines()]
    failed = [x for x in events if x['event'] == 'result']
    expect(status == (1 if lost else 0) and events[-1]['failed'] == len(lost), args, status, out, err)
    for name, first in lost:
        said = [x for x in failed if x['path'].endswith(name) and '%s, which comes to the same name' % first in x['error']['saw']]
        expect(len(said) == 1 and name + ': it would replace ' in said[0]['error']['saw'], args, name, out)
        expect(said[0]['status'] == 'failed', args, out)
    found = {os.path.relpath(os.path.join(folder, x), place.path(where)): read(os.path.join(folder, x)).decode()
             for folder, _, files in os.walk(place.path(where)) for x in files}
    expect(found == due, args, found)


def test_files(place):
    fill(place, 'a/same', 'b/same', 'b/other', 'c/same')
    for args, where in both(place, ('a/same', 'b/same', 'b/other', 'c/same')):
        brings(place, args, where, {'same': 'a/same', 'other': 'b/other'}, [('b/same', 'a/same'), ('c/same', 'a/same')])


def test_a_pattern(place):
    fill(place, 'p/n', 'q/n', 'r/n.x')
    brings(place, ('leaf1:' + place.path('?/n*'), 'back'), 'back/', {'n': 'p/n', 'n.x': 'r/n.x'}, [('q/n', 'p/n')])


def test_one_file_named_twice(place):
    fill(place, 'd/a.log', 'd/b.log', 'e/in')
    for args, where in both(place, ('d/a.log', 'd/a.log', 'e', 'e')):
        brings(place, args, where, {'a.log': 'd/a.log', 'e/in': 'e/in'})
    brings(place, ('leaf1:' + place.path('d/*'), 'leaf1:' + place.path('d/b.log'), 'all/'), 'all/', {'a.log': 'd/a.log', 'b.log': 'd/b.log'})


def test_folders_become_one(place):
    fill(place, 'a/d/x', 'a/d/sub/same', 'b/d/y', 'b/d/sub/same', 'b/d/sub/z', 'b/d/x/in')
    due = {'d/x': 'a/d/x', 'd/y': 'b/d/y', 'd/sub/same': 'a/d/sub/same', 'd/sub/z': 'b/d/sub/z'}
    for args, where in both(place, ('a/d', 'b/d')):
        brings(place, args, where, due, [('b/d/sub/same', 'a/d/sub/same'), ('b/d/x', 'a/d/x')])


def test_a_file_and_a_folder(place):
    fill(place, 'a/n', 'b/n/in', 'c/n')
    for args, where in both(place, ('a/n', 'b/n')):
        brings(place, args, where, {'n': 'a/n'}, [('b/n', 'a/n')])
    for args, where in both(place, ('b/n', 'c/n'), 'to2/', 'back2/'):
        brings(place, args, where, {'n/in': 'b/n/in'}, [('c/n', 'b/n')])


def test_what_is_in_folders(place):
    fill(place, 'a/x', 'a/sub/s', 'b/x', 'b/sub/t', 'c/sub', 'c/y')
    due = {'x': 'a/x', 'sub/s': 'a/sub/s', 'sub/t': 'b/sub/t', 'y': 'c/y'}
    for args, where in both(place, ('a/.', 'b/.', 'c/sub', 'c/y')):
        brings(place, args, where, due, [('b/./x', 'a/./x'), ('c/sub', 'a/./sub')])
    for args, where in both(place, ('c/sub', 'b/.'), 'to2/', 'back2/'):
        brings(place, args, where, {'sub': 'c/sub', 'x': 'b/x'}, [('b/./sub', 'c/sub')])


def test_links_within(place):
    """A link is no more replaced, nor is what it leads to that: the same."""
    fill(place, 'a/d/f', 'b/d/l')
    os.makedirs(place.path('b/d'), exist_ok=True)
    os.symlink('../../b/d/l', place.path('a/d/l'))
    os.symlink('l', place.path('b/d/f'))
    for args, where in both(place, ('a/d', 'b/d')):
        status, out, err = place.run('cp', *args)
        expect(status == 1 and err.count('which comes to the same name') == 2, args, status, err)
        expect(os.readlink(place.path(where + 'd/l')) == '../../b/d/l' and read(place.path(where + 'd/f')) == b'a/d/f', args)


def test_to_three(place):
    fill(place, 'a/same', 'b/same')
    status, out, err = place.run('cp', 'a/same', 'b/same', THREE + ':' + place.path('to/'))
    expect(status == 1 and err.count('b/same: it would replace a/same') == 1 and read(place.path('to/same')) == b'a/same', status, err)
    status, out, err = place.run('cp', THREE + ':' + place.path('a/same'), 'here')  # one folder a node
    expect((status, err) == (0, '') and read(place.path('here/leaf3/same')) == b'a/same', status, err)
