"""The judge's state as plain JSON values and back, so that a hold survives a restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from turnout.base.errors import InvalidInput
from turnout.monitoring.analysis import guard, rates, split, values
from turnout.monitoring.analysis.judge import State
from turnout.monitoring.analysis.policy import policy_from_json
from turnout.monitoring.analysis.ticks import arm_from_json, arm_to_json

VERSION = 2
"""Of the format; a state of another one is refused, and the ticks are replayed instead."""


def state_to_json(state: State) -> dict[str, Any]:
    """Return the state as plain JSON values."""
    return {
        "version": VERSION,
        "policy": state.policy.to_json(),
        "begin": state.begin,
        "at": state.at,
        "seen": state.seen,
        "ticks": state.ticks,
        "candidate": arm_to_json(state.candidate),
        "control": arm_to_json(state.control),
        "rates": {
            name: asdict(rate) | {"blocks": _blocks(rate.blocks)}
            for name, rate in state.rates.items()
        },
        "values": {name: asdict(value) for name, value in state.values.items()},
        "split": asdict(state.split) | {"blocks": _blocks(state.split.blocks)},
    }


def state_from_json(document: Mapping[str, Any]) -> State:
    """Return the state that :func:`state_to_json` described.

    Raises:
        InvalidInput: It is none, or one of another version.
    """
    if document.get("version") != VERSION:
        raise InvalidInput(
            "The judge's state is of another version",
            next_step="replay the recorded ticks to get a new one",
        )
    try:
        begin = document["begin"]
        return State(
            policy=policy_from_json(document["policy"]),
            begin=None if begin is None else float(begin),
            at=float(document["at"]),
            seen=float(document["seen"]),
            ticks=int(document["ticks"]),
            candidate=arm_from_json(document["candidate"]),
            control=arm_from_json(document["control"]),
            rates={name: _rate(entry) for name, entry in document["rates"].items()},
            values={name: values.Values(**entry) for name, entry in document["values"].items()},
            split=_split(document["split"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput("The judge's state cannot be read", why=str(error)) from error


def _rate(entry: Mapping[str, Any]) -> rates.Rate:
    logs = {
        name: tuple(float(log) for log in entry[name])
        for name in ("worse", "better", "alone", "above", "below")
    }
    return rates.Rate(
        lines=rates.Lines(**entry["lines"]),
        chunk=rates.Chunk(**entry["chunk"]),
        blocks=_blocks_from(entry["blocks"]),
        peak=float(entry["peak"]),
        peak_at=entry["peak_at"],
        **logs,
    )


def _split(entry: Mapping[str, Any]) -> split.Split:
    return split.Split(
        share=entry["share"],
        begin=float(entry["begin"]),
        more=tuple(float(log) for log in entry["more"]),
        less=tuple(float(log) for log in entry["less"]),
        candidate=int(entry["candidate"]),
        control=int(entry["control"]),
        expected=float(entry["expected"]),
        blocks=_blocks_from(entry["blocks"]),
    )


def _blocks(blocks: guard.Blocks) -> dict[str, Any]:
    return {
        "length": blocks.length,
        "place": blocks.place,
        "open": [*blocks.open.candidate, *blocks.open.control],
        "closed": [[*block.candidate, *block.control] for block in blocks.closed],
    }


def _blocks_from(entry: Mapping[str, Any]) -> guard.Blocks:
    return guard.Blocks(
        length=float(entry["length"]),
        closed=tuple(_block(block) for block in entry["closed"]),
        open=_block(entry["open"]),
        place=int(entry["place"]),
    )


def _block(numbers: list[int]) -> guard.Block:
    a, b, c, d = (int(number) for number in numbers)
    return guard.Block((a, b), (c, d))
