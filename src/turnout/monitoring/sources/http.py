"""A metric from a JSON document that any HTTP server has."""

from __future__ import annotations

import re
from typing import Any

from turnout.monitoring.sources.asking import NotTold, ask, shown
from turnout.monitoring.sources.port import Measurement, Source

_INDEX = re.compile(r"0|[1-9]\d{0,8}")
_NOTHING = object()


class HttpSource(Source):
    """Gets ``url`` and takes the number at the JSON pointer ``query`` (RFC 6901)."""

    async def run(self, id: str) -> Measurement:
        """Get it once; a value that is null or not there is *unknown*."""
        begun = self._begin(id)
        url = self.target.fill(self.spec.url or "")
        pointer = self.target.fill(self.spec.query or "")
        try:
            found = pointed(await ask(url, {}, self.spec.timeout), pointer)
            if found is _NOTHING or found is None:
                return self._done(begun, "unknown", f"nothing stands at {pointer[:100]!r}")
            value = _number(found, shown(url))
        except NotTold as error:
            return self._done(begun, "unavailable", str(error))
        return self._valued(begun, value)


def pointed(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer leads to in *document*, or a mark of its own for nothing.

    Raises:
        NotTold: It is no pointer.
    """
    if pointer and not pointer.startswith("/"):
        raise NotTold("the query is no JSON pointer: it begins with '/' or is empty")
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name, _NOTHING)
        elif isinstance(document, list) and _INDEX.fullmatch(name):
            document = document[int(name)] if int(name) < len(document) else _NOTHING
        else:
            return _NOTHING
    return document


def _number(found: Any, place: str) -> float:
    if isinstance(found, bool) or not isinstance(found, (int, float, str)):
        raise NotTold(f"{place} has no number there")
    try:
        return float(found)
    except (ValueError, OverflowError):
        raise NotTold(f"{place} has no number there") from None
