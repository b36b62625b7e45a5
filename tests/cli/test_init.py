"""Finding out what a project is, and writing that down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from turnout.base.errors import InvalidInput
from turnout.cli import projectfile
from turnout.cli.argv import argv_of
from turnout.cli.detect import detect
from turnout.cli.found import name_of
from turnout.cli.python_packages import PACKAGES

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
FLASK = "from flask import Flask\napp: Flask = Flask(__name__)\n"
DJANGO = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n"


def package(**content: Any) -> str:
    return json.dumps(content)


def needs(*names: str, **more: Any) -> str:
    return package(
        dependencies=dict.fromkeys(names, "1"), scripts={"build": "x", **more.pop("scripts", {})}
    )


CASES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "static": ({"index.html": ""}, {"run": (), "output": "."}),
    "dist": ({"dist/index.html": ""}, {"output": "dist"}),
    "public": ({"public/index.html": ""}, {"output": "public"}),
    "library with a page": (
        {"index.html": "", "package.json": package(main="index.js", name="x")},
        {"run": (), "output": "."},
    ),
    "vite": (
        {"index.html": "", "package.json": needs("vite")},
        {"build": ("npm", "run", "build"), "output": "dist", "spa": True, "run": ()},
    ),
    "cra": ({"package.json": needs("react-scripts")}, {"output": "build", "spa": True}),
    "pnpm": (
        {"package.json": needs("vite"), "pnpm-lock.yaml": ""},
        {"build": ("pnpm", "run", "build")},
    ),
    "astro": ({"package.json": needs("astro", "vite")}, {"output": "dist", "run": ()}),
    "astro on node": (
        {"package.json": needs("astro", "@astrojs/node")},
        {"run": ("node", "dist/server/entry.mjs")},
    ),
    "next": (
        {"package.json": needs("next")},
        {"run": ("node", "node_modules/next/dist/bin/next", "start"), "output": "."},
    ),
    "next export": (
        {"package.json": needs("next"), "next.config.mjs": "export default {output: 'export'}"},
        {"run": (), "output": "out"},
    ),
    "svelte": (
        {"package.json": needs("@sveltejs/kit", "@sveltejs/adapter-static", "vite")},
        {"output": "build", "run": ()},
    ),
    "node start": (
        {"package.json": package(scripts={"start": "node src/app.js --x 'a b'"})},
        {"run": ("node", "src/app.js", "--x", "a b"), "env": {"NODE_ENV": "production"}},
    ),
    "express with vite": (
        {"package.json": needs("express", "vite", scripts={"start": "node server.js"})},
        {"run": ("node", "server.js"), "build": ("npm", "run", "build")},
    ),
    "express main": (
        {"package.json": package(dependencies={"express": "5"}, main="lib/i.js"), "lib/i.js": ""},
        {"run": ("node", "lib/i.js")},
    ),
    "bare node": ({"server.js": ""}, {"run": ("node", "server.js")}),
    "procfile": (
        {"Procfile": "worker: x\nweb: gunicorn app:app --workers 2\n", "index.html": ""},
        {"run": ("gunicorn", "app:app", "--workers", "2"), "port_env": "PORT"},
    ),
    "fastapi": (
        {"main.py": FASTAPI, "requirements.txt": "fastapi\nuvicorn[standard]>=0.3\n"},
        {
            "run": ("python3", "-m", "uvicorn", "main:app"),
            "port_env": "UVICORN_PORT",
            "env": {"PYTHONPATH": ".python_packages"},
        },
    ),
    "procfile in python": (
        {"Procfile": "web: gunicorn app:app", "requirements.txt": "gunicorn\n"},
        {"run": ("python3", "-m", "gunicorn", "app:app"), "env": {"PYTHONPATH": PACKAGES}},
    ),
    "procfile with python": (
        {"Procfile": "web: python web.py"},
        {"run": ("python3", "web.py"), "build": (), "env": {}},
    ),
    "flask": ({"app.py": FLASK}, {"port_env": "FLASK_RUN_PORT"}),
    "flask with gunicorn": (
        {"app.py": FLASK, "pyproject.toml": '[project]\ndependencies = ["gunicorn>=1", "flask"]'},
        {"run": ("python3", "-m", "gunicorn", "app:app"), "port_env": "PORT"},
    ),
    "plain python": (
        {"app.py": "if __name__ == '__main__': serve()"},
        {"run": ("python3", "app.py")},
    ),
    "django": (
        {"manage.py": DJANGO, "requirements.txt": "Django\n"},
        {"run": ("python3", "-m", "gunicorn", "mysite.wsgi:application")},
    ),
}


def lay_out(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)


@pytest.mark.parametrize("name", CASES)
def test_detects(tmp_path: Path, name: str) -> None:
    files, expected = CASES[name]
    lay_out(tmp_path, files)
    found = detect(tmp_path)
    assert {key: getattr(found, key) for key in expected} == expected
    assert found.because


@pytest.mark.parametrize("name", CASES)
def test_what_it_writes_can_be_read(tmp_path: Path, run: Run, name: str) -> None:
    files, expected = CASES[name]
    root = tmp_path / "My Shop"
    lay_out(root, files)
    result = run("init", str(root))
    assert result.exit_code == 0, result.stderr
    project = projectfile.read(root / "turnout.toml")
    intent = projectfile.intent(project, "production")
    assert intent.project == "my-shop"
    if expected.get("run"):
        assert intent.component.run is not None
        assert intent.component.run.command == expected["run"]
    if "output" in expected and expected["output"] != ".":
        assert project.file.build is not None and project.file.build.output == expected["output"]
    assert json.loads((root / ".turnout" / "turnout.schema.json").read_text())["title"]
    assert (root / "turnout.toml").read_text().startswith("#:schema .turnout/")


def test_requirements_are_brought_along(tmp_path: Path) -> None:
    lay_out(tmp_path, {"app.py": FLASK, "requirements.txt": "flask\n"})
    found = detect(tmp_path)
    assert found.build[:4] == ("python3", "-m", "pip", "install")
    assert found.build[-4:] == ("--target", PACKAGES, "-r", "requirements.txt")
    assert any(".gitignore" in note for note in found.notes)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"app.py": FLASK}, "flask must be installed where it runs"),
        ({"main.py": FASTAPI, "requirements.txt": "fastapi"}, "uvicorn serves it and is missing"),
        (
            {"main.py": FASTAPI, "pyproject.toml": "[project]\ndependencies = ['fastapi']"},
            "fastapi, uvicorn must be installed where it runs",
        ),
        ({"package.json": needs("vite")}, "its packages are not installed"),
        ({"package.json": needs("express", scripts={"start": "node x.js"})}, "npm install"),
    ],
)
def test_says_what_is_missing(tmp_path: Path, files: dict[str, str], says: str) -> None:
    lay_out(tmp_path, files)
    assert says in " ".join(detect(tmp_path).notes)


def test_installed_packages_are_no_remark(tmp_path: Path) -> None:
    lay_out(tmp_path, {"package.json": needs("vite"), "node_modules/vite/x": ""})
    assert detect(tmp_path).notes == ()


def test_the_next_command_can_be_copied(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path / "my site", {"index.html": ""})
    monkeypatch.chdir(tmp_path)
    assert "`turnout deploy 'my site' --to production`" in run("init", "my site").stdout
    monkeypatch.chdir(tmp_path / "my site")
    assert "`turnout deploy --to production`" in run("init", "--force").stdout


def test_never_overwrites(run: Run, site: Path) -> None:
    before = (site / "turnout.toml").read_text()
    result = run("init", "--json")
    assert result.exit_code == 1, "7 is for an environment that something else holds"
    assert json.loads(result.stdout)["type"].endswith(":impossible")
    assert (site / "turnout.toml").read_text() == before
    assert run("init", "--force").exit_code == 0
    assert (site / "turnout.toml").read_text() != before


def test_json_says_what_was_found(run: Run, tmp_path: Path) -> None:
    lay_out(tmp_path / "x", {"index.html": ""})
    printed = json.loads(run("init", str(tmp_path / "x"), "--json").stdout)
    assert printed["kind"] == "a static site" and printed["project"] == "x"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "Nothing here looks like a web project"),
        ({"package.json": "{"}, "is not JSON"),
        ({"package.json": "[" * 100_000}, "nested too deeply"),
        ({"Procfile": "web: a | b"}, "line 1 of Procfile needs a shell"),
        ({"Procfile": "web: app -p $PORT"}, "needs a shell"),
        ({"package.json": package(scripts={"start": "A=1 node x"})}, "start script"),
        ({"package.json": package(scripts={"start": "node x && y"})}, "start script"),
        ({"package.json": package(scripts={"start": "node 'x"})}, "start script"),
    ],
)
def test_refuses(run: Run, tmp_path: Path, files: dict[str, str], says: str) -> None:
    root = tmp_path / "p"
    root.mkdir()
    lay_out(root, files)
    result = run("init", str(root), "--json")
    assert result.exit_code == 2
    assert says in json.loads(result.stdout)["detail"]
    assert not (root / "turnout.toml").exists()


def test_no_directory(run: Run) -> None:
    assert run("init", "/no/such/place").exit_code == 2


def test_hostile_content_stays_a_comment(run: Run, tmp_path: Path) -> None:
    start = "node \x1b\x07\u2028x"
    lay_out(tmp_path / "x", {"package.json": package(scripts={"start": start})})
    result = run("init", str(tmp_path / "x"))
    assert result.exit_code == 0 and "\x1b" not in result.stdout
    project = projectfile.read(tmp_path / "x" / "turnout.toml")
    assert project.file.run is not None and project.file.run.command is not None


@pytest.mark.parametrize("name", ["Ä", "..", "a" * 99, "---", "My_App.v2"])
def test_names_of_directories(tmp_path: Path, name: str) -> None:
    from turnout.base.ids import check_name

    check_name(name_of(tmp_path / name), "a project")


@pytest.mark.parametrize("line", ["a;b", "a`b`", "a > b", "$X", "*.js", "a\nb", "", "X=1 a", '"a'])
def test_a_shell_is_refused(line: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        argv_of(line, "Procfile")
    assert "needs a shell" in caught.value.what and caught.value.why


def test_quoting_is_read() -> None:
    assert argv_of("""a 'b $c' "d * e" f=g""", "x") == ["a", "b $c", "d * e", "f=g"]
    with pytest.raises(InvalidInput):
        argv_of("""echo "it's" $X 'b'""", "x")
    with pytest.raises(InvalidInput):
        argv_of('echo "$X"', "x")
