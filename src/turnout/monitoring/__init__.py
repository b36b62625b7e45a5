"""The monitoring service: events, series, metric sources, analysis, log search and traces.

In come facts, out go events, series and verdicts; it decides nothing about a deployment.
"""
