"""The catalogue keeps the first entry, sorts by age, and knows what it does not know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from turnout.base.database import Database, metadata
from turnout.base.errors import NotFound
from turnout.environments.catalogue import Catalogue


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    database = Database(f"sqlite:///{tmp_path / 'c.db'}")
    metadata.create_all(database.engine)
    yield Catalogue(database)
    database.close()


def test_the_first_entry_stays(catalogue: Catalogue) -> None:
    first = catalogue.add("shop", "a" * 64, files=1, size=2, message="first")
    assert catalogue.add("shop", "a" * 64, files=9, size=9, message="second") == first
    assert catalogue.get("shop", "a" * 64) == first
    assert catalogue.has("shop", "a" * 64) and not catalogue.has("blog", "a" * 64)


def test_the_same_release_in_two_projects(catalogue: Catalogue) -> None:
    for project in ("shop", "blog"):
        catalogue.add(project, "a" * 64, files=1, size=2)
    assert catalogue.projects() == ["blog", "shop"]
    catalogue.remove("shop", "a" * 64)
    catalogue.remove("shop", "a" * 64)
    assert catalogue.page("shop") == []
    assert len(catalogue.page("blog")) == 1


def test_unknown_names(catalogue: Catalogue) -> None:
    with pytest.raises(NotFound):
        catalogue.page("nobody")
    with pytest.raises(NotFound):
        catalogue.get("nobody", "a" * 64)
