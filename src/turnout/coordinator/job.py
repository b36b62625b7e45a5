"""A job: what the steps of one deployment work for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnout.base.errors import Aborted
from turnout.coordinator.standing import revision_of
from turnout.domain.facts import Revision
from turnout.domain.phases import Kind
from turnout.wire.project import Intent


@dataclass(frozen=True)
class Job:
    """What a step works for: one deployment, its scope, and the revision it carries."""

    id: str
    kind: Kind
    project: str
    environment: str
    revision: Revision
    intent: Intent

    @property
    def scope(self) -> str:
        """``project/environment``."""
        return f"{self.project}/{self.environment}"


def job_of(row: Mapping[str, Any]) -> Job:
    """Return the job that a deployment's row describes."""
    intent = Intent.model_validate(row["intent"])
    return Job(
        id=row["id"],
        kind=Kind(row["kind"]),
        project=row["project"],
        environment=row["environment"],
        revision=revision_of(row["release"], intent),
        intent=intent,
    )


def aborted(deployment: str, why: str) -> Aborted:
    """Return the error that ends a deployment which somebody called off."""
    return Aborted(
        "The deployment was aborted",
        subject=deployment,
        why=why,
        next_step="What it had done was taken back. Deploy again when ready.",
    )
