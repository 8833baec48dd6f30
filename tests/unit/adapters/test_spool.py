"""The local journal: on disk before anything else happens, private, and gone ten minutes after it is no longer needed."""

import os
import stat
from pathlib import Path

import pytest

from refreshd.adapters.spool import KEEP, SPAN, Spool, SpoolRefused


class Seconds:
    """A steady clock for the test to wind."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def lines(spool: Spool) -> list[bytes]:
    return [line for line in spool.lines() if line]


def test_what_is_appended_is_there_for_the_next_process(tmp_path: Path, seconds: Seconds) -> None:
    """In order, each key once, whether or not the first process ended well."""
    spool = Spool(tmp_path / "spool", owner="p1", clock=seconds)
    spool.append({"a": b"one", "b": b"two"})
    spool.append({"a": b"again", "c": b"three"})
    spool.close()
    assert [b"one", b"two", b"three"] == lines(Spool(tmp_path / "spool", owner="p1", clock=seconds))


def test_nobody_else_can_read_it(tmp_path: Path, seconds: Seconds) -> None:
    """What it holds is sealed, and still nobody's business."""
    directory = tmp_path / "spool"
    Spool(directory, owner="p1", clock=seconds).append({"a": b"one"})
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.iterdir())]
    assert [0o700, 0o600] == modes


def test_a_directory_that_others_can_read_is_refused(tmp_path: Path, seconds: Seconds) -> None:
    """With the command that mends it."""
    directory = tmp_path / "spool"
    directory.mkdir(mode=0o755)
    with pytest.raises(SpoolRefused, match=f"chmod 700 {directory}"):
        Spool(directory, owner="p1", clock=seconds)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, seconds: Seconds) -> None:
    """At the start, not when the first answer comes."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolRefused, match=r"store\.spool_directory"):
        Spool(tmp_path / "file" / "spool", owner="p1", clock=seconds)


def test_it_is_kept_until_ten_minutes_after_the_commit(tmp_path: Path, seconds: Seconds) -> None:
    """A failover may lose what was committed minutes ago."""
    spool = Spool(tmp_path / "spool", owner="p1", clock=seconds)
    spool.append({"a": b"one"})
    seconds.now += 10 * KEEP
    spool.forget()
    assert [b"one"] == lines(spool)  # not committed yet
    spool.settle(["a"])
    seconds.now += KEEP - 1
    spool.forget()
    assert [b"one"] == lines(spool)
    seconds.now += 2
    spool.forget()
    assert ([], []) == (lines(spool), list((tmp_path / "spool").iterdir()))
    spool.append({"b": b"two"})
    assert [b"two"] == lines(spool)


def test_nothing_is_forgotten_by_time_alone(tmp_path: Path, seconds: Seconds) -> None:
    """A database that is away for an hour may come back without what it had committed just before."""
    spool = Spool(tmp_path / "spool", owner="p1", clock=seconds)
    spool.append({"a": b"one"})
    spool.settle(["a"])
    seconds.now += 10 * KEEP
    spool.append({"b": b"two"})
    spool.settle(["b"])
    spool.renew()  # it was put back
    spool.forget()
    assert [b"one", b"two"] == lines(spool)
    seconds.now += KEEP
    spool.forget()
    assert [] == lines(spool)


def test_an_open_line_does_not_keep_later_ones_for_ever(tmp_path: Path, seconds: Seconds) -> None:
    """Segments are short, and each goes by itself."""
    spool = Spool(tmp_path / "spool", owner="p1", clock=seconds)
    spool.append({"open": b"one"})
    seconds.now += SPAN + 1
    spool.append({"done": b"two"})
    spool.settle(["done"])
    seconds.now += KEEP + 1
    spool.forget()
    assert [b"one"] == lines(spool)
    assert (True, False) == (spool.holds("open"), spool.holds("done"))


def test_what_a_living_process_writes_is_not_taken_over(tmp_path: Path, seconds: Seconds) -> None:
    """Two replicas on one machine may share the directory."""
    first = Spool(tmp_path / "spool", owner="p1", clock=seconds)
    first.append({"a": b"one"})
    second = Spool(tmp_path / "spool", owner="p1", clock=seconds)
    assert [] == lines(second)
    first.close()
    assert [b"one"] == lines(Spool(tmp_path / "spool", owner="p1", clock=seconds))


def test_it_knows_whose_answers_it_has(tmp_path: Path, seconds: Seconds) -> None:
    """All of one that is gone, also if it had none; not of one that lives, nor while a third has part of them."""
    whole, torn, alive = (Spool(tmp_path / "spool", owner=name, clock=seconds) for name in ("whole", "torn", "alive"))
    torn.append({"a": b"one"})
    seconds.now += SPAN + 1
    torn.append({"b": b"two"})
    descriptor = torn._segments.pop().descriptor  # another process, which has only just begun, was quicker there
    whole.close()
    torn.close()
    assert {"whole"} == Spool(tmp_path / "spool", owner="next", clock=seconds).inherited
    os.close(descriptor)
    alive.close()


def test_a_failed_write_does_not_spoil_the_next_line(tmp_path: Path, seconds: Seconds) -> None:
    """A full disk may leave half a line; what comes later begins in a file of its own."""
    spool = Spool(tmp_path / "spool", owner="p1", clock=seconds)
    spool.append({"a": b"one"})
    whole = spool._segments[0].descriptor
    reading = (tmp_path / "spool").joinpath(spool._segments[0].path.name).open("rb")
    spool._segments[0].descriptor = reading.fileno()  # opened for reading: the write fails
    with pytest.raises(OSError, match="Bad file descriptor"):
        spool.append({"b": b"two"})
    spool._segments[0].descriptor = whole
    reading.close()
    assert not spool.holds("b")
    spool.append({"b": b"two"})
    assert (2, [b"one", b"two"]) == (len(spool._segments), lines(spool))
