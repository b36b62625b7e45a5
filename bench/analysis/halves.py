"""The traces: a development half, on which the judge's numbers were chosen, and a held-out half.

The held-out half has other seeds *and* other generators: other base rates, heavier tails, other
clocks, bursts, unequal arms.
"""

from __future__ import annotations

from bench.analysis import shapes
from bench.analysis.traffic import Arm, Trace

_TIMED = Arm(median=100.0)

DEVELOPMENT: tuple[Trace, ...] = (
    Trace("healthy, 60 requests a minute", Arm(60), Arm(60)),
    Trace("healthy, 600 a minute"),
    Trace("healthy, rate varies by minute, CV 0.6", errors=shapes.gamma(0.6)),
    Trace("healthy, rate varies by minute, CV 1.0", errors=shapes.gamma(1.0)),
    Trace("healthy, incident shared by both (40 x, 3 min)", errors=shapes.incident(40, 3)),
    Trace("0.9 % errors", Arm(errors=0.009), healthy=False),
    Trace("1.5 % errors", Arm(errors=0.015), healthy=False),
    Trace("5 % errors", Arm(errors=0.05), healthy=False),
    Trace("0.5 to 1.5 % at minute 10", errors=shapes.late(10, 3.0), healthy=False),
)
"""Error rates: 0.5 % is healthy, and the other tools' limit is 1 %."""

HELD_OUT: tuple[Trace, ...] = (
    Trace("healthy 1 %, 60 requests a minute", Arm(60, 0.01), Arm(60, 0.01)),
    Trace("healthy 0.2 %, 1,200 a minute", Arm(1200, 0.002), Arm(1200, 0.002)),
    Trace("healthy, 5 % of 3,000 a minute", Arm(150), Arm(2850)),
    Trace(
        "healthy, rate log-normal, CV 0.6, minutes 30 s off",
        errors=shapes.lognormal(0.6),
        offset=30,
    ),
    Trace(
        "healthy, rate log-normal, CV 1.0, minutes 30 s off",
        errors=shapes.lognormal(1.0),
        offset=30,
    ),
    Trace("healthy, rate moves together, CV 1.0", errors=shapes.together(1.0)),
    Trace("healthy, rate AR(1) 0.8, deviation 0.4", errors=shapes.autocorrelated(0.8, 0.4)),
    Trace("healthy, bursts of requests, CV 0.6", bursts=shapes.gamma(0.6)),
    Trace("healthy, incident shared by both (100 x, 6 min)", errors=shapes.incident(100, 6)),
    Trace(
        "1.8 x 0.5 % errors, bursts CV 0.6",
        Arm(errors=0.009),
        healthy=False,
        bursts=shapes.gamma(0.6),
    ),
    Trace("3 x 0.3 % errors, 1,000 a minute", Arm(1000, 0.009), Arm(1000, 0.003), healthy=False),
    Trace("5 % errors, 5 % of 3,000 a minute", Arm(150, 0.05), Arm(2850), healthy=False),
    Trace(
        "1.5 % errors after a shared incident",
        errors=shapes.after_incident(40, 3, 3.0),
        healthy=False,
    ),
)

DEVELOPMENT_LATENCY: tuple[Trace, ...] = (
    Trace("healthy", _TIMED, _TIMED),
    Trace(
        "healthy, AR(1) 0.8, deviation 0.1", _TIMED, _TIMED, latency=shapes.autocorrelated(0.8, 0.1)
    ),
    Trace(
        "healthy, AR(1) 0.8, deviation 0.2", _TIMED, _TIMED, latency=shapes.autocorrelated(0.8, 0.2)
    ),
    Trace(
        "healthy, incident shared by both (5 x, 3 min)",
        _TIMED,
        _TIMED,
        latency=shapes.incident(5, 3),
    ),
    Trace("half as slow again", Arm(median=150.0), _TIMED, healthy=False),
    Trace(
        "20 % of minutes five times slower",
        _TIMED,
        _TIMED,
        healthy=False,
        latency=shapes.spells(0.2, 5.0),
    ),
)
"""Latencies: log-normal, median 100 ms; p99 may rise by 20 %."""

HELD_OUT_LATENCY: tuple[Trace, ...] = (
    Trace(
        "healthy, wide (deviation 1.0)", Arm(median=40.0, spread=1.0), Arm(median=40.0, spread=1.0)
    ),
    Trace(
        "healthy, AR(1) 0.9, deviation 0.1", _TIMED, _TIMED, latency=shapes.autocorrelated(0.9, 0.1)
    ),
    Trace(
        "healthy, AR(1) 0.8, deviation 0.15",
        _TIMED,
        _TIMED,
        latency=shapes.autocorrelated(0.8, 0.15),
    ),
    Trace("healthy, latency moves together, CV 0.6", _TIMED, _TIMED, latency=shapes.together(0.6)),
    Trace(
        "60 % slower, narrow (deviation 0.3)",
        Arm(median=160.0, spread=0.3),
        Arm(median=100.0, spread=0.3),
        healthy=False,
    ),
    Trace(
        "15 % of minutes four times slower",
        _TIMED,
        _TIMED,
        healthy=False,
        latency=shapes.spells(0.15, 4.0),
    ),
)
