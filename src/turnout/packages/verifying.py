"""Verifying: a tree is held against its manifest, every byte of it."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from turnout.packages.hashing import READ
from turnout.packages.manifest import Entry, Manifest
from turnout.packages.walking import Descent


def verify_tree(tree: Path, manifest: Manifest) -> list[str]:
    """Return the paths that are lacking, changed or too many; nothing if all is as it should be."""
    expected = {entry.path: entry for entry in manifest.entries}
    wrong = []
    with Descent(tree) as descent:
        for path in _paths(tree):
            if path not in expected:
                wrong.append(path)
        for path, entry in expected.items():
            try:
                directory, name = descent.locate(path)
                if not _as_expected(directory, name, entry):
                    wrong.append(path)
            except OSError:
                wrong.append(path)
    return sorted(wrong)


def _as_expected(directory: int, name: str, entry: Entry) -> bool:
    if entry.kind == "link":
        return os.readlink(name, dir_fd=directory) == entry.target
    handle = os.open(name, READ, dir_fd=directory)
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or stat.S_IMODE(facts.st_mode) != entry.mode:
            return False
        with open(handle, "rb", closefd=False) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == entry.digest
    finally:
        os.close(handle)


def _paths(tree: Path) -> list[str]:
    found = []
    todo = [""]
    with Descent(tree) as descent:
        while todo:
            directory = todo.pop()
            prefix = directory + "/" if directory else ""
            with os.scandir(descent.enter(directory)) as names:
                for item in names:
                    if item.is_dir(follow_symlinks=False):
                        todo.append(prefix + item.name)
                    else:
                        found.append(prefix + item.name)
    return found
