"""Metric sources: measures from elsewhere than the router, all behind one port.

In goes a metric as turnout.toml describes it, out come measurements with a verdict each;
:func:`make` picks the source, :func:`turnout.monitoring.sources.port.judged` sums up.
"""

from __future__ import annotations

from turnout.monitoring.sources.command import CommandSource, Runner
from turnout.monitoring.sources.http import HttpSource
from turnout.monitoring.sources.logs import LogSource, Reader
from turnout.monitoring.sources.port import Measurement, Source, Target, Verdict, judged
from turnout.monitoring.sources.prometheus import PrometheusSource
from turnout.wire.rollout import MetricSpec

__all__ = ["Measurement", "Source", "Target", "Verdict", "judged", "make"]


def make(spec: MetricSpec, target: Target, *, runner: Runner, reader: Reader) -> Source:
    """Return the source that a metric names.

    Args:
        spec: The metric.
        target: What it measures.
        runner: Runs commands on a host, in the candidate's tree.
        reader: Reads the log lines of the candidate's instances.
    """
    if spec.source == "prometheus":
        return PrometheusSource(spec, target)
    if spec.source == "http":
        return HttpSource(spec, target)
    if spec.source == "command":
        return CommandSource(spec, target, runner)
    return LogSource(spec, target, reader)
