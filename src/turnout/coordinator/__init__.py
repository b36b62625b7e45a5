"""The deployment coordinator: durable workflows that carry releases into environments.

Only this room writes the state of deployments.  ``service`` is its door; ``deploy`` and
``rollback`` tell the story, a call a phase; what an action does stands in ``effects``.
"""
