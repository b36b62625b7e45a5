"""An open-loop HTTP load generator: what tests, the demo and the benchmarks put on a site.

Requests start when their time has come, whether or not earlier ones were answered, so a stall
shows as latency instead of as fewer requests.  Each request is recorded with its outcome::

    async with Load([Target("127.0.0.1", 8080, "/", host="shop.localhost")], rate=200) as load:
        ...
    assert load.report().failed == 0
"""

from load.answers import Answer
from load.generator import Load
from load.report import Record, Report
from load.targets import DEFAULT_MIX, Kind, Target

__all__ = ["DEFAULT_MIX", "Answer", "Kind", "Load", "Record", "Report", "Target"]
