"""Finds out how a Python project is run, from what it needs and its source."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from turnout.cli.found import Found, text_of
from turnout.cli.python_packages import with_packages

_MODULES = ("app", "main", "wsgi", "asgi", "server", "application")
_APP = re.compile(
    r"^(app|application|api)\s*(?::[^=\n]+)?=\s*"
    r"(?:[\w.]*\b)?(FastAPI|Starlette|Litestar|Quart|Flask|Bottle|falcon\.App"
    r"|get_wsgi_application|get_asgi_application|create_app)\s*\(",
    re.MULTILINE,
)
_ASYNC = ("FastAPI", "Starlette", "Litestar", "Quart", "get_asgi_application")
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)

# How each server takes its port without an argument, by its own documentation: gunicorn binds
# to $PORT, uvicorn reads UVICORN_* for every option, Flask FLASK_RUN_*.
_PORT_ENV = {"uvicorn": "UVICORN_PORT", "gunicorn": "PORT", "flask": "FLASK_RUN_PORT"}
_READ_PORT = "the program must listen on the port in the variable PORT"


def detect(directory: Path) -> Found | None:
    """Return how the Python app in *directory* is run; None if there is none."""
    needs = _needs(directory)
    for module in _MODULES:
        source = text_of(directory / f"{module}.py")
        if not source:
            continue
        found = _APP.search(source)
        if found is not None:
            app = _served(f"{module}:{found[1]}", found[2], needs)
            return with_packages(app, directory, needs | {app.run[2]})
        if "__main__" in source or needs or "serve_forever" in source:
            because = (f"there is a {module}.py",)
            run = ("python3", f"{module}.py")
            program = Found("a Python app", run, because=because, notes=(_READ_PORT,))
            return with_packages(program, directory, needs)
    django = _django(directory, needs)
    return django and with_packages(django, directory, needs | {"django", "gunicorn"})


def port_of(words: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return the variable that the command *words* reads its port from, and what to check."""
    for word in words[:3]:
        name = word.rpartition("/")[2]
        if name in _PORT_ENV:
            return _PORT_ENV[name], ()
    return "PORT", (_READ_PORT,)


def _served(target: str, framework: str, needs: set[str]) -> Found:
    because = [f"{target.partition(':')[0]}.py makes a {framework.rpartition('.')[2]} app"]
    asynchronous = framework in _ASYNC
    server = "uvicorn" if asynchronous else "gunicorn"
    if not asynchronous and "gunicorn" not in needs and framework == "Flask":
        run: tuple[str, ...] = ("python3", "-m", "flask", "--app", target, "run")
        note = "this is Flask's development server; add gunicorn to the requirements for more"
        return Found(
            "a Flask app", run, port_env="FLASK_RUN_PORT", because=tuple(because), notes=(note,)
        )
    notes: tuple[str, ...] = ()
    if server in needs:
        because.append(f"the requirements name {server}")
    elif needs:
        notes = (f"{server} serves it and is missing in the requirements",)
    run = ("python3", "-m", server, target)
    return Found(
        "a Python app", run, port_env=_PORT_ENV[server], because=tuple(because), notes=notes
    )


def _django(directory: Path, needs: set[str]) -> Found | None:
    if not (directory / "manage.py").is_file():
        return None
    settings = re.search(
        r"DJANGO_SETTINGS_MODULE['\"],\s*['\"]([\w.]+)\.settings", text_of(directory / "manage.py")
    )
    if settings is None:
        return None
    missing = "gunicorn serves it and is missing in the requirements"
    notes = () if "gunicorn" in needs else (missing,)
    return Found(
        "a Django app",
        ("python3", "-m", "gunicorn", f"{settings[1]}.wsgi:application"),
        because=("there is a manage.py of Django",),
        notes=notes,
    )


def _needs(directory: Path) -> set[str]:
    """Return the packages that the project says it needs, in lower case."""
    lines = text_of(directory / "requirements.txt")
    try:
        document = tomllib.loads(text_of(directory / "pyproject.toml"))
        lines += "\n" + "\n".join(map(str, document.get("project", {}).get("dependencies", [])))
        poetry = document.get("tool", {}).get("poetry", {}).get("dependencies", {})
        lines += "\n" + "\n".join(poetry)
    except (tomllib.TOMLDecodeError, RecursionError, AttributeError, TypeError):
        pass  # a broken pyproject.toml is for other tools to report
    return {name.lower() for name in _REQUIREMENT.findall(lines)}
