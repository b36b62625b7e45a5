"""Messages between a process and its helpers: whole, or the end of the conversation."""

from __future__ import annotations

import io
import marshal

import pytest

from turnout.packages import helping


def test_messages_come_out_as_they_went_in_one_after_the_other() -> None:
    pipe = io.BytesIO()
    helping.send(pipe, ("a", [1, 2**40], None))
    helping.send_bytes(pipe, memoryview(b"packed"))
    helping.send(pipe, [])
    pipe.seek(0)
    assert helping.receive(pipe) == ("a", [1, 2**40], None)
    assert helping.receive_bytes(pipe) == b"packed"
    assert helping.receive(pipe) == []
    with pytest.raises(EOFError):
        helping.receive(pipe)


@pytest.mark.parametrize("lost", [1, 5, 8 + len(marshal.dumps("text")) - 1])
def test_half_a_message_is_none(lost: int) -> None:
    pipe = io.BytesIO()
    helping.send(pipe, "text")
    whole = pipe.getvalue()
    with pytest.raises(EOFError):
        helping.receive(io.BytesIO(whole[:-lost]))
