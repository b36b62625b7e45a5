"""Real Envoy: it outlives the agent, comes back after a kill, and says why it cannot start."""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.routers.sites import OLD, OLD_RELEASE, backend, site
from tests.routers.upstream import Client, Upstream, ask_once, free_port
from turnout.base.errors import Conflict, Failed
from turnout.routers import envoy_logs, envoy_process
from turnout.routers.envoy import EnvoyRouter
from turnout.routers.envoy_command import base_id
from turnout.routers.port import HeaderRule
from turnout.routers.processes import Detached

pytestmark = [pytest.mark.anyio, pytest.mark.real]

Apps = tuple[Upstream, Upstream]
NewRouter = Callable[[], EnvoyRouter]


def pid_of(directory: Path) -> int:
    holder = Detached("Envoy", directory / "run" / "envoy.lock").holder()
    assert holder is not None
    return holder.pid


async def test_a_new_object_adopts_the_process_and_its_streams(
    router: EnvoyRouter, new_router: NewRouter, port: int, short_dir: Path, apps: Apps
) -> None:
    await router.apply([site(backend(OLD, apps[0].address))])
    stream = Client(port)
    await stream.head("GET", "/events")
    before = pid_of(short_dir)

    adopted = new_router()
    await adopted.start()
    assert pid_of(short_dir) == before
    assert os.getsid(before) == before
    assert (await stream.event()).startswith("old")
    await adopted.apply([site(backend(OLD, apps[1].address))])
    assert b'"new"' in (await ask_once(port, "shop.test")).body
    await stream.close()


async def test_another_port_moves_it_and_keeps_its_state(
    router: EnvoyRouter, port: int, short_dir: Path, apps: Apps
) -> None:
    await router.apply([site(backend(OLD, apps[0].address))])
    other = free_port()
    moved = EnvoyRouter(short_dir / "state", short_dir / "run", ("127.0.0.1", other))
    outdated = [router.outdated, moved.outdated]
    await moved.start()
    assert [*outdated, moved.outdated] == [False, True, False]
    assert (await ask_once(other, "shop.test")).status == 200
    with pytest.raises(OSError, match=str(port)):
        await ask_once(port, "shop.test")


async def test_after_a_kill_it_comes_back_with_the_same_state(
    router: EnvoyRouter, new_router: NewRouter, port: int, short_dir: Path, apps: Apps
) -> None:
    applied = await router.apply([site(backend(OLD, apps[0].address))])
    os.kill(pid_of(short_dir), signal.SIGKILL)
    assert await Detached("Envoy", short_dir / "run" / "envoy.lock").wait_gone(5)
    assert not await router.alive()
    with pytest.raises(Failed, match="does not run"):
        await router.apply([])

    again = new_router()
    await again.start()
    answer = await ask_once(port, "shop.test")
    assert answer.headers["x-turnout-release"] == OLD_RELEASE
    same = await again.apply([site(backend(OLD, apps[0].address))])
    assert same.version == applied.version


async def test_damaged_files_do_not_keep_it_from_starting(
    router: EnvoyRouter, new_router: NewRouter, port: int, short_dir: Path, apps: Apps
) -> None:
    await router.apply([site(backend(OLD, apps[0].address))])
    await router.stop()
    (short_dir / "state" / "clusters.json").write_bytes(b"")
    again = new_router()
    await again.start()
    assert (await ask_once(port, "shop.test")).status in {404, 503}
    await again.apply([site(backend(OLD, apps[0].address))])
    assert (await ask_once(port, "shop.test")).status == 200


async def test_a_process_that_hangs_is_replaced(
    router: EnvoyRouter,
    new_router: NewRouter,
    short_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = pid_of(short_dir)
    os.kill(before, signal.SIGSTOP)
    monkeypatch.setattr(envoy_process, "START_TIMEOUT_S", 3.0)
    monkeypatch.setattr(envoy_process, "_STOP_GRACE_S", 0.1)
    again = new_router()
    again._admin._timeout_s = 0.2
    await again.start()
    assert pid_of(short_dir) != before


async def test_a_taken_port_is_named(new_router: NewRouter, port: int, short_dir: Path) -> None:
    taken = socket.create_server(("127.0.0.1", port))
    with taken, pytest.raises(Conflict, match="port is taken") as caught:
        await new_router().start()
    assert str(port) in str(caught.value)
    assert caught.value.next_step
    assert os.listdir(short_dir / "run") == ["envoy.lock"]


async def test_a_missing_binary_is_named(short_dir: Path, port: int) -> None:
    missing = short_dir / "no-envoy"
    router = EnvoyRouter(
        short_dir / "state", short_dir / "run", ("127.0.0.1", port), binary=missing
    )
    with pytest.raises(Failed, match="no-envoy") as caught:
        await router.start()
    assert "TURNOUT_ENVOY" in caught.value.next_step


async def test_a_program_that_is_no_envoy_is_refused(short_dir: Path, port: int) -> None:
    router = EnvoyRouter(
        short_dir / "state", short_dir / "run", ("127.0.0.1", port), binary=Path("/bin/true")
    )
    with pytest.raises(Failed, match="cannot be used"):
        await router.start()


async def test_what_envoy_refuses_leaves_the_old_state(
    router: EnvoyRouter,
    new_router: NewRouter,
    port: int,
    apps: Apps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = [site(backend(OLD, apps[0].address))]
    applied = await router.apply(good)
    # Past our own checks, so that Envoy itself has to refuse it.
    monkeypatch.setattr("turnout.routers.envoy.check", lambda sites: None)
    bad = backend(OLD, apps[0].address, headers=(HeaderRule("*", "host", "x"),))
    with pytest.raises(Failed, match="refused the change"):
        await router.apply([site(bad)])
    assert (await ask_once(port, "shop.test")).status == 200
    assert (await router.apply(good)).version == applied.version
    adopted = new_router()
    await adopted.start()


async def test_what_it_leaves_is_private_and_goes_with_it(
    router: EnvoyRouter, short_dir: Path
) -> None:
    await router.apply([])
    for path in [*short_dir.rglob("*")]:
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path
    environment = Path(f"/proc/{pid_of(short_dir)}/environ").read_bytes()
    assert environment.rstrip(b"\0").split(b"\0") == [b"PATH=/usr/bin:/bin"]
    memory = Path(f"/dev/shm/envoy_shared_memory_{base_id(short_dir / 'state')}0")
    assert memory.exists()
    await router.stop()
    assert not memory.exists()
    assert os.listdir(short_dir / "run") == ["envoy.lock"]


async def test_its_log_does_not_grow_for_ever(
    router: EnvoyRouter, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy_logs, "LOG_LIMIT_BYTES", 1000)
    log = short_dir / "state" / "envoy.log"
    with log.open("ab") as stream:
        stream.write(b"x" * 2000)
    assert await router.alive()
    assert log.with_suffix(".log.1").stat().st_size >= 2000
    # Envoy opens the new one with the next line that it writes, here its farewell.
    await router.stop()
    assert log.stat().st_size in range(1, 1000)
