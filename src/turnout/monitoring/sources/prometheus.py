"""A metric from a Prometheus server: an instant query that gives one number."""

from __future__ import annotations

import math
from typing import Any

from turnout.monitoring.sources.asking import NotTold, ask, shown
from turnout.monitoring.sources.port import Measurement, Source


class PrometheusSource(Source):
    """Asks the HTTP API (``/api/v1/query``) of the server at ``url``."""

    async def run(self, id: str) -> Measurement:
        """Ask once; no result, and NaN, are *unknown*: there was no traffic to count."""
        begun = self._begin(id)
        base = self.target.fill(self.spec.url or "").rstrip("/")
        try:
            answer = await ask(
                f"{base}/api/v1/query",
                {
                    "query": self.target.fill(self.spec.query or ""),
                    "timeout": f"{math.ceil(self.spec.timeout * 1000)}ms",
                },
                self.spec.timeout,
            )
            value = _value(answer, shown(base))
        except NotTold as error:
            return self._done(begun, "unavailable", str(error))
        if value is None:
            return self._done(begun, "unknown", "the query has no result yet")
        return self._valued(begun, value)


def _value(answer: Any, place: str) -> float | None:
    """Return the one number of an answer, None if there is none.

    The form is that of https://prometheus.io/docs/prometheus/latest/querying/api/.

    Raises:
        NotTold: It is no answer of that kind.
    """
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict) or answer.get("status") != "success":
        raise NotTold(f"{place} does not answer as Prometheus does")
    kind: Any = data.get("resultType")
    result: Any = data.get("result")
    try:
        if kind == "scalar":
            return float(result[1])
        if kind == "vector":
            if len(result) > 1:
                raise NotTold(f"the query has {len(result)} results; make them one, as with sum()")
            return float(result[0]["value"][1]) if result else None
    except (TypeError, ValueError, KeyError, IndexError):
        raise NotTold(f"{place} does not answer as Prometheus does") from None
    raise NotTold(f"the query gives a {str(kind)[:20]}, not one number")
