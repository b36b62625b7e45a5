"""Walking a tree by directory handles, so that no link that appears on the way is followed."""

from __future__ import annotations

import os
from types import TracebackType

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Descent:
    """A place in a tree that moves from directory to directory with few system calls.

    Every component is opened relative to the one above it and without following links;
    moving to a neighbour opens only what differs.  Not safe to share between threads.

    Args:
        root: The tree.  The last component of this path, too, must not be a link.
        make: Whether directories that are missing are made, with mode 0755.
    """

    def __init__(self, root: str | os.PathLike[str], *, make: bool = False) -> None:
        self._names: list[str] = []
        self._handles = [os.open(root, DIRECTORY)]
        self._directory = ""
        self._make = make

    def __enter__(self) -> Descent:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._handles:
            os.close(self._handles.pop())

    def enter(self, directory: str) -> int:
        """Return the handle of *directory* (relative to the root), valid until the next call.

        Raises:
            OSError: It does not exist, or a component is a link (``ELOOP``, ``ENOTDIR``).
        """
        if directory == self._directory:
            return self._handles[-1]
        wanted = directory.split("/") if directory else []
        same = 0
        for here, there in zip(self._names, wanted, strict=False):
            if here != there:
                break
            same += 1
        while len(self._names) > same:
            self._names.pop()
            os.close(self._handles.pop())
        self._directory = "/".join(self._names)
        for name in wanted[same:]:
            self._handles.append(self._open(name))
            self._names.append(name)
        self._directory = directory
        return self._handles[-1]

    def locate(self, path: str) -> tuple[int, str]:
        """Return the handle of the directory of *path*, and the last component."""
        directory, _, name = path.rpartition("/")
        return self.enter(directory), name

    def _open(self, name: str) -> int:
        above = self._handles[-1]
        try:
            return os.open(name, DIRECTORY, dir_fd=above)
        except FileNotFoundError:
            if not self._make:
                raise
        try:
            os.mkdir(name, 0o755, dir_fd=above)
        except FileExistsError:
            return os.open(name, DIRECTORY, dir_fd=above)
        handle = os.open(name, DIRECTORY, dir_fd=above)
        os.fchmod(handle, 0o755)
        return handle


def list_files(root: str | os.PathLike[str]) -> list[str]:
    """Return the paths of all regular files below *root*; links are passed over."""
    found = []
    todo = [""]
    with Descent(root) as descent:
        while todo:
            directory = todo.pop()
            prefix = directory + "/" if directory else ""
            with os.scandir(descent.enter(directory)) as names:
                for item in names:
                    if item.is_dir(follow_symlinks=False):
                        todo.append(prefix + item.name)
                    elif item.is_file(follow_symlinks=False):
                        found.append(prefix + item.name)
    return found
