"""The ground floor: errors, clock, identifiers, settings, logs and the database handle.

Nothing here knows of releases or deployments; everything above may import it.
"""
