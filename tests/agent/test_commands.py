"""Commands under real keepers: run once, waited for, told again, and never begun twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agent.conftest import kill, runs
from tests.packages.workbench import SCOPE, Workbench
from turnout.agent import keepers, records
from turnout.agent.commandfiles import LINE_CHARS, CommandFiles, Outcome
from turnout.agent.commands import KEPT_S, Commands
from turnout.agent.paths import Layout
from turnout.agent.trees import Trees
from turnout.base.errors import Conflict, Failed, NotFound, Unreachable
from turnout.packages.walking import list_files
from turnout.wire import agent as wire

pytestmark = [pytest.mark.anyio, pytest.mark.real]
REVISION = "0123456789abcdef"
COUNT = "import os, sys; open(os.environ['RAN'], 'a').write('once\\n'); "
WAIT = "import time; print('waiting', flush=True); time.sleep(600)"


class House:
    """One agent's commands, over a release that is held."""

    def __init__(self, root: Path) -> None:
        bench = Workbench(root)
        self.release = bench.release("one", {"data.txt": b"of the release"})
        bench.receive(bench.seal(self.release))
        self.layout = Layout(root / "data", root / "run")
        self.layout.make()
        self.trees = Trees(self.layout, bench.host)
        self.held = bench.host.tree(self.release)
        self.ran = root / "ran"
        self.commands = Commands(self.layout, self.trees)

    def restarted(self) -> Commands:
        """Return what an agent does that starts after this one was killed."""
        self.commands = Commands(self.layout, self.trees)
        self.commands.sweep()
        self.commands.adopt()
        return self.commands

    def wanted(self, program: str, id: str = "migrate-1", **more: object) -> wire.CommandWanted:
        return wire.CommandWanted.model_validate(
            {
                "scope": SCOPE,
                "id": id,
                "revision": REVISION,
                "release": self.release,
                "command": (sys.executable, "-c", program),
                "variables": {"RAN": str(self.ran), "SECRET": "quite-secret"},
                "timeout": 60.0,
                **more,
            }
        )

    def files(self, id: str = "migrate-1") -> CommandFiles:
        return CommandFiles(self.layout.command(SCOPE, id))

    def times(self) -> int:
        return len(self.ran.read_text().splitlines()) if self.ran.exists() else 0

    async def begin(self, wanted: wire.CommandWanted) -> asyncio.Task[wire.CommandResult]:
        """Return the task that asks for a command, which has begun by then."""
        asking = asyncio.create_task(self.commands.run(wanted))
        async with asyncio.timeout(10):
            while not self.times():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.01)
        return asking

    def app(self) -> int:
        """Return the process of the command that runs."""
        return int(json.loads((self.files().directory / "status.json").read_text())["pid"])


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    found = House(tmp_path)
    yield found
    await found.commands.halt()


async def ended(asking: asyncio.Task[wire.CommandResult]) -> None:
    await asyncio.gather(asking, return_exceptions=True)


