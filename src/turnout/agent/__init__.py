"""The program on a host: what runs, serves and is routed there.

Requests of the wire come in at :mod:`app` and become calls of :class:`host.Agent`.  Releases
arrive in :mod:`staging`, are laid out in :mod:`trees`, run as :mod:`instances` under keepers
that outlive the agent, are asked in :mod:`readiness` and :mod:`probes`, and get traffic through
:mod:`routing`.  :mod:`upkeep` brings the host to what stands on disk, again and again.

Nothing here imports a database or a web framework for browsers; :mod:`keeper`, :mod:`keeplog`
and :mod:`offspring` import the standard library only.
"""
