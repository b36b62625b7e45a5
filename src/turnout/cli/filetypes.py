"""What the models of ``turnout.toml`` are made of: strict tables, its values, borrowed limits.

Limits and defaults belong to :mod:`turnout.wire`; here a field that is not given stays unset,
and its limits are taken from the wire model that it becomes a part of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self, get_args

from annotated_types import GroupedMetadata
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.fields import FieldInfo

from turnout.cli.values import (
    DURATION_PATTERN,
    PERCENT_PATTERN,
    SIZE_PATTERN,
    duration,
    percent,
    size,
)

MOST_UNITS = 64
_SHARE = re.compile(r"[0-9]{1,3}%")


class LimitsOf(GroupedMetadata):
    """The limits of a field of a wire model, to be put on the same thing in the file."""

    def __init__(self, model: type[BaseModel], name: str) -> None:
        field = model.model_fields[name]
        # Those of an optional field stand on the part of the union that is not None.
        parts = get_args(field.annotation)
        nested = [piece for part in parts for piece in getattr(part, "__metadata__", ())]
        flat = [piece.metadata if isinstance(piece, FieldInfo) else [piece] for piece in nested]
        self._metadata = (*field.metadata, *(piece for pieces in flat for piece in pieces))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._metadata)


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(
            "must be a date and time with its offset and without quotes,"
            " such as 2026-12-01T03:00:00+01:00"
        )
    return value


def _count(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_UNITS
    if whole or (isinstance(value, str) and _SHARE.fullmatch(value)):
        return value
    raise ValueError(f'must be a number from 0 to {MOST_UNITS}, or a share such as "25%"')


Duration = Annotated[
    float,
    BeforeValidator(duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["500ms", "30s"]}),
]
Size = Annotated[
    int,
    BeforeValidator(size),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["256MiB"]}),
]
Percent = Annotated[
    float,
    BeforeValidator(percent),
    WithJsonSchema({"type": "string", "pattern": PERCENT_PATTERN, "examples": ["0.5%"]}),
]
Count = Annotated[
    int | str,
    BeforeValidator(_count),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MOST_UNITS},
                {"type": "string", "pattern": f"^{_SHARE.pattern}$"},
            ]
        }
    ),
]
"""As :data:`turnout.wire.rollout.Count`, with one message for both of its forms."""
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Table(BaseModel):
    """A table of the file: unknown keys are errors, and a text is never taken for a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def given(self) -> dict[str, Any]:
        """Return the keys that are written in the file."""
        return self.model_dump(exclude_none=True)


class Whole(Table):
    """A table that is complete by itself: what its keys say together is checked with them."""

    wire: ClassVar[type[BaseModel]]
    """The model that it becomes; its rules hold here, and their mistakes name this place."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            self.wire.model_validate(self.given())
        except ValidationError as error:
            first = error.errors()[0]
            # Limits of single keys were checked already; what is left is said by the model.
            said = first.get("ctx", {}).get("error", first["msg"])
            raise ValueError(f"does not fit together: {said}") from None
        return self
