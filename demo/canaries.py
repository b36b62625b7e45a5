"""The releases of the canary act: three shops, each with a second version of its own.

Their front pages take a few milliseconds, and every fifth takes long, so that there is a
p99 to compare.  One second version is as good as the first, one answers 3 % of the pages with
an error, one takes half as long again for the slowest.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import tomlkit

from demo.versions import EXAMPLES, Project, copy, replace

SLOWEST_MS = 400
"""What every fifth page takes in the first version."""
CROWD = {"healthy": 5, "faulty": 2, "slow": 2}
"""Evidence takes visitors: these shops get so many times as many as the others.  That a release
harms nobody takes most of it."""

_NODE_WORK = (
    "  if (route) route(request, response, url);\n",
    (
        '  if (url.pathname === "/") setTimeout(() => route(request, response, url), work());\n'
        "  else if (route) route(request, response, url);\n"
    ),
)
_NODE_FRONT = (
    "function front(_, response) {\n",
    (
        "const work = () => (Math.random() < 0.2 ? {slowest} : 4);\n\n"
        "function front(_, response) {{\n"
        '  if (Math.random() < {errors}) return json(response, 500, {{ error: "a fault" }});\n'
    ),
)
_PYTHON_FRONT = (
    "def front(handler, query):\n",
    (
        "def front(handler, query):\n"
        "    time.sleep({slowest} / 1000 if random.random() < 0.2 else 0.004)\n"
        "    if random.random() < {errors}:\n"
        '        return handler.answer_json(500, {{"error": "a fault"}})\n'
    ),
)


def canaries(work: Path) -> tuple[Project, Project, Project]:
    """Return the shops whose second versions are healthy, faulty and slow."""
    return (
        _shop(work, "healthy"),
        _shop(work, "faulty", errors=0.03),
        _shop(work, "slow", slowest=SLOWEST_MS * 3 // 2),
    )


def _shop(work: Path, name: str, *, errors: float = 0.0, slowest: int = SLOWEST_MS) -> Project:
    node = shutil.which("node") is not None
    first = copy(EXAMPLES / ("node-app" if node else "python-app"), work / f"{name}-v1")
    second = copy(first, work / f"{name}-v2")
    for directory, number, faults, slow in (
        (first, 1, 0.0, SLOWEST_MS),
        (second, 2, errors, slowest),
    ):
        old, new = _NODE_FRONT if node else _PYTHON_FRONT
        code = directory / ("server.js" if node else "app.py")
        if node:
            replace(code, *_NODE_WORK)
        else:
            replace(code, "import os\n", "import os\nimport random\n")
        replace(code, old, new.format(errors=faults, slowest=slow))
        replace(code, 'VERSION = "1"', f'VERSION = "{number}"')
        _settings(directory, name)
    return Project(
        name,
        {"v1": first, "v2": second},
        wanted=b"<h1>Shop</h1>",
        share=CROWD[name],
        faulty=errors > 0,
    )


def _settings(directory: Path, name: str) -> None:
    """Let the evidence decide: first half of the traffic, then as much as it allows."""
    path = directory / "turnout.toml"
    document = tomlkit.parse(path.read_text())
    document["project"] = name
    rollout = document["rollout"]
    assert isinstance(rollout, tomlkit.items.Table)
    rollout["strategy"] = "canary"
    rollout["verify"] = "1s"
    rollout["canary"] = {
        "steps": "auto",
        "auto": {"first": 50, "interval": "1s", "deadline": "60s"},
    }
    # Nobody is there to be asked: what is not decided in time goes on, and the act shows it.
    rollout["analysis"] = {"on_unknown": "continue"}
    path.write_text(tomlkit.dumps(document))
