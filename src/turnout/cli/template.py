"""The ``turnout.toml`` that ``turnout init`` writes: what was found, with comments."""

from __future__ import annotations

from collections.abc import Iterable

from turnout.cli.found import Found

SCHEMA_FILE = ".turnout/turnout.schema.json"
"""Beside the project, so that every editor finds it by the directive in the first line; what
is called .turnout is never packaged."""


def render(name: str, found: Found) -> str:
    """Return the text of a ``turnout.toml`` for the project *name* that is as *found*."""
    lines = [
        f"#:schema {SCHEMA_FILE}",
        f"# Written by `turnout init`, which found {found.kind}:",
        *(f"#   {_comment(reason)}" for reason in found.because),
        *(f"# Check this: {_comment(note)}." for note in found.notes),
        "",
        f"project = {_text(name)}",
        "",
    ]
    lines += _build(found)
    lines += _run(found) if found.run else _static(found)
    lines += [
        "[health]",
        'path = "/"                # asked before a release gets traffic',
        "expect = 200",
        'deadline = "60s"          # time to become healthy',
        "",
        "[rollout]",
        'keep_warm = "15m"         # the release before stays up, so that a rollback is instant',
        'drain = "30s"             # slow requests and streams may take this long to end',
        "",
        "# What differs in one environment goes into a table of its own:",
        "# [environments.production]",
        '# domains = ["www.example.org"]',
        "",
    ]
    return "\n".join(lines)


def _build(found: Found) -> list[str]:
    if not found.build and found.output == ".":
        return []
    lines = ["[build]"]
    if found.build:
        lines.append("# Runs here, before packaging; program and arguments, no shell.")
        lines.append(f"command = {_list(found.build)}")
    lines.append(f"output = {_text(found.output)}   # what is packaged")
    return [*lines, ""]


def _run(found: Found) -> list[str]:
    lines = [
        "[run]",
        "# Started in the release's directory; program and arguments, no shell.",
        f"command = {_list(found.run)}",
        f"port_env = {_text(found.port_env)}   # the variable that tells it its port",
        "instances = 1",
        'stop_grace = "10s"        # between the polite and the hard stop',
    ]
    if found.env:
        pairs = ", ".join(f"{key} = {_text(value)}" for key, value in found.env.items())
        lines.append(f"env = {{ {pairs} }}")
    return [*lines, ""]


def _static(found: Found) -> list[str]:
    return [
        "[static]",
        f"spa = {str(found.spa).lower()}   # true: unknown paths without a file ending get index.html",
        "",
    ]


def _list(words: Iterable[str]) -> str:
    return "[" + ", ".join(_text(word) for word in words) + "]"


def _text(value: str) -> str:
    import tomlkit

    return tomlkit.string(value).as_string()


def _comment(text: str) -> str:
    """Return *text* on one line: what was read in the project may hold anything."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200]
