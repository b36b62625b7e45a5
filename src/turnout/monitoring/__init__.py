"""The monitoring service: events now; metrics and analysis follow.

In come facts, out go events and verdicts; it decides nothing about a deployment.
"""
