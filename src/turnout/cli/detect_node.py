"""Finds out how a Node project is built and run, from its ``package.json``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from turnout.base.errors import InvalidInput
from turnout.cli.argv import argv_of
from turnout.cli.found import Found, text_of


@dataclass(frozen=True)
class _Builder:
    package: str
    kind: str
    output: str
    spa: bool = False


# The output directories are the defaults in each tool's own documentation.  The order matters:
# a SvelteKit or Astro project has Vite among its packages too.
_BUILDERS = (
    _Builder("@docusaurus/core", "a Docusaurus site", "build"),
    _Builder("gatsby", "a Gatsby site", "public"),
    _Builder("@11ty/eleventy", "an Eleventy site", "_site"),
    _Builder("vitepress", "a VitePress site", ".vitepress/dist"),
    _Builder("react-scripts", "a Create React App", "build", spa=True),
    _Builder("@vue/cli-service", "a Vue CLI app", "dist", spa=True),
    _Builder("parcel", "a Parcel site", "dist"),
    _Builder("vite", "a Vite app", "dist", spa=True),
)
_SERVERS = ("express", "fastify", "koa", "hono", "@hapi/hapi", "@nestjs/core", "restify", "polka")
_LOCKS = (("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lock", "bun"))
_ENTRIES = ("server.js", "server.mjs", "server.cjs")
_NODE_ENV = {"NODE_ENV": "production"}
_NOT_INSTALLED = (
    "its packages are not installed; install them first (npm install), for the build needs them "
    "and a server app takes node_modules along"
)


def detect(directory: Path) -> Found | None:
    """Return what the ``package.json`` in *directory* says; None if it is no web project.

    Raises:
        InvalidInput: ``package.json`` is broken, or its start script needs a shell.
    """
    if not (directory / "package.json").is_file():
        return _bare_server(directory)
    package = _read(directory / "package.json")
    found = _described(directory, package)
    if found is None or not (found.build or found.run):
        return found
    if not _table(package, "dependencies") or (directory / "node_modules").is_dir():
        return found
    return replace(found, notes=(*found.notes, _NOT_INSTALLED))


def _described(directory: Path, package: dict[str, Any]) -> Found | None:
    scripts = {key: str(value) for key, value in _table(package, "scripts").items()}
    needs = {**_table(package, "devDependencies"), **_table(package, "dependencies")}
    build = _build(directory, scripts)
    for special in (_next, _astro, _sveltekit):
        found = special(directory, needs, build)
        if found is not None:
            return found
    # A start script of a project that brings its own server means the server.
    if not any(server in needs for server in _SERVERS):
        for builder in _BUILDERS:
            if builder.package in needs and build:
                return Found(
                    kind=builder.kind,
                    build=build,
                    output=builder.output,
                    spa=builder.spa,
                    because=(f"package.json needs {builder.package}",),
                )
    return _server(directory, package, scripts, needs, build)


def _next(directory: Path, needs: dict[str, Any], build: tuple[str, ...]) -> Found | None:
    if "next" not in needs:
        return None
    names = ("next.config.js", "next.config.mjs", "next.config.ts")
    config = "".join(text_of(directory / name) for name in names)
    if re.search(r"output\s*:\s*['\"]export['\"]", config):
        return Found(
            kind="a Next.js static export",
            build=build,
            output="out",
            because=("package.json needs next", "next.config says output: 'export'"),
        )
    return Found(
        kind="a Next.js app",
        build=build,
        run=("node", "node_modules/next/dist/bin/next", "start"),
        env=_NODE_ENV,
        because=("package.json needs next",),
    )


def _astro(_: Path, needs: dict[str, Any], build: tuple[str, ...]) -> Found | None:
    if "astro" not in needs:
        return None
    site = Found(
        kind="an Astro site", build=build, output="dist", because=("package.json needs astro",)
    )
    if "@astrojs/node" not in needs:
        return site
    return replace(
        site,
        kind="an Astro app on Node",
        output=".",
        run=("node", "dist/server/entry.mjs"),
        env={**_NODE_ENV, "HOST": "127.0.0.1"},
        because=("package.json needs astro and @astrojs/node",),
    )


def _sveltekit(_: Path, needs: dict[str, Any], build: tuple[str, ...]) -> Found | None:
    if "@sveltejs/kit" not in needs:
        return None
    if "@sveltejs/adapter-static" in needs:
        because = ("package.json needs @sveltejs/adapter-static",)
        return Found(kind="a SvelteKit site", build=build, output="build", because=because)
    if "@sveltejs/adapter-node" in needs:
        return Found(
            kind="a SvelteKit app on Node",
            build=build,
            run=("node", "build"),
            env={**_NODE_ENV, "HOST": "127.0.0.1"},
            because=("package.json needs @sveltejs/adapter-node",),
        )
    return None


def _server(
    directory: Path,
    package: dict[str, Any],
    scripts: dict[str, str],
    needs: dict[str, Any],
    build: tuple[str, ...],
) -> Found | None:
    start = scripts.get("start", "").strip()
    if start:
        words = argv_of(start, "the start script of package.json")
        if "/" not in words[0] and (directory / "node_modules" / ".bin" / words[0]).exists():
            words[0] = f"node_modules/.bin/{words[0]}"
        because = f"package.json starts with: {start}"
        return Found("a Node app", tuple(words), build, env=_NODE_ENV, because=(because,))
    frameworks = [server for server in _SERVERS if server in needs]
    main = package.get("main")
    if frameworks and isinstance(main, str) and (directory / main).is_file():
        because = f"package.json needs {frameworks[0]}, and its main is {main}"
        return Found("a Node app", ("node", main), build, env=_NODE_ENV, because=(because,))
    return _bare_server(directory)


def _bare_server(directory: Path) -> Found | None:
    for name in _ENTRIES:
        if (directory / name).is_file():
            because = (f"there is a {name}",)
            notes = ("the program must listen on the port in the variable PORT",)
            return Found("a Node app", ("node", name), env=_NODE_ENV, because=because, notes=notes)
    return None


def _build(directory: Path, scripts: dict[str, str]) -> tuple[str, ...]:
    if "build" not in scripts:
        return ()
    manager = next((name for lock, name in _LOCKS if (directory / lock).exists()), "npm")
    return (manager, "run", "build")


def _read(path: Path) -> dict[str, Any]:
    try:
        package = json.loads(text_of(path))
    except json.JSONDecodeError as error:
        raise InvalidInput(
            "package.json is not JSON",
            subject=f"{path}:{error.lineno}:{error.colno}",
            why=error.msg,
            next_step="Correct it, or write turnout.toml by hand.",
        ) from None
    except RecursionError:
        raise InvalidInput("package.json is nested too deeply", subject=str(path)) from None
    return package if isinstance(package, dict) else {}


def _table(package: dict[str, Any], key: str) -> dict[str, Any]:
    value = package.get(key)
    return value if isinstance(value, dict) else {}
