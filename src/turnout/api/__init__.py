"""The HTTP API, version 1: documents in, documents, problems and event streams out.

Every request passes four doors in this order: the host and header check (``door``), the token
(``access``), the size of the body (``bodies``) and the repetition check (``idempotency``).  Then
a router turns it into one call of the coordinator, the package store or the catalogue.
"""
