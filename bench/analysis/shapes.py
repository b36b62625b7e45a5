"""How rates and latencies move from minute to minute."""

from __future__ import annotations

import math
import random

from bench.analysis.traffic import MINUTES, Minutes, Shape


def gamma(cv: float) -> Shape:
    """Return rates of each arm that vary by minute, gamma with this coefficient of variation."""

    def shape(draw: random.Random) -> tuple[Minutes, Minutes]:
        k = 1 / cv**2
        one, other = ([draw.gammavariate(k, 1 / k) for _ in range(MINUTES)] for _ in range(2))
        return one, other

    return shape


def lognormal(cv: float) -> Shape:
    """Return the same with a heavier tail."""

    def shape(draw: random.Random) -> tuple[Minutes, Minutes]:
        s = math.sqrt(math.log1p(cv**2))
        one, other = (
            [math.exp(draw.gauss(-s * s / 2, s)) for _ in range(MINUTES)] for _ in range(2)
        )
        return one, other

    return shape


def autocorrelated(phi: float, deviation: float) -> Shape:
    """Return factors whose logarithm is AR(1) in each arm by itself.

    Args:
        phi: How much of a minute's deviation the next one keeps.
        deviation: Standard deviation of the logarithm.
    """

    def series(draw: random.Random) -> Minutes:
        value, found = draw.gauss(0.0, deviation), []
        for _ in range(MINUTES):
            found.append(math.exp(value))
            value = phi * value + math.sqrt(1 - phi**2) * draw.gauss(0.0, deviation)
        return found

    return lambda draw: (series(draw), series(draw))


def incident(factor: float, minutes: int) -> Shape:
    """Return an incident that both arms share, at a random time in the first half hour."""

    def shape(draw: random.Random) -> tuple[Minutes, Minutes]:
        begin = draw.randrange(1, MINUTES // 2)
        one = [factor if begin <= m < begin + minutes else 1.0 for m in range(MINUTES)]
        return one, list(one)

    return shape


def together(cv: float) -> Shape:
    """Return rates that vary by minute, the same in both arms."""

    def shape(draw: random.Random) -> tuple[Minutes, Minutes]:
        k = 1 / cv**2
        one = [draw.gammavariate(k, 1 / k) for _ in range(MINUTES)]
        return one, list(one)

    return shape


def spells(share: float, factor: float) -> Shape:
    """Return a candidate of which this share of the minutes is slower by a factor."""

    def shape(draw: random.Random) -> tuple[Minutes, Minutes]:
        return [factor if draw.random() < share else 1.0 for _ in range(MINUTES)], [1.0] * MINUTES

    return shape


def late(minute: int, factor: float) -> Shape:
    """Return a candidate whose rate rises by a factor after some minutes."""

    def shape(_: random.Random) -> tuple[Minutes, Minutes]:
        return [factor if m >= minute else 1.0 for m in range(MINUTES)], [1.0] * MINUTES

    return shape


def after_incident(factor: float, minutes: int, worse: float) -> Shape:
    """Return a worse candidate in traffic with a shared incident from minute 1 on."""

    def shape(_: random.Random) -> tuple[Minutes, Minutes]:
        shared = [factor if 1 <= m < 1 + minutes else 1.0 for m in range(MINUTES)]
        return [worse * value for value in shared], shared

    return shape
