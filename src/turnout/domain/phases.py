"""The phases of a deployment and of a rollback, in their order."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """A part of a deployment or rollback; the value is what users read."""

    INITIATION = "initiation"
    PREPARATION = "preparation"
    STAGING = "staging"
    VALIDATION = "validation"
    PROMOTION = "promotion"
    EXECUTION = "execution"
    VERIFICATION = "verification"
    CLEANUP = "cleanup"


class Kind(StrEnum):
    """What a row of the history is."""

    DEPLOYMENT = "deployment"
    ROLLBACK = "rollback"


DEPLOYMENT_PHASES = (
    Phase.INITIATION,
    Phase.PREPARATION,
    Phase.STAGING,
    Phase.VALIDATION,
    Phase.PROMOTION,
    Phase.VERIFICATION,
    Phase.CLEANUP,
)

ROLLBACK_PHASES = (
    Phase.INITIATION,
    Phase.PREPARATION,
    Phase.EXECUTION,
    Phase.VERIFICATION,
)


def phases_of(kind: Kind) -> tuple[Phase, ...]:
    """Return the phases that *kind* goes through."""
    return DEPLOYMENT_PHASES if kind is Kind.DEPLOYMENT else ROLLBACK_PHASES
