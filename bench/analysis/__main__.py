"""``python -m bench.analysis``: how often each rule goes back, and when, on simulated traffic.

    python -m bench.analysis [--runs N] [--quick] [--write]

The judge's numbers (``monitoring/analysis/settings.py``) were chosen on the development half;
their digest is printed before the held-out half runs, which nothing was chosen on.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import random
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from statistics import median

from bench.analysis import halves, rules
from bench.analysis.rules import Rule
from bench.analysis.traffic import Trace
from bench.report import machine
from turnout.monitoring.analysis import Measure, Policy, settings

PAGE = Path(__file__).parents[2] / "docs" / "analysis.md"
_ERRORS = Policy(measures=(Measure("error_rate", "errors", max_increase=0.0, within=0.005),))
_LATENCY = Policy(measures=(Measure("latency_p99", "latency", max_increase=0.2, within=0.2),))
_ABOUT = """Written by `python -m bench.analysis --write` with {runs} runs of each trace; do not
edit by hand. Each cell: the share of one-hour runs in which the rule went back, with its 95 %
interval (Wilson), and the median minute where that is most of them. Healthy traffic is 0.5 %
errors, 600 requests a minute and arm, unless its name says otherwise.
"""

Result = list[float | None]
"""The minute at which each rule went back in one run, or None."""


def main() -> int:
    """Run every trace of both halves, print the tables, and write them if asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.analysis", description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="runs of each trace")
    parser.add_argument("--quick", action="store_true", help="20 runs, to see that it works")
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name} too")
    given = parser.parse_args()
    runs = 20 if given.quick else given.runs
    lines = [
        "# The judge beside other rules\n",
        _ABOUT.format(runs=runs),
        *(f"- {line}" for line in machine()),
        f"- SHA-256 of the judge's numbers, fixed before the held-out half ran: `{_digest()}`\n",
    ]
    with Pool() as pool:
        for title, traces, latency in (
            ("Development half: error rates", halves.DEVELOPMENT, False),
            ("Development half: latency", halves.DEVELOPMENT_LATENCY, True),
            ("Held-out half: error rates", halves.HELD_OUT, False),
            ("Held-out half: latency", halves.HELD_OUT_LATENCY, True),
        ):
            print(f"measuring: {title}", file=sys.stderr, flush=True)
            names = list(_rules(latency=latency))
            lines += [f"## {title}\n", f"| Traffic | {' | '.join(names)} |"]
            lines.append("|---" * (len(names) + 1) + "|")
            for trace in traces:
                # Shapes are closures, which no other process could be sent: it looks them up.
                one = partial(_run, latency, traces.index(trace), "Held" in title)
                found = pool.map(one, range(runs), chunksize=4)
                lines.append(f"| {trace.name} | {' | '.join(_cells(found))} |")
                print(lines[-1], flush=True)
            lines.append("")
    if given.write:
        PAGE.write_text("\n".join(lines))
    return 0


def _rules(*, latency: bool) -> dict[str, Rule]:
    if latency:
        return {
            "Kayenta, every 5 min": rules.kayenta(of=rules.p99),
            "Kayenta, once": rules.kayenta(first=60, of=rules.p99),
            "without the guard": rules.plain(_LATENCY),
            "**ours**": rules.ours(_LATENCY),
        }
    return {
        "Flagger, 10": rules.flagger(10),
        "Flagger, 1": rules.flagger(1),
        "Argo": rules.argo(),
        "Kayenta": rules.kayenta(),
        "without the guard": rules.plain(_ERRORS),
        "**ours**": rules.ours(_ERRORS),
    }


def _run(latency: bool, place: int, held_out: bool, seed: int) -> Result:
    trace = _traces(latency, held_out)[place]
    half = "held-out" if held_out else "development"
    ticks = trace.ticks(random.Random(f"{half} {trace.name} {seed}"))
    return [rule(ticks) for rule in _rules(latency=latency).values()]


def _traces(latency: bool, held_out: bool) -> Sequence[Trace]:
    if held_out:
        return halves.HELD_OUT_LATENCY if latency else halves.HELD_OUT
    return halves.DEVELOPMENT_LATENCY if latency else halves.DEVELOPMENT


def _cells(found: Sequence[Result]) -> Iterator[str]:
    for minutes in zip(*found, strict=True):
        hits = sum(minute is not None for minute in minutes)
        low, high = wilson(hits, len(minutes))
        middle = median(math.inf if minute is None else minute for minute in minutes)
        when = "" if math.isinf(middle) else f" @{middle:.1f}"
        yield f"{hits / len(minutes):.1%} ({low:.1%}-{high:.1%}){when}"


def wilson(hits: int, runs: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, JASA 22(158), 1927)."""
    share = hits / runs
    middle = (share + z * z / (2 * runs)) / (1 + z * z / runs)
    half = z * math.sqrt(share * (1 - share) / runs + z * z / (4 * runs**2)) / (1 + z * z / runs)
    return max(0.0, middle - half), min(1.0, middle + half)


def _digest() -> str:
    return hashlib.sha256(Path(settings.__file__).read_bytes()).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
