"""The schema's versions, run by alembic."""
