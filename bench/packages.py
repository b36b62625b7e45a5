"""Packaging and staging against rsync -az: time and bytes, as ratios of the same run.

    python -m bench.packages [--dir DIR] [--tree DIR] [--rounds N] [--skip-memory]

The trip is whole: scan, upload into the store, seal, receive, verify and unpack, encrypted and
signed, in the product's three processes; rsync copies the same trees through its own pipe, with
the delta algorithm that it uses between machines.  The next version is a fresh checkout: every
file has a new time, one in two hundred another content.  DIR is where all of it happens; both
sides are most comparable in memory, since ours waits for the disk and rsync does not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.trip import Laps, Trip

NODE_PACKAGES = (
    "next@14.2.5", "typescript@5.4.5", "@mui/material@5.15.20", "@mui/icons-material@5.15.20",
    "@emotion/react@11.11.4", "@emotion/styled@11.11.5", "react@18.2.0", "react-dom@18.2.0",
    "rxjs@7.8.1", "date-fns@3.6.0", "three@0.160.0", "webpack@5.90.0",
)  # fmt: skip
HEAD = (
    "| tree | ours s | rsync -az s | ratio | goal | met | ours CPU s | rsync CPU s "
    "| ours MB | rsync MB | where |\n|---|---|---|---|---|---|---|---|---|---|---|"
)
GOAL_FULL = 1.5
GOAL_NEXT = 1.0
GOAL_MEMORY_MIB = 300


def rsync(source: Path, destination: Path) -> Laps:
    """Copy *source* as rsync -az does and return its time and the bytes it sent."""
    laps = Laps()
    before = _children_cpu()
    with laps.lap("rsync"):
        done = subprocess.run(
            ["rsync", "-az", "--no-whole-file", "--delete", "--stats", f"{source}/", f"{destination}/"],
            check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    laps.cpu = _children_cpu() - before
    for line in done.stdout.splitlines():
        if line.startswith("Total bytes sent:"):
            laps.wire_bytes = int(line.rpartition(" ")[2].replace(",", ""))
    return laps


def thousand_files(target: Path) -> None:
    """Write a site of 1,000 files and about 40 MB: text of a small vocabulary, and images."""
    chance = random.Random(1)
    words = [bytes(chance.choices(range(97, 123), k=chance.randrange(2, 11))) for _ in range(3000)]
    for number in range(1000):
        path = (
            target / f"section{number % 40}" / f"file{number}.{'png' if number % 10 == 0 else 'js'}"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 10 == 0:
            path.write_bytes(chance.randbytes(100_000))
        else:
            path.write_bytes(b" ".join(chance.choices(words, k=chance.randrange(500, 9000))))


def node_modules(target: Path) -> None:
    """Install a handful of large npm packages: some 30,000 small files."""
    target.mkdir(parents=True, exist_ok=True)
    (target / "package.json").write_text('{"name": "bench", "private": true}\n')
    subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *NODE_PACKAGES],
        cwd=target, check=True, capture_output=True,
    )  # fmt: skip


def next_version(source: Path, target: Path) -> None:
    """Copy a tree as a fresh checkout, with another content in every 200th file."""
    shutil.copytree(source, target, symlinks=True, copy_function=shutil.copyfile)
    files = sorted(p for p in target.rglob("*") if p.is_file() and not p.is_symlink())
    for path in files[::200]:
        path.write_bytes(path.read_bytes() + b"\n// changed\n")
    # rsync compares whole seconds, and the copy may be made within one.
    later = time.time() + 60
    for path in files:
        os.utime(path, (later, later))


def warm(tree: Path) -> None:
    """Read everything once, so that both sides find it in memory."""
    for path in tree.rglob("*"):
        if path.is_file():
            path.read_bytes()


def compare(name: str, make: Callable[[Path], None], root: Path, rounds: int) -> list[str]:
    """Return table rows for one tree; the medians of *rounds*."""
    first, second = root / f"{name}-1", root / f"{name}-2"
    make(first)
    next_version(first, second)
    full: list[tuple[Laps, Laps]] = []
    following: list[tuple[Laps, Laps]] = []
    for number in range(rounds):
        done = one_round(root / f"{name}-round{number}", first, second, ours_first=number % 2 == 0)
        full.append(done[0])
        following.append(done[1])
    count = sum(1 for path in first.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in first.rglob("*") if path.is_file())
    title = f"{name}: {count:,} files, {size / 1e6:.0f} MB"
    return [
        row(f"{title}, first full", full, GOAL_FULL),
        row(f"{title}, next version", following, GOAL_NEXT),
    ]


def one_round(
    place: Path, first: Path, second: Path, *, ours_first: bool
) -> list[tuple[Laps, Laps]]:
    """Bring both versions over, ours and rsync's in turns, and return both times of each."""
    place.mkdir()
    results = []
    with Trip(place) as ours:
        for tree in (first, second):
            warm(tree)
            mine = ours.deploy(tree) if ours_first else None
            theirs = rsync(tree, place / "rsync")
            results.append((mine or ours.deploy(tree), theirs))
    shutil.rmtree(place)
    return results


