"""``python -m bench``: measures Turnout, prints the tables and writes them down.

    python -m bench [--quick] [--minutes N] [--only NAME ...]

Everything runs on this machine, in temporary directories, and ends with the run.  ``--minutes``
says how long deployments and rollbacks go on without end: 3 by default, 60 for an hour.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import canaries, commands, endurance, report, routing, switching
from bench.report import Section

NAMES = ("switching", "routing", "canaries", "commands", "endurance", "packages")


def main() -> int:
    """Run the benchmarks; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    parser.add_argument("--minutes", type=float, help="of deployments without end")
    parser.add_argument("--only", nargs="+", choices=NAMES, help="some; the page stays as it is")
    given = parser.parse_args()
    minutes = given.minutes or (0.3 if given.quick else 3.0)
    sections: list[Section] = []
    for name in given.only or NAMES:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        for section in _measure(name, quick=given.quick, minutes=minutes):
            sections.append(section)
            print(report.table(section), flush=True)
    if not given.only:
        report.write(sections, quick=given.quick)
    missed = [row for section in sections for row in section.rows if row.reached is False]
    return 1 if missed and not given.quick else 0


def _measure(name: str, *, quick: bool, minutes: float) -> Iterator[Section]:
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as work:
        place = Path(work)
        if name == "endurance":
            yield from endurance.run(place, minutes=minutes)
        elif name == "packages":
            yield _packages(quick=quick)
        else:
            runs: dict[str, Callable[..., Section]] = {
                "switching": switching.run,
                "routing": routing.run,
                "canaries": canaries.run,
                "commands": commands.run,
            }
            yield runs[name](place, quick=quick)


def _packages(*, quick: bool) -> Section:
    argv = [sys.executable, "-m", "bench.packages"]
    argv += ["--rounds", "1", "--skip-memory"] if quick else []
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=3600)
    text = done.stdout.strip() if done.returncode == 0 else f"It failed:\n\n{done.stderr[-2000:]}"
    return Section("Packages, beside rsync", text=text)


if __name__ == "__main__":
    sys.exit(main())
