"""The lock files: every requirement pinned with hashes, and no address of any machine."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
DEV = PROJECT["dependency-groups"]["dev"]


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text()
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ \\]+)", text, re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


@pytest.mark.parametrize(("name", "wanted"), [("runtime.txt", RUNTIME), ("dev.txt", RUNTIME + DEV)])
def test_every_requirement_is_pinned_within_its_bounds(name: str, wanted: list[str]) -> None:
    pinned = pins(name)
    for requirement in map(Requirement, wanted):
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} is locked to {version}"


def test_both_locks_agree() -> None:
    development = pins("dev.txt")
    assert pins("runtime.txt").items() <= development.items()


@pytest.mark.parametrize("name", ["runtime.txt", "dev.txt"])
def test_every_line_is_a_pin_a_hash_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        assert re.fullmatch(r"[^ /@:]+==\S+( ; [^/@:]+)?(\s+--hash=sha256:[0-9a-f]{64})+", line), (
            line
        )


def test_every_import_of_the_sources_is_a_declared_requirement() -> None:
    declared = {canonicalize_name(Requirement(text).name) for text in RUNTIME}
    providers = packages_distributions()
    own = {*sys.stdlib_module_names, "turnout", "compression"}  # the last is new in 3.14
    for module, path in imports():
        top = module.split(".")[0]
        if top in own:
            continue
        names = {canonicalize_name(name) for name in providers.get(top, [])}
        assert names & declared, f"{path} imports {module}, which pyproject.toml does not ask for"


def imports() -> Iterator[tuple[str, Path]]:
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((alias.name, path) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module, path