async def test_it_runs_in_a_private_copy_with_an_environment_of_its_own(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_AGENT", "none of its business")
    found = await house.commands.run(
        house.wanted(
            "import os, sys, json; print(open('data.txt').read());"
            "open('data.txt', 'w').write('changed'); print(os.getcwd(), file=sys.stderr);"
            "print(json.dumps(dict(os.environ))); sys.exit(3)"
        )
    )
    assert (found.exit_code, found.timed_out) == (3, False)
    assert found.took_s > 0
    assert "of the release" in found.tail
    assert str(house.files().tree) in found.tail
    given = json.loads(next(line for line in found.tail if line.startswith("{")))
    expected = {"PATH", "LANG", "HOME", "TMPDIR", "RAN", "SECRET", "LC_CTYPE"}
    expected |= {f"TURNOUT_{name}" for name in ("PROJECT", "ENVIRONMENT", "RELEASE")}
    assert set(given) | {"LC_CTYPE"} == expected
    assert (house.held / "data.txt").read_bytes() == b"of the release"


async def test_what_is_left_of_it_holds_no_variables(house: House) -> None:
    await house.commands.run(house.wanted("print('done')"))
    (left,) = list_files(house.layout.commands)
    text = (house.layout.commands / left).read_text()
    assert "done" in text
    assert "quite-secret" not in text


async def test_asked_again_it_is_told_again_and_not_run_again(house: House) -> None:
    wanted = house.wanted(COUNT + "print('done')")
    first, second = await asyncio.gather(house.commands.run(wanted), house.commands.run(wanted))
    again = await house.restarted().run(wanted)
    assert first == second == again
    assert again.tail == ("done",)
    assert house.times() == 1
    await house.commands.run(house.wanted(COUNT, id="migrate-2"))
    assert house.times() == 2


async def test_an_id_names_one_command(house: House) -> None:
    asking = await house.begin(house.wanted(COUNT + WAIT))
    with pytest.raises(Conflict):
        await house.commands.run(house.wanted("print('another')"))
    kill(house.app())
    assert (await asking).exit_code == -9
    with pytest.raises(Conflict):
        await house.restarted().run(house.wanted("print('another')"))


async def test_a_caller_that_goes_away_leaves_it_running(house: House) -> None:
    wanted = house.wanted(COUNT + "print('waiting', flush=True); sys.stdin.read()\n" + WAIT)
    asking = await house.begin(wanted)
    asking.cancel()
    await ended(asking)
    assert runs(house.app())
    asking = asyncio.create_task(house.commands.run(wanted))
    kill(house.app())
    assert (await asking).exit_code == -9
    assert house.times() == 1


async def test_the_next_agent_waits_for_what_the_one_before_began(house: House) -> None:
    go_on = house.layout.data / "go"
    wanted = house.wanted(
        COUNT + f"import time, pathlib\nwhile not pathlib.Path({str(go_on)!r}).exists():"
        " time.sleep(0.01)\nprint('went on')"
    )
    asking = await house.begin(wanted)
    asking.cancel()
    await ended(asking)
    asking = asyncio.create_task(house.restarted().run(wanted))
    go_on.touch()
    found = await asking
    assert (found.exit_code, found.tail) == (0, ("went on",))
    assert house.times() == 1


async def test_what_ended_while_no_agent_was_there_is_told(house: House) -> None:
    files = house.files()
    wanted = house.wanted(COUNT + "print('alone')")
    await house.trees.copy(house.release, files.tree)
    files.prepare(wanted)
    await keepers.start(files.spec, files.directory / "keeper.err")
    await keepers.ended(files.lock)
    commands = house.restarted()
    found = await commands.run(wanted)
    assert (found.exit_code, found.tail) == (0, ("alone",))
    assert house.times() == 1
    assert not files.directory.exists()


async def test_two_keepers_of_one_command_begin_it_once(house: House) -> None:
    files = house.files()
    await house.trees.copy(house.release, files.tree)
    files.prepare(house.wanted(COUNT))
    await keepers.start(files.spec, files.directory / "keeper.err")
    await keepers.ended(files.lock)
    with pytest.raises(Failed):
        await keepers.start(files.spec, files.directory / "keeper.err")
    assert house.times() == 1


async def test_what_was_prepared_and_never_begun_is_run_when_asked_again(house: House) -> None:
    files = house.files()
    await house.trees.copy(house.release, files.tree)
    wanted = house.wanted(COUNT)
    files.prepare(wanted)
    commands = house.restarted()
    assert house.times() == 0
    assert (await commands.run(wanted)).exit_code == 0
    assert house.times() == 1


async def test_what_was_killed_with_its_keeper_is_not_known_and_not_run_again(
    house: House,
) -> None:
    wanted = house.wanted(COUNT + WAIT)
    asking = await house.begin(wanted)
    app, keeper = house.app(), keepers.holder(house.files().lock)
    assert keeper
    kill(keeper)
    for call in (asking, house.commands.run(wanted), house.restarted().run(wanted)):
        with pytest.raises(Failed, match="not known how") as caught:
            await call
        assert caught.value.facts == {"final": True}
        assert caught.value.next_step
    assert house.times() == 1
    assert not runs(app)
    assert not house.files().directory.exists()


async def test_what_a_halt_ended_is_not_known(house: House) -> None:
    asking = await house.begin(house.wanted(COUNT + WAIT))
    app = house.app()
    await house.commands.halt()
    with pytest.raises(Failed, match="not known how"):
        await asking
    assert not runs(app)


async def test_one_that_takes_too_long_is_ended_with_all_it_started(house: House) -> None:
    program = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'input()'],"
        "stdin=subprocess.PIPE, start_new_session=True); print(child.pid, flush=True);"
        "import time; time.sleep(600)"
    )
    found = await house.commands.run(house.wanted(program, timeout=0.5))
    assert found.timed_out
    assert found.exit_code == -15
    assert not runs(int(found.tail[0]))


