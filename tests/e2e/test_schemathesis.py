"""Every address of the contract, asked with generated good and bad input, keeps the contract."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks

from tests.api.requests import RELEASE, deploy_request
from tests.fakes import house as houses
from tests.fakes.house import FakeHouse
from turnout.api import bodies
from turnout.base import logs
from turnout.environments.catalogue import Catalogue

pytestmark = pytest.mark.real

schemathesis.serializer.alias(
    [bodies.MANIFEST_TYPE, bodies.SEGMENT_TYPE], "application/octet-stream"
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHouse]:
    logs.configure(stream=io.StringIO())
    made = houses.build(tmp_path_factory.mktemp("contract"))
    Catalogue(made.database).add("shop", RELEASE, files=3, size=1000)
    client = made.client()
    for _ in range(3):
        client.post("/api/v1/deployments", json=deploy_request())
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def contract(house: FakeHouse) -> Any:
    return schemathesis.openapi.from_asgi(
        "/api/v1/openapi.json", house.app, headers=house.authorization
    )


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.timeout(300)
def test_contract(contract: Any, house: FakeHouse, mode: GenerationMode) -> None:
    asked = 0
    broken: list[str] = []
    for found in contract.get_all_operations():
        operation = found.ok()
        try:
            _ask(operation, house, mode)
        except Unsatisfiable:
            # An address without parameters and body cannot be asked wrongly.
            assert mode is GenerationMode.NEGATIVE
            continue
        except (Exception, ExceptionGroup) as error:
            broken.append(f"{operation.label}: {error}")
        asked += 1
    assert not broken, "\n\n".join(broken)
    assert asked >= 20


def _ask(operation: Any, house: FakeHouse, mode: GenerationMode) -> None:
    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        # Streams without an end have tests of their own; here their JSON pages are asked for.
        if isinstance(case.query, dict):
            case.query.pop("follow", None)
        case.call_and_validate(
            headers={**house.authorization, "Accept": "application/json"},
            checks=[
                checks.not_a_server_error,
                checks.status_code_conformance,
                checks.content_type_conformance,
                checks.response_headers_conformance,
                checks.response_schema_conformance,
                checks.negative_data_rejection,
                checks.ignored_auth,
                checks.unsupported_method,
                checks.allow_header_conformance,
                checks.missing_required_header,
            ],
        )

    ask()
