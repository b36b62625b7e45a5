"""How traffic is split between releases: weights in percent that add up to 100."""

from __future__ import annotations

import hashlib


def baseline_revision(live: str, candidate: str) -> str:
    """Return the pseudo revision under which fresh instances of the live release run.

    Args:
        live: The live revision.
        candidate: The revision that is compared with it.

    Returns:
        16 hexadecimal digits that no real revision has but by chance.
    """
    return hashlib.sha256(f"baseline\0{live}\0{candidate}".encode()).hexdigest()[:16]


def baseline_weight(weight: int) -> int:
    """Return the baseline's weight beside a candidate's: the same, as far as there is room."""
    return min(weight, 100 - weight)


def weights_at(weight: int, candidate: str, live: str, baseline: str | None) -> dict[str, int]:
    """Return the split in which the candidate has *weight* percent.

    The baseline has as much as the candidate, so that both bear the same; when the two need
    more than there is, it gives way and the live release has nothing.

    Args:
        weight: Percent for the candidate, 0 to 100.
        candidate: The revision that is deployed.
        live: The live revision.
        baseline: The pseudo revision of the baseline, if there is one.

    Returns:
        Revision to percent; what gets nothing is left out.
    """
    beside = baseline_weight(weight) if baseline is not None else 0
    split = {candidate: weight, live: 100 - weight - beside}
    if baseline is not None:
        split[baseline] = beside
    return {name: share for name, share in split.items() if share}


def share(new: int, old: int) -> int:
    """Return the percent of traffic for *new* instances that serve beside *old* ones.

    Who serves at all gets something, so 0 and 100 stand for one that is alone.
    """
    if new == 0:
        return 0
    if old == 0:
        return 100
    return min(99, max(1, round(100 * new / (new + old))))
