"""The keeper: it runs one app, restarts it, logs for it, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from tests.agent.conftest import Kept, eventually, kill, runs
from turnout.agent.keeplog import LINE_LIMIT, RATE_BYTES, Lines, Log

FOREVER = "import time\nwhile True: time.sleep(60)\n"


def test_it_runs_the_app_and_stops_it(kept: Kept) -> None:
    kept.start("import time; print('hello')\nwhile True: time.sleep(60)")
    status = kept.status()
    assert status["state"] == "running"
    eventually(lambda: "hello" in kept.lines("out"))
    assert runs(status["pid"])
    assert kept.stop(grace=5) < 2
    assert not runs(status["pid"])
    assert kept.pid is None
    assert kept.status()["state"] == "stopped"


def test_the_environment_is_what_was_given_and_nothing_else(kept: Kept) -> None:
    os.environ["SECRET_OF_THE_AGENT"] = "x"
    try:
        kept.start("import os, json, time; print(json.dumps(dict(os.environ))); time.sleep(60)")
    finally:
        del os.environ["SECRET_OF_THE_AGENT"]
    environment = json.loads(eventually(lambda: kept.lines("out"))[0])
    environment.pop("LC_CTYPE", None)  # the app's own interpreter sets it
    assert environment == {"PATH": os.environ["PATH"], "HOME": str(kept.directory / "home")}


def test_standard_input_is_empty_and_no_descriptor_leaks(kept: Kept) -> None:
    kept.start(
        "import os, sys, time\n"
        "print('in', repr(sys.stdin.read()))\n"
        "print('fds', sorted(map(int, os.listdir('/proc/self/fd')))[:4])\n"
        "time.sleep(60)"
    )
    lines = eventually(lambda: (found := kept.lines("out")) and len(found) == 2 and found)
    assert lines == ["in ''", "fds [0, 1, 2, 3]"]  # the fourth reads the directory


def test_a_crash_is_restarted_with_growing_pauses(kept: Kept) -> None:
    kept.start("import sys; print('boom', file=sys.stderr); sys.exit(3)")
    status = eventually(lambda: (s := kept.status())["crashes"] >= 3 and s)
    assert status["exit_code"] == 3
    assert status["restarts"] >= 3
    assert kept.lines("err").count("boom") >= 3
    pauses = [line.split()[-2] for line in kept.lines("turnout") if "starts again" in line]
    assert pauses[:3] == ["0.1", "0.2", "0.4"]


def test_a_command_that_cannot_be_executed_is_named(kept: Kept) -> None:
    kept.start(["no-such-program-at-all"])
    status = kept.status()
    assert "no-such-program-at-all: No such file or directory" in status["error"]


def test_an_app_that_ignores_sigterm_is_killed_after_its_grace(kept: Kept) -> None:
    kept.start(
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('up')\ntime.sleep(60)"
    )
    eventually(lambda: "up" in kept.lines("out"))
    pid = kept.status()["pid"]
    assert 0.5 <= kept.stop(grace=0.5) < 2
    assert not runs(pid)
    assert any("killed" in line for line in kept.lines("turnout"))


def test_children_in_sessions_of_their_own_are_ended_too(kept: Kept) -> None:
    kept.start(
        "import subprocess, sys, time\n"
        "for _ in range(2):\n"
        "    p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " start_new_session=True)\n"
        "    print(p.pid)\n"
        "time.sleep(60)"
    )
    lines = eventually(lambda: len(x := kept.lines("out")) == 2 and x)
    pids = [int(line) for line in lines]
    assert kept.stop(grace=3) < 2
    assert not any(runs(pid) for pid in pids)


def test_orphans_of_a_crashed_app_do_not_outlive_it(kept: Kept) -> None:
    kept.start(
        "import os, subprocess, sys\n"
        "p = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "print(p.pid); sys.stdout.flush(); os._exit(1)\n"
    )
    first = int(eventually(lambda: kept.lines("out"))[0])
    eventually(lambda: not runs(first))


def test_the_app_dies_with_its_keeper(kept: Kept) -> None:
    kept.start(FOREVER)
    app, keeper = kept.status()["pid"], kept.pid
    assert keeper
    kill(keeper)
    eventually(lambda: not runs(app))
    assert kept.pid is None


def test_memory_over_the_limit_kills_the_app(kept: Kept) -> None:
    kept.start(
        "import time; x = b'x' * (200 << 20); print(len(x)); time.sleep(60)",
        memory_bytes=64 << 20,
    )
    line = eventually(lambda: [x for x in kept.lines("turnout") if "MiB: killed" in x])[0]
    assert "more than its 64 MiB" in line
    eventually(lambda: kept.status()["exit_code"] == -9)


def test_a_taken_port_ends_the_keeper_and_says_so(kept: Kept) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        kept.start(FOREVER, port=taken.getsockname()[1])
        eventually(lambda: kept.pid is None)
        assert kept.status()["state"] == "port-taken"


def test_long_lines_and_bad_text_are_kept_readable(kept: Kept) -> None:
    kept.start(
        "import sys, time\n"
        "sys.stdout.buffer.write(b'a' * 100000 + b'\\n' + b'\\xff\\xfe\\n' + b'no end')\n"
        "sys.stdout.flush(); time.sleep(0.2); sys.exit(1)"
    )
    lines = eventually(lambda: len(x := kept.lines("out")) >= 3 and x)
    assert lines[0] == "a" * LINE_LIMIT + f" [{100000 - LINE_LIMIT} bytes more]"
    assert lines[1] == "\ufffd\ufffd"
    assert lines[2] == "no end"


def test_a_flood_of_output_neither_stops_the_app_nor_fills_the_disk(kept: Kept) -> None:
    kept.start(
        "import sys, time\n"
        "block = b'x' * 99 + b'\\n'\n"
        "for _ in range(4000): sys.stdout.buffer.write(block * 100)\n"
        "sys.stdout.flush(); open('done', 'w').close(); time.sleep(60)"
    )
    eventually(lambda: (kept.directory / "cwd" / "done").exists(), seconds=30)
    used = sum(path.stat().st_size for path in (kept.directory / "logs").iterdir())
    assert used < 20 << 20


def test_rotation_keeps_a_bounded_number_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnout.agent.keeplog.SEGMENT_BYTES", 1000)
    log = Log(str(tmp_path))
    for number in range(200):
        log.write("out", [f"line {number}"])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 4
    assert json.loads((tmp_path / names[-1]).read_text().splitlines()[-1])["text"] == "line 199"
    again = Log(str(tmp_path))
    again.write("out", ["after"])
    assert "after" in (tmp_path / names[-1]).read_text()


def test_a_half_written_line_is_closed_by_the_next_keeper(tmp_path: Path) -> None:
    (tmp_path / "00000007.jsonl").write_text('{"at": 1, "text": "cut o')
    Log(str(tmp_path)).write("out", ["whole"])
    last = (tmp_path / "00000007.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["text"] == "whole"


def test_lines_over_the_rate_are_counted_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnout.agent.keeplog.time.monotonic", lambda: 5.0)
    lines = Lines()
    kept = [text for _ in range(200) for text in lines.feed(b"y" * 65535 + b"\n")]
    assert len(kept) == RATE_BYTES // 65536
    monkeypatch.setattr("turnout.agent.keeplog.time.monotonic", lambda: 6.0)
    note, line = lines.feed(b"again\n")
    assert "bytes of output were dropped" in note
    assert line == "again"
