# importlib.resources, for packages that the master serves: the agent's loader asks for this module when it is first
# needed, like any other. Python 3.7 and later only; older ones do not ask.
import io
import sys

import econtext


class Place(object):
    # A file or folder below the roots, as importlib.resources.abc.Traversable wants it. Its path has slashes and no root.

    def __init__(self, path):
        self.path = path
        self.name = path.split('/')[-1]

    def names(self):
        # What the folder holds, folders with a slash at the end; of what is no folder, None.
        entry = econtext.ask(self.path + '/')[0]
        if entry[1] == 5:
            return entry[5]

    def is_dir(self):
        return self.names() is not None

    def is_file(self):
        above = self.path[:-len(self.name) - 1]
        return self.name in (Place(above).names() or ())

    def iterdir(self):
        names = self.names()
        if names is None:
            raise NotADirectoryError(self.path)
        return iter([self / name.rstrip('/') for name in names])

    def joinpath(self, *rest):
        path = '/'.join([self.path] + [str(name) for name in rest])
        return Place('/'.join([part for part in path.split('/') if part]))

    __truediv__ = joinpath

    def read_bytes(self):
        try:
            return econtext.get_data('/econtext:/' + self.path)
        except IOError:
            raise FileNotFoundError(self.path)

    def read_text(self, encoding=None, errors=None):
        return self.open('r', encoding=encoding, errors=errors).read()

    def open(self, mode='r', *rest, **options):
        data = io.BytesIO(self.read_bytes())
        if 'b' in mode:
            return data
        return io.TextIOWrapper(data, *rest, **options)

    def __str__(self):
        return '/econtext:/' + self.path


class Reader(Place):
    # Of one package, or that of a module in one: importlib.resources.abc.ResourceReader and TraversableResources in one.

    def __init__(self, package):
        if not hasattr(sys.modules.get(package), '__path__'):
            package = package.rpartition('.')[0] or package
        Place.__init__(self, package.replace('.', '/'))

    def files(self):
        return self

    def open_resource(self, name):
        return (self / name).open('rb')

    def resource_path(self, name):
        raise FileNotFoundError(name)   # there is no such file; its content is copied to one where one is wanted

    def is_resource(self, name):
        return (self / name).is_file()

    def contents(self):
        return iter([place.name for place in self.iterdir()])