async def test_a_program_that_is_not_there_says_so(house: House) -> None:
    found = await house.commands.run(house.wanted("", command=("no-such-program",)))
    assert found.exit_code == 127
    assert "no-such-program: No such file" in found.tail[-1]


async def test_without_the_release_nothing_is_left(house: House) -> None:
    with pytest.raises(NotFound):
        await house.commands.run(house.wanted("pass", release="f" * 64))
    assert list(house.layout.commands.iterdir()) == []
    # It may be asked again once the release is there.
    assert (await house.commands.run(house.wanted("pass"))).exit_code == 0


async def test_only_the_last_lines_are_told(house: House) -> None:
    found = await house.commands.run(house.wanted("for i in range(1000): print(i)"))
    assert found.tail == tuple(str(i) for i in range(980, 1000))


async def test_a_result_goes_with_its_revision_or_with_time(house: House) -> None:
    wanted = house.wanted(COUNT)
    await house.commands.run(wanted)
    await house.commands.prune(SCOPE, {REVISION})
    await house.restarted().run(wanted)
    assert house.times() == 1
    outcome = house.files().outcome()
    assert outcome
    records.write(house.files().end, outcome.model_copy(update={"at": time.time() - KEPT_S - 1}))
    house.restarted()
    assert list(house.layout.commands.iterdir()) == []
    await house.commands.run(wanted)
    await house.commands.prune(SCOPE, ())
    assert list(house.layout.commands.iterdir()) == []


async def test_a_prune_lets_run_what_runs(house: House) -> None:
    asking = await house.begin(house.wanted(COUNT + WAIT))
    await house.commands.prune(SCOPE, ())
    assert runs(house.app())
    kill(house.app())
    assert (await asking).exit_code == -9


async def test_halves_that_a_crash_left_are_swept(house: House) -> None:
    files = house.files()
    await house.trees.copy(house.release, files.tree)  # the record was not written
    half = files.directory.with_name(".part-other-12345678")
    half.mkdir()
    done = house.files("migrate-2")  # how it ended was written, its directory still there
    done.tree.mkdir(parents=True)
    records.write(
        done.end,
        Outcome(
            revision=REVISION,
            release=house.release,
            command="",
            at=time.time(),
            result=wire.CommandResult(exit_code=0),
        ),
    )
    house.restarted()
    assert os.listdir(house.files().directory.parent) == ["migrate-2.json"]


async def test_what_it_wrote_is_told_without_secrets_and_without_end(house: House) -> None:
    program = (
        "import os; print('I know', os.environ['SECRET']); print('at db://ada:hunter2@db/shop');"
        "print('x' * 16000)"
    )
    found = await house.commands.run(house.wanted(program))
    assert found.tail[0] == "I know [redacted]"
    assert found.tail[1] == "at db://[redacted]@db/shop"
    assert len(found.tail[2]) == LINE_CHARS
    assert "quite-secret" not in house.files().end.read_text()


async def test_a_keeper_that_is_too_slow_begins_nothing_later(house: House) -> None:
    files = house.files()
    await house.trees.copy(house.release, files.tree)
    files.prepare(house.wanted(COUNT))
    with pytest.raises(Failed):
        await keepers.start(files.spec, files.directory / "keeper.err", deadline=0.0)
    # Whoever was told so may do something else by now; what still runs would be asked for here.
    assert not any(str(files.spec).encode() in words for words in command_lines())
    assert not files.begun
    assert house.times() == 0


async def test_a_halt_lets_nothing_begin_that_is_still_copied(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying, go_on = asyncio.Event(), asyncio.Event()
    copy = house.trees.copy

    async def slow(release: str, root: Path) -> None:
        copying.set()
        await go_on.wait()
        await copy(release, root)

    monkeypatch.setattr(house.trees, "copy", slow)
    wanted = house.wanted(COUNT)
    asking = asyncio.create_task(house.commands.run(wanted))
    await copying.wait()
    halting = asyncio.create_task(house.commands.halt())
    await asyncio.sleep(0)
    go_on.set()
    await halting
    with pytest.raises(Unreachable):
        await asking
    assert house.times() == 0
    assert (await house.restarted().run(wanted)).exit_code == 0
    assert house.times() == 1


def command_lines() -> list[bytes]:
    """Return the words of the command line of every process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes())
    return found