def row(title: str, results: list[tuple[Laps, Laps]], goal: float) -> str:
    """Return one row: times, ratio, goal, bytes, and where our time went."""
    ours, theirs = sorted(results, key=lambda pair: pair[0].total / pair[1].total)[
        len(results) // 2
    ]
    ratio = ours.total / theirs.total
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in ours.seconds.items())
    return (
        f"| {title} | {ours.total:.2f} | {theirs.total:.2f} | {ratio:.2f} | <= {goal} "
        f"| {'yes' if ratio <= goal else 'NO'} | {ours.cpu:.2f} | {theirs.cpu:.2f} "
        f"| {ours.wire_bytes / 1e6:.2f} "
        f"| {theirs.wire_bytes / 1e6:.2f} | {parts} |"
    )


def one_gigabyte(target: Path) -> None:
    """Write 1 GB: one file of 500 MB, and 2,000 of 250 kB, half of it compressible."""
    target.mkdir(parents=True)
    chance = random.Random(2)
    with (target / "large.bin").open("wb") as file:
        for _ in range(500):
            file.write(chance.randbytes(500_000) + b"compressible " * 38_500)
    for number in range(2000):
        (target / f"file{number}.bin").write_bytes(chance.randbytes(125_000) + b"abcde" * 25_000)


def measure_memory(root: Path) -> str:
    """Deploy 1 GB in processes of their own and return their peaks."""
    tree = root / "gigabyte"
    one_gigabyte(tree)
    command = [sys.executable, "-m", "bench.packages", "--deploy", str(tree), "--dir", str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peaks: dict[str, int] = json.loads(done.stdout)
    shutil.rmtree(tree)
    verdict = "yes" if max(peaks.values()) <= GOAL_MEMORY_MIB else "NO"
    each = ", ".join(f"{name} {peak}" for name, peak in peaks.items())
    return (
        f"Peak memory for 1 GB: {each}, together {sum(peaks.values())} MiB "
        f"(goal for each <= {GOAL_MEMORY_MIB}: {verdict})"
    )


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--dir", type=Path, default=None, help="where it happens; default /tmp")
    parser.add_argument("--tree", type=Path, help="a ready tree in place of the npm one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--deploy", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="turnout-bench-") as directory:
        root = Path(directory)
        if options.deploy:
            with Trip(root) as trip:
                trip.deploy(options.deploy)
                print(json.dumps(trip.peaks()))
            return
        if shutil.which("rsync") is None:
            sys.exit("rsync is missing: install it with your system's package manager")

        def large(target: Path) -> None:
            if options.tree:
                shutil.copytree(options.tree, target, symlinks=True)
            else:
                node_modules(target)

        print(HEAD)
        for name, make in (("site", thousand_files), ("node", large)):
            for line in compare(name, make, root, options.rounds):
                print(line, flush=True)
        if not options.skip_memory:
            print(f"\n{measure_memory(root)}")


if __name__ == "__main__":
    main()
