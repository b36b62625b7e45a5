"""Control groups: memory limits by the kernel, where a cgroup v2 subtree was delegated to us.

Elsewhere the keeper watches resident memory instead.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
_DELEGATED = ("user.delegate", "trusted.delegate")  # xattrs that systemd sets on Delegate=yes


def delegated(mount: Path = MOUNT, own: Path = Path("/proc/self/cgroup")) -> Path | None:
    """Return the group under which instances may get groups with a memory limit, or None.

    Only a group that systemd marked as delegated is touched: being root is no permission.
    The agent moves into a leaf, since a group that hands on a controller may hold no process.
    """
    try:
        lines = own.read_text(encoding="ascii").splitlines()
        name = next(line[4:] for line in lines if line.startswith("0::/"))
        group = mount / name
        if not _is_marked(group) and not _is_marked(group.parent):
            return None
        if not _is_marked(group):
            group = group.parent  # we sit in the leaf that an agent before us made
        if "memory" not in (group / "cgroup.controllers").read_text(encoding="ascii").split():
            return None
        leaf = group / "agent"
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        (group / "cgroup.subtree_control").write_text("+memory", encoding="ascii")
    except (OSError, StopIteration):
        return None
    return group


def make(path: str | None, memory_bytes: int | None) -> None:
    """Make the group of one instance with its limit, if it is to have one."""
    if path is None or memory_bytes is None:
        return
    group = Path(path)
    group.mkdir(exist_ok=True)
    (group / "memory.max").write_text(str(memory_bytes), encoding="ascii")
    with contextlib.suppress(OSError):
        (group / "memory.swap.max").write_text("0", encoding="ascii")
        (group / "memory.oom.group").write_text("1", encoding="ascii")


def remove(path: str | None) -> None:
    """Remove the group of one instance whose processes are gone."""
    if path is not None:
        with contextlib.suppress(OSError):
            Path(path).rmdir()


def _is_marked(group: Path) -> bool:
    for name in _DELEGATED:
        with contextlib.suppress(OSError, AttributeError):
            if os.getxattr(group, name) == b"1":
                return True
    return False
