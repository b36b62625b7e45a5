"""One stand for all crash tests, since each scene takes seconds to learn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.house import House


@pytest.fixture(scope="package")
def house() -> Iterator[House]:
    with House.open() as found:
        yield found
