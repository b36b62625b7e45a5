"""One suite over every metric source: what each must do, whatever it asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from tests.monitoring.sources.servers import Web, serving
from turnout.base.errors import Unreachable
from turnout.monitoring.sources import Measurement, Source, Target, judged, make
from turnout.wire.agent import CommandResult, LogLine
from turnout.wire.rollout import MetricSpec

pytestmark = pytest.mark.anyio
TARGET = Target("shop", "production", "f" * 64, "a" * 16)


@dataclass
class World:
    """Everything that sources ask, with one way to set what it says."""

    kind: str
    web: Web
    value: float | None = 1.0
    broken: bool = False
    slow: bool = False
    ran: list[str] = field(default_factory=list)
    asked: int = 0

    def say(self, value: float | None, *, broken: bool = False, slow: bool = False) -> None:
        """Let the next measurements find *value*, None for nothing yet."""
        self.value, self.broken, self.slow = value, broken, slow
        self.web.silent = slow
        self.web.status = 500 if broken else 200
        if self.kind == "prometheus":
            found = [] if value is None else [{"metric": {}, "value": [1, str(value)]}]
            document = {"status": "success", "data": {"resultType": "vector", "result": found}}
        else:
            document = {"deep": [{"value": value}]}
        self.web.body = json.dumps(document).encode()

    def source(self) -> Source:
        told = {
            "prometheus": {"url": self.web.url, "query": "sum(x{release='{release}'})"},
            "http": {"url": f"{self.web.url}/x?of={{project}}", "query": "/deep/0/value"},
            "command": {"command": ("measure", "{revision}")},
            "logs": {"query": "boom"},
        }[self.kind]
        spec = MetricSpec(
            name="m", source=self.kind, max=5, min=0.5, interval=1, timeout=0.5, **told
        )
        return make(spec, TARGET, runner=self.run, reader=self.read)

    async def run(self, id: str, command: tuple[str, ...], timeout: float) -> CommandResult:
        self.ran.append(id)
        assert command == ("measure", "a" * 16)
        if self.slow:
            await asyncio.sleep(timeout)
            return CommandResult(exit_code=-9, timed_out=True)
        if self.broken:
            raise Unreachable("The host does not answer", subject="one")
        return CommandResult(
            exit_code=0, tail=() if self.value is None else ("so:", f" {self.value} ")
        )

    async def read(self, cursor: str) -> tuple[Sequence[LogLine], str]:
        self.asked += 1
        if self.slow:
            await asyncio.sleep(10)
        if self.broken:
            raise Unreachable("The host does not answer", subject="one")
        if cursor.startswith("end"):
            return (), cursor
        if cursor:
            count = round((self.value or 0) * 1.05)
            lines = [_line(0, "all is well"), *(_line(n, "a boom") for n in range(count))]
            return lines, f"end{self.asked}"
        return (), "begin"


def _line(at: float, text: str) -> LogLine:
    return LogLine(
        at=at, scope="shop/production", revision="a" * 16, index=0, stream="err", text=text
    )


@pytest.fixture(params=["prometheus", "http", "command", "logs"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with serving() as web:
        yield World(request.param, web)


# A count of lines is always there and always a number.
not_of_lines = pytest.mark.parametrize("world", ["prometheus", "http", "command"], indirect=True)


async def _measured(source: Source, id: str = "m-1") -> Measurement:
    """Take a measurement to its end, as the coordinator does."""
    measurement = await source.run(id)
    async with asyncio.timeout(20):
        while measurement.state == "running":
            assert measurement.resume_at is not None
            await asyncio.sleep(0.1)
            # As over a restart: what is known of it is its JSON.
            kept = json.loads(json.dumps(measurement.to_json()))
            measurement = await source.resume(Measurement.from_json(kept))
    return measurement


@pytest.mark.parametrize(("value", "word"), [(3.0, "good"), (50.0, "bad")])
async def test_a_value_is_compared_with_the_limits(world: World, value: float, word: str) -> None:
    world.say(value)
    found = await _measured(world.source())
    assert (found.word, found.state) == (word, "done")
    assert found.value == pytest.approx(value, rel=0.15)
    assert found.finished_at is not None
    assert found.finished_at >= found.started_at


async def test_too_little_is_bad_too(world: World) -> None:
    world.say(0.0)
    assert (await _measured(world.source())).word == "bad"


@not_of_lines
async def test_no_value_is_unknown(world: World) -> None:
    world.say(None)
    found = await _measured(world.source())
    assert (found.word, found.value) == ("unknown", None)


@not_of_lines
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
async def test_what_is_no_number_is_unknown(world: World, value: float) -> None:
    world.say(value)
    found = await _measured(world.source())
    assert (found.word, found.value) == ("unknown", None)
    json.dumps(found.to_json(), allow_nan=False)


async def test_what_cannot_be_asked_is_unavailable(world: World) -> None:
    world.say(3.0, broken=True)
    found = await _measured(world.source())
    assert (found.word, found.value) == ("unavailable", None)
    assert found.reason


async def test_what_takes_too_long_is_unavailable(world: World) -> None:
    world.say(3.0, slow=True)
    found = await _measured(world.source())
    assert found.word == "unavailable"


async def test_what_is_done_stays_as_it_is(world: World) -> None:
    world.say(3.0)
    source = world.source()
    found = await _measured(source)
    world.say(50.0)
    assert await source.resume(found) == found
    assert await source.terminate(found) == found


async def test_one_that_is_called_off_ends_without_a_value(world: World) -> None:
    world.say(3.0, slow=world.kind == "command")
    source = world.source()
    begun = await source.run("m-1")
    ended = await source.terminate(begun)
    assert ended.state == "done"
    if begun.state == "running":
        assert (ended.word, ended.value) == ("unknown", None)
    await source.collect([])


async def test_collecting_forgets_what_nobody_keeps(world: World) -> None:
    world.say(3.0, slow=world.kind == "command")
    source = world.source()
    begun = await source.run("m-1")
    await source.collect([begun])
    assert getattr(source, "_tasks", {}).keys() == ({"m-1"} if world.kind == "command" else set())
    await source.collect([])
    assert not getattr(source, "_tasks", {})


async def test_no_secret_is_told(world: World) -> None:
    world.say(3.0, broken=True)
    source = world.source()
    if world.kind in ("prometheus", "http"):
        secret = f"http://name:hush@127.0.0.1:{world.web.port}/p?token=hush"
        source.spec = source.spec.model_copy(update={"url": secret})
    found = await _measured(source)
    assert found.word == "unavailable"
    assert "hush" not in json.dumps(found.to_json())


async def test_a_command_goes_on_after_a_restart_under_the_same_name() -> None:
    async with serving() as web:
        world = World("command", web)
        world.say(3.0, slow=True)
        first = world.source()
        begun = await first.run("m-7")
        assert begun.state == "running"
        await first.collect([])
        world.say(3.0)
        found = await world.source().resume(begun)
        assert (found.word, found.value) == ("good", 3.0)
        assert world.ran == ["m-7", "m-7"]


def _spec(**told: object) -> MetricSpec:
    return MetricSpec.model_validate(
        {"name": "m", "source": "command", "command": ("x",), "max": 5, **told}
    )


def _some(*words: str) -> list[Measurement]:
    return [
        Measurement(f"m-{n}", "done", 1.0, 2.0, value=1.0, word=word, reason=word)  # type: ignore[arg-type]
        for n, word in enumerate(words)
    ]


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ((), "unknown"),
        (("good",), "good"),
        (("bad", "bad"), "unknown"),
        (("good", "bad", "bad"), "good"),
        (("bad", "good", "bad", "bad"), "bad"),
        (("good", "unavailable"), "unavailable"),
        (("unavailable", "unknown"), "unknown"),
        (("unavailable", "good"), "good"),
    ],
)
def test_measurements_together(words: tuple[str, ...], verdict: str) -> None:
    found = judged(_spec(), _some(*words))
    assert found.word == verdict
    assert found.reason
    assert found.evidence["measurements"]["bad"] == words.count("bad")


def test_a_dry_run_decides_nothing() -> None:
    found = judged(_spec(dry_run=True), _some("bad", "bad", "bad"))
    assert (found.word, found.decides) == ("bad", False)
