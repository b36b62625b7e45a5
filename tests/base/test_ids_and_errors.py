"""Names that look right and are not, and errors that travel."""

from __future__ import annotations

import pytest

from turnout.base import ids
from turnout.base.errors import Conflict, Failed, NotFound, TurnoutError, from_document


@pytest.mark.parametrize("name", ["a", "shop", "web-2", "a" * 40])
def test_good_names(name: str) -> None:
    assert ids.check_name(name, "a project") == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "a" * 41, "shop\n", "a/b", "..", "\u0430", "a\x00"]
)
def test_bad_names(name: str) -> None:
    with pytest.raises(TurnoutError, match="cannot name"):
        ids.check_name(name, "a project")


def test_a_trailing_newline_is_no_part_of_a_release_or_revision() -> None:
    assert ids.RELEASE.match("a" * 64)
    assert not ids.RELEASE.match("a" * 64 + "\n")
    assert not ids.REVISION.match("a" * 16 + "\n")


def test_identifiers_are_new_and_sort_by_age() -> None:
    made = [ids.new_id("dep") for _ in range(200)]
    assert len(set(made)) == 200
    stamps = [name[:13] for name in made]
    assert stamps == sorted(stamps)


def test_an_error_travels_as_its_kind() -> None:
    error = NotFound("No", subject="x", why="y", next_step="z", facts={"a": 1})
    back = from_document(error.to_document())
    assert type(back) is NotFound
    assert back.to_document() == error.to_document()


def test_a_rooms_own_error_travels_as_the_general_one() -> None:
    class Special(Failed):
        """An error that only one room knows."""

        def __init__(self) -> None:
            super().__init__("It is special")

    assert type(from_document(Special().to_document())) is Failed


@pytest.mark.parametrize("document", [{}, {"problem": "newer"}, {"problem": 3, "facts": "no"}])
def test_what_a_newer_peer_says_is_a_failure(document: dict[str, object]) -> None:
    assert type(from_document(document)) is Failed


def test_a_subject_is_named_once_and_never_swallowed_by_a_longer_word() -> None:
    assert str(Conflict("The file a.txt is held", subject="a.txt")) == "The file a.txt is held"
    for short in ("a", "he", "x"):
        assert str(Conflict("The file was held", subject=short)).endswith(f": {short}")
    assert str(Conflict("It is held")) == "It is held"
