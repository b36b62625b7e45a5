"""The environment manager: the catalogue of projects and their releases.

In come releases that are stored whole, out go their facts, newest first.  What is live where
stands with the coordinator, not here.
"""
