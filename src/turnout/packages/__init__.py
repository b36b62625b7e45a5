"""The package room: a directory becomes a release, travels, and becomes a directory again.

The client scans (:mod:`scan`) and builds segments (:mod:`segments`); the server keeps them
sealed (:mod:`store`) and makes packages for one environment (:mod:`package`,
:mod:`placement`); a host verifies and unpacks them (:mod:`hosting`) and lays out what it serves
(:mod:`copying`, :mod:`variants`).  Everything is synchronous, streams, and may be called from
threads.
"""
