"""The releases of the show: copies of a project, each with one change."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import tomlkit
from tomlkit.items import Table

from demo.cli import DemoError

EXAMPLES = Path(__file__).parents[1] / "examples"
MARKER = "turnout-demo.txt"
IGNORED = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".turnout")


@dataclass(frozen=True)
class Project:
    """A project on its way through the show.

    Attributes:
        name: As its turnout.toml calls it.
        versions: Name of a version, such as ``v2``, to its directory.
        upload_path: Where it takes uploads; empty if it takes none.
        stream_path: Where it sends events; empty if it sends none.
        wanted: What the front page holds; empty if that is not known.
        asset: An address of v1 that must go on answering with *asset_bytes*.
    """

    name: str
    versions: dict[str, Path]
    upload_path: str = ""
    stream_path: str = ""
    wanted: bytes = b""
    asset: str = ""
    asset_bytes: bytes = b""
    share: int = 1
    """How many times as many requests as others it gets."""
    faulty: bool = False
    """Its second version answers some pages with an error, as it is meant to."""


def site(work: Path) -> Project:
    """Return the example site: v2 has other assets, and none of those that v1 had changed."""
    first = copy(EXAMPLES / "static-site", work / "site-v1")
    second = copy(first, work / "site-v2")
    pages = second / "site"
    replace(pages / "index.html", "Version 1", "Version 2")
    replace(pages / "about.html", "Version 1", "Version 2")
    notes = next(pages.glob("assets/notes.*.js"))
    old = f"/assets/{notes.name}"
    replace(notes, "never still", "still for once")
    fresh = _rehash(notes)
    app = next(pages.glob("assets/app.*.js"))
    replace(app, notes.name, fresh)
    replace(pages / "index.html", app.name, _rehash(app))
    return Project(
        "docs",
        {"v1": first, "v2": second},
        wanted=b"<title>Field notes</title>",
        asset=old,
        asset_bytes=(first / "site" / old.lstrip("/")).read_bytes(),
    )


def app(work: Path) -> Project:
    """Return the example app, in Node.js where that is installed and in Python elsewhere."""
    node = shutil.which("node") is not None
    first = copy(EXAMPLES / ("node-app" if node else "python-app"), work / "app-v1")
    code = "server.js" if node else "app.py"
    second, third, fourth = (copy(first, work / f"app-v{n}") for n in (2, 3, 4))
    for number, directory in enumerate((second, third, fourth), 2):
        replace(directory / code, 'VERSION = "1"', f'VERSION = "{number}"')
    if node:
        replace(third / code, "stopping ? 503 : 200", "500")
        replace(fourth / code, *_NODE_FAILS_LATER[0])
        replace(fourth / code, *_NODE_FAILS_LATER[1])
    else:
        replace(third / code, "200 if up else 503", "500")
        replace(fourth / code, *_PYTHON_FAILS_LATER[0])
        replace(fourth / code, *_PYTHON_FAILS_LATER[1])
    _patch(third, "health", "deadline", "3s")
    return Project(
        "shop",
        {"v1": first, "v2": second, "v3": third, "v4": fourth},
        upload_path="/upload",
        stream_path="/events",
        wanted=b"<h1>Shop</h1>",
    )


# Version 4 is well while nobody asks it anything, and unwell from 1.5 seconds after its first
# visitor; its pages go on answering, so nobody notices but the health check.
_NODE_FAILS_LATER = (
    (
        '  const url = new URL(request.url, "http://localhost");\n',
        (
            '  const url = new URL(request.url, "http://localhost");\n'
            '  if (url.pathname !== "/healthz") firstVisit ??= Date.now();\n'
        ),
    ),
    (
        "function health(_, response) {\n",
        (
            "let firstVisit;\n\nfunction health(_, response) {\n"
            "  if (Date.now() - firstVisit > 1500) return json(response, 500, { ok: false });\n"
        ),
    ),
)
_PYTHON_FAILS_LATER = (
    (
        "            url = urlsplit(self.path)\n",
        (
            "            url = urlsplit(self.path)\n"
            '            if url.path != "/healthz":\n'
            "                visits.append(time.monotonic())\n"
        ),
    ),
    (
        "def health(handler, query):\n    up = not stopping.is_set()\n",
        (
            "visits = []\n\n\ndef health(handler, query):\n"
            "    late = bool(visits) and time.monotonic() - visits[0] > 1.5\n"
            '    if late:\n        return handler.answer_json(500, {"ok": False})\n'
            "    up = not stopping.is_set()\n"
        ),
    ),
)


def own(source: Path, work: Path) -> Project:
    """Return a project of the user's: v2 has a marker file, v3 can never become healthy.

    It is built once, in a copy; the directory itself is only read.

    Raises:
        DemoError: It is no directory with a readable turnout.toml, or its build fails.
    """
    config = source / "turnout.toml"
    if not config.is_file():
        raise DemoError(f"{config} is missing; `turnout init {source}` writes one.")
    first = copy(source, work / "own-v1")
    try:
        document = tomlkit.parse((first / "turnout.toml").read_text())
        name = str(document["project"])
    except (ValueError, KeyError) as error:
        raise DemoError(f"{config} cannot be read: {error}") from None
    build = document.get("build", {})
    if build.get("command"):
        argv = [str(part) for part in build["command"]]
        done = subprocess.run(argv, cwd=first, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoError(f"The build of {name} failed:\n{done.stdout}{done.stderr}")
        del build["command"]
        (first / "turnout.toml").write_text(tomlkit.dumps(document))
    second, third = copy(first, work / "own-v2"), copy(first, work / "own-v3")
    (second / build.get("output", ".") / MARKER).write_text("Version 2 of the demo\n")
    (third / build.get("output", ".") / MARKER).write_text("Version 3 of the demo\n")
    _patch(third, "health", "expect", 418)  # RFC 2324: no web project answers that
    _patch(third, "health", "deadline", "3s")
    return Project(name, {"v1": first, "v2": second, "v3": third})


def copy(source: Path, to: Path) -> Path:
    """Copy a project without what belongs to its tools; return where."""
    shutil.copytree(source, to, symlinks=True, ignore=IGNORED)
    return to


def replace(path: Path, old: str, new: str) -> None:
    """Replace a piece of a file that has to be in it."""
    text = path.read_text()
    assert old in text, f"{path} no longer holds {old!r}"
    path.write_text(text.replace(old, new))


def _rehash(path: Path) -> str:
    """Rename ``name.HASH.ending`` after its content, as bundlers do; return the new name."""
    stem, _, ending = path.name.split(".")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return path.rename(path.with_name(f"{stem}.{digest}.{ending}")).name


def _patch(directory: Path, table: str, key: str, value: object) -> None:
    path = directory / "turnout.toml"
    document = tomlkit.parse(path.read_text())
    found = document.setdefault(table, tomlkit.table())
    assert isinstance(found, Table)
    found[key] = value
    special = document.get("environments", {}).get("production", {}).get(table)
    if special is not None:
        special[key] = value
    path.write_text(tomlkit.dumps(document))
