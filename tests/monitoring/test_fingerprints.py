"""The same error has the same fingerprint whatever numbers it holds; others have others."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.monitoring.fingerprints import fingerprint, grouped, normalised, occurrences
from turnout.monitoring.loglevels import LEVELS, at_least, level_of
from turnout.wire.agent import LogLine

PYTHON = """\
Traceback (most recent call last):
  File "/srv/{host}/app/views.py", line {n}, in get
    return items[{n}]
  File "/srv/{host}/app/items.py", line 7, in find
    raise KeyError({n})
{error}"""
NODE = """\
TypeError: Cannot read properties of undefined (reading 'id{n}')
    at load (/srv/{n}/app/server.js:{n}:5)
    at async Server.<anonymous> (/srv/{n}/app/server.js:10:{n})"""


def _lines(*texts: str, at: float = 0.0, index: int = 0, revision: str = "a" * 16) -> list[LogLine]:
    return [
        LogLine(
            at=at + n, scope="shop/production", revision=revision, index=index,
            stream="err", text=text,
        )
        for n, text in enumerate(text for block in texts for text in block.split("\n"))
    ]  # fmt: skip


def _on(host: str, lines: list[LogLine]) -> list[tuple[str, LogLine]]:
    return [(host, line) for line in lines]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("timeout after 30 s", "timeout after 1500 s"),
        ("user 3fa85f64-5717-4562-b3fc-2c963f66afa6 not found",
         "user 00000000-0000-4562-b3fc-2c963f66af00 not found"),
        ("bad pointer 0xdeadbeef", "bad pointer 0x01"),
        ("object 5f3a9c1de0 is gone", "object a93bb7c400 is gone"),
        ("cannot open /srv/a/one.txt", "cannot open /var/lib/b/two.txt"),
        ("no column \"price\"", "no column \"total\""),
        ("no column 'price'", "no column 'total'"),
        ("GET https://a.example/x?y=1 failed", "GET http://b.example:80/z failed"),
        ("mail to a@b.example bounced", "mail to c.d@e.example bounced"),
        ("10.0.0.1:80 refused", "192.168.7.44:8443 refused"),
        ("at 2026-01-02T03:04:05.678Z it broke", "at 2025-11-12 13:14:15+02:00 it broke"),
        ("error   in a\tjob", "error in a job"),
    ],
)  # fmt: skip
def test_what_differs_from_time_to_time_makes_no_difference(a: str, b: str) -> None:
    assert fingerprint(a) == fingerprint(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("timeout of the database", "timeout of the cache"),
        ("HTTP v1 failed", "HTTP v2 failed"),
        ("effaced", "defaced"),
        (PYTHON.format(host="a", n=1, error="KeyError: 1"),
         PYTHON.format(host="a", n=1, error="ValueError: 1")),
        (PYTHON.format(host="a", n=1, error="KeyError: 1"),
         PYTHON.format(host="a", n=1, error="KeyError: 1").replace("in find", "in search")),
    ],
)  # fmt: skip
def test_what_is_another_error_stays_another(a: str, b: str) -> None:
    assert fingerprint(a)[0] != fingerprint(b)[0]


@given(st.text(max_size=300))
def test_any_text_has_one(text: str) -> None:
    assert fingerprint(text) == fingerprint(text)
    assert normalised(normalised(text)) is not None
    assert level_of(text) in (None, *LEVELS)


@pytest.mark.parametrize(
    "text",
    ["/" * 100_000, "    at " + "a (" * 30_000, "1." * 50_000, "a@" * 50_000, "'" * 99_999,
     "f" * 100_000, "{" * 100_000 + "}", '  File "' * 20_000],
)  # fmt: skip
def test_no_line_takes_long(text: str) -> None:
    begun = time.monotonic()
    fingerprint(f"Error: x\n{text}")
    grouped(_on("one", _lines(f"ERROR {text}")))
    assert time.monotonic() - begun < 1


def test_a_stack_is_one_error_wherever_it_happens() -> None:
    one = _lines("INFO fine", PYTHON.format(host="one", n=3, error="KeyError: 3"), "INFO again")
    two = _lines(PYTHON.format(host="two", n=99, error="KeyError: 99"), at=100, revision="b" * 16)
    (group,) = grouped([*_on("one", one), *_on("two", two)])
    assert (group.count, group.title, group.level) == (2, "KeyError: <n>", "error")
    assert (group.first_at, group.last_at) == (1.0, 100.0)
    assert group.revisions == {"a" * 16: 1, "b" * 16: 1}
    assert group.hosts == {"one": 1, "two": 1}
    assert group.example == PYTHON.format(host="two", n=99, error="KeyError: 99")


def test_stacks_of_node_and_java() -> None:
    java = (
        'Exception in thread "main" java.lang.IllegalStateException: no {n}\n'
        "\tat a.b.C.run(C.java:{n})\n\t... 3 more\nCaused by: java.io.IOException: x\n"
        "\tat a.b.D.read(D.java:1)"
    )
    lines = _lines(NODE.format(n=1), NODE.format(n=2), java.format(n=3), java.format(n=4))
    assert [(group.count, len(group.example.split("\n"))) for group in grouped(_on("one", lines))] \
        == [(2, 5), (2, 3)]  # fmt: skip


def test_a_chained_exception_belongs_to_its_stack() -> None:
    first = PYTHON.format(host="one", n=3, error="KeyError: 3")
    chain = f"{first}\n\nDuring handling of the above exception, another exception occurred:\n\n"
    chain += PYTHON.format(host="one", n=4, error="RuntimeError: so")
    (found,) = occurrences(_on("one", _lines(chain, "INFO fine")))
    assert found.text == chain
    assert fingerprint(found.text)[1] == "RuntimeError: so"


def test_lines_of_two_instances_do_not_mix() -> None:
    zero = _lines(PYTHON.format(host="one", n=1, error="KeyError: 1"), index=0)
    one = _lines(PYTHON.format(host="one", n=2, error="KeyError: 2"), index=1)
    mixed = [line for pair in zip(zero, one, strict=True) for line in pair]
    assert [group.count for group in grouped(_on("one", mixed))] == [2]


def test_errors_as_json() -> None:
    lines = _lines(
        '{"level":50,"msg":"order 7 failed","err":{"message":"no stock","stack":"x"}}',
        '{"level":"error","msg":"order 8 failed","err":{"message":"no stock","stack":"x"}}',
        '{"level":"info","msg":"order 9 failed"}',
    )
    (group,) = grouped(_on("one", lines))
    assert (group.count, group.title) == (2, "order <n> failed: no stock")


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("2026-01-02 ERROR something", "error"),
        ("[error] 12#0: *1 open() failed", "error"),
        ("level=warn msg=x", "warning"),
        ("E0102 03:04:05.678901 1 main.go:7] x", "error"),
        ("WARNING: x", "warning"),
        ("error: x", "error"),
        ("panic: runtime error", "error"),
        ("Traceback (most recent call last):", "error"),
        ("ValueError: x", "error"),
        ("java.lang.IllegalStateException: x", "error"),
        ('{"severity": "CRITICAL"}', "critical"),
        ('{"level": 30}', "info"),
        ('{"level": 50, "msg": "x"}', "error"),
        ('{"log": {"level": "debug"}}', "debug"),
        ('{"message": "ERROR"}', None),
        ("GET /errors 200", None),
        ("no errors were found", None),
        ("", None),
        ("{", None),
    ],
)
def test_levels(text: str, level: str | None) -> None:
    assert level_of(text) == level


def test_what_tells_no_level_counts_as_information() -> None:
    assert at_least(None, "info")
    assert not at_least(None, "warning")
