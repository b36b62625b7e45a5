"""Unpacking with helpers: as without them, whatever becomes of them."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.packages.workbench import PROJECT, SCOPE, Workbench, contents, everything, noise
from turnout.base.errors import Failed, Untrusted
from turnout.packages import placing_helper, unpacking
from turnout.packages.package import write_package
from turnout.packages.scan import scan
from turnout.packages.segments import SEGMENT_BYTES, Part, Segment, pack

FILES = {f"d{n % 7}/f{n}": b"%d" % (n // 2) for n in range(200)}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A workbench whose host uses helpers for every package."""
    monkeypatch.setattr(unpacking, "MANY", 50)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    return Workbench(tmp_path)


def test_helpers_write_what_was_scanned(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    original = placing_helper.PlacingHelper.place

    def counting(
        helper: placing_helper.PlacingHelper, segment: Segment, files: list[Any]
    ) -> object:
        used.append(len(files))
        return original(helper, segment, files)

    monkeypatch.setattr(placing_helper.PlacingHelper, "place", counting)
    source = bench.write("one", {**FILES, "large": noise(5000)})
    (source / "d1" / "f1").chmod(0o755)
    (source / "also").hardlink_to(source / "large")

    release = bench.upload(scan(source))
    bench.deploy(release)

    assert sum(used) >= 100
    assert bench.host.verify(release) == []
    expected = contents(source)
    assert contents(bench.host.tree(release)) == expected
    assert bench.host.missing(bench.store.manifest(PROJECT, release)) == []


def test_helpers_give_modes_that_the_umask_would_take(bench: Workbench) -> None:
    source = bench.write("one", FILES)
    (source / "d1" / "f1").chmod(0o755)
    before = os.umask(0o077)
    try:
        release = bench.upload(scan(source))
        bench.deploy(release)
    finally:
        os.umask(before)
    tree = bench.host.tree(release)
    modes = {path: (tree / path).stat().st_mode & 0o777 for path in FILES}
    assert modes.pop("d1/f1") == 0o755
    assert set(modes.values()) == {0o644}


def test_a_helper_that_dies_costs_only_time(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed with a job in its pipe: what it wrote of that is written again."""
    original = marshal.dumps

    def killing(job: Any) -> bytes:
        for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"placing_helper" in command:
                os.kill(int(child), 9)
        return original(job)

    release = bench.release("one", FILES)
    monkeypatch.setattr(marshal, "dumps", killing)
    bench.deploy(release)
    assert bench.host.verify(release) == []


def test_a_helper_refuses_what_is_not_in_the_manifest(bench: Workbench) -> None:
    scanned = scan(bench.write("one", FILES))
    manifest = scanned.manifest
    parts = [Part(bytes.fromhex(digest), 0, size, size) for digest, size in manifest.sizes.items()]
    segment = pack(parts, bytes(sum(part.length for part in parts)))
    package = write_package(
        bench.root / "p.pkg", bench.keyring, SCOPE, 1, manifest, [segment], len(parts)
    )
    before = everything(bench.root / "host" / "releases")
    with pytest.raises(Untrusted, match="not what the manifest says"):
        bench.receive(package)
    assert everything(bench.root / "host" / "releases") == before
    assert everything(bench.root / "host" / "incoming") == []


def test_a_helper_says_what_the_system_refused(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = bench.release("one", FILES)
    original = unpacking.Unpacking.take

    def blocked(self: unpacking.Unpacking, segment: Segment) -> None:
        os.close(os.open("d0/f0", os.O_CREAT | os.O_WRONLY, dir_fd=self._root))
        original(self, segment)

    monkeypatch.setattr(unpacking.Unpacking, "take", blocked)
    with pytest.raises(Failed, match="File exists"):
        bench.deploy(release)
    assert bench.host.held() == []


def test_a_helper_without_its_parent_ends_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "turnout.packages.placing_helper", "1"],
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 1


def test_parts_in_any_order_and_twice_make_the_file_once(bench: Workbench) -> None:
    large = noise(2 * SEGMENT_BYTES + 100)
    scanned = scan(bench.write("one", {"large": large}))
    raw = bytes.fromhex(scanned.manifest.entries[0].digest)
    cuts = [(0, SEGMENT_BYTES), (SEGMENT_BYTES, SEGMENT_BYTES), (2 * SEGMENT_BYTES, 100)]
    segments = [
        pack([Part(raw, at, length, len(large))], large[at : at + length]) for at, length in cuts
    ]
    order = [segments[2], segments[0], segments[0], segments[1], segments[2]]
    package = write_package(bench.root / "p.pkg", bench.keyring, SCOPE, 1, scanned.manifest, order)
    bench.receive(package)
    assert bench.host.verify(scanned.manifest.release) == []
