"""What a deployment can wait for, and the words that end each wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Wait = Literal["hold", "approval", "gate", "window", "frozen"]

WAYS_OUT: Mapping[Wait, tuple[str, ...]] = {
    "hold": ("promote", "abort", "pause"),
    "approval": ("approve", "reject", "abort"),
    "gate": ("promote", "abort"),
    "window": ("abort",),
    "frozen": ("retry", "promote", "abort"),
}

MEANINGS: Mapping[Wait, tuple[str, str]] = {
    "hold": ("a verdict on live traffic, or the end of its time", "as `on_unknown` says"),
    "approval": ("somebody's yes to the plan", "it fails and is taken back"),
    "gate": ("a webhook's yes", "it fails and is taken back"),
    "window": ("a time of the day, or a moment", "it goes on"),
    "frozen": ("a human, past the point of no return", "it is said again; nothing moves"),
}
"""For people: what is waited for, and what follows when the deadline comes first."""
