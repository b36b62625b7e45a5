"""Queries: a parameter that an address does not know is an error, not ignored.

A filter with a slip in its name would otherwise answer with everything, and look right.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from fastapi import Depends, Request

from turnout.base.errors import InvalidInput


def _known(request: Request) -> None:
    sent = [name for name, _ in request.query_params.multi_items()]
    if not sent:
        return
    known = _names(request.scope["route"].dependant)
    for name in sent:
        shown = name.encode("utf-8", "replace").decode()[:60]
        if name not in known:
            near = get_close_matches(name[:60], known, 1)
            meant = f"Did you mean {near[0]!r}?" if near else "Leave it out."
            raise InvalidInput(
                f"There is no query parameter {shown!r} here",
                next_step=meant if near or not known else f"Use one of: {', '.join(known)}.",
            )
        if sent.count(name) > 1:
            raise InvalidInput(
                f"The query parameter {shown!r} is given twice", next_step="Give it once."
            )


def _names(dependant: Any) -> list[str]:
    own = [field.alias for field in dependant.query_params]
    return sorted({*own, *(name for part in dependant.dependencies for name in _names(part))})


strict = Depends(_known)
"""For a router whose addresses take no other parameters than those they declare."""
