"""One JSON object a line, constant events, and no secret at any level from anybody (contract §7)."""

import io
import json
import logging
import types
import typing
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import orjson
import pytest
import structlog

from refreshd.adapters.structlog_observer import QUIET, StructlogObserver, configure_logging
from refreshd.domain.credential import ClientName, CredentialId, Reason
from refreshd.domain.events import (
    CredentialRefreshed,
    DaemonReady,
    Event,
    PublisherLost,
    RefreshDeferred,
    RefreshUncertain,
    ResponsesUnpersisted,
    StoreFailed,
)
from refreshd.domain.figures import Figures
from refreshd.domain.secret import Secret
from tests.fakes import START, FakeClock

TOKEN = "s3cr3t-t0k3n"
FIGURES = Figures(clients={}, due=0, overdue=timedelta(0), publish_pending=0, rows_by_key={}, last_commit_at=None)


class Log:
    """What was written, and the clock of the observer."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()
        self.clock = FakeClock()

    def configure(self, level: str = "debug", style: str = "json") -> None:
        configure_logging(format=style, level=level, stream=self.stream)

    def observer(self, *, successes: bool = True) -> StructlogObserver:
        return StructlogObserver(clock=self.clock, successes=successes)

    @property
    def text(self) -> str:
        return self.stream.getvalue().decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    """A process' logging as `run` sets it up; what pytest had is put back."""
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    quiet = {name: logging.getLogger(name).level for name in QUIET}
    one = Log()
    one.configure()
    yield one
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def sample(annotation: object) -> object:
    """Some value of a field's type."""
    if isinstance(annotation, types.UnionType):
        return sample(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is tuple:
        return (sample(typing.get_args(annotation)[0]),)
    if typing.get_origin(annotation) is Mapping:
        key, value = typing.get_args(annotation)
        return {sample(key): sample(value)}
    annotation = getattr(annotation, "__supertype__", annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return next(iter(annotation))
    known: dict[object, object] = {
        str: "text",
        int: 3,
        float: 1.5,
        bool: True,
        datetime: START,
        timedelta: timedelta(seconds=90),
        Figures: FIGURES,
    }
    return known[annotation]


def sample_event(kind: type) -> Event:
    hints = typing.get_type_hints(kind)
    event: Event = kind(**{field.name: sample(hints[field.name]) for field in fields(kind)})
    return event


def deferred(client: str = "acme") -> RefreshDeferred:
    return RefreshDeferred(
        id=CredentialId("a"),
        client=ClientName(client),
        generation=1,
        code="http_503",
        failures=1,
        next_attempt_at=START,
    )


def uncertain(*, shared: bool = False) -> RefreshUncertain:
    return RefreshUncertain(
        id=CredentialId("a"),
        client=ClientName("acme"),
        generation=1,
        code="deadline",
        failures=1,
        next_attempt_at=None,
        shared=shared,
    )


class TestEvents:
    @pytest.mark.parametrize("kind", typing.get_args(Event), ids=lambda kind: kind.__name__)
    def test_each_event_is_one_line_with_its_constant_and_its_fields(self, log: Log, kind: type) -> None:
        """Tools match on `event` and read plain fields: seconds, ISO instants in UTC, words."""
        event = sample_event(kind)
        log.observer().on_event(event)
        if event.level == "none":
            assert "" == log.text
            return
        [line] = log.lines
        assert event.name == line["event"]
        assert "timestamp" in line
        assert {field.name for field in fields(event)} <= set(line)
        for name, annotation in typing.get_type_hints(kind).items():
            if annotation is timedelta:
                assert 90.0 == line[name]
            if annotation is datetime:
                assert "2026-06-01T12:00:00.000Z" == line[name]

    def test_event_names_are_unique(self) -> None:
        """A name stands for one class."""
        names = [kind.name for kind in typing.get_args(Event)]
        assert len(names) == len(set(names))

    def test_an_empty_field_is_left_out_but_zero_and_no_are_said(self, log: Log) -> None:
        """No noise, and no information lost."""
        log.observer().on_event(ResponsesUnpersisted(count=0))
        log.observer().on_event(uncertain())
        assert [("info", 0), ("warning", None)] == [(line["level"], line.get("count")) for line in log.lines]
        assert False is log.lines[1]["shared"]
        assert "detail" not in log.lines[1]

    @pytest.mark.parametrize(("successes", "level"), [(True, "info"), (False, "debug")])
    def test_successes_can_be_silenced(self, log: Log, *, successes: bool, level: str) -> None:
        """At 300 refreshes a second a line each is 8 GB a day."""
        log.observer(successes=successes).on_event(sample_event(CredentialRefreshed))
        assert [level] == [line["level"] for line in log.lines]

    def test_a_level_filters(self, log: Log) -> None:
        """What is below the configured level is not written, from us and from libraries."""
        log.configure(level="warning")
        log.observer().on_event(DaemonReady(listen="x"))
        logging.getLogger("somebody").info("x")
        log.observer().on_event(PublisherLost(error="x"))
        assert ["redis.unavailable"] == [line["event"] for line in log.lines]

    def test_the_console_is_for_people(self, log: Log) -> None:
        """The same facts and the same redaction, without JSON."""
        log.configure(style="console")
        log.observer().on_event(DaemonReady(listen=f"redis://:{TOKEN}@host"))
        assert "daemon.ready" in log.text
        assert TOKEN not in log.text


class TestOutages:
    def test_one_warning_a_client_and_minute_whatever_the_failure(self, log: Log) -> None:
        """A provider that is down for 10,000 credentials does not fill the disk; the rest is there at debug."""
        observer = log.observer()
        for _ in range(3):
            observer.on_event(deferred())
            observer.on_event(uncertain())
        observer.on_event(deferred("other"))
        log.clock.advance(timedelta(seconds=59))
        observer.on_event(deferred())
        log.clock.advance(timedelta(seconds=1))
        observer.on_event(uncertain())
        levels = [line["level"] for line in log.lines]
        assert ["warning", *["debug"] * 5, "warning", "debug", "warning"] == levels

    def test_somebody_else_using_our_token_is_always_said(self, log: Log) -> None:
        """An alarm is no outage noise."""
        observer = log.observer()
        for _ in range(2):
            observer.on_event(uncertain(shared=True))
        assert ["error", "error"] == [line["level"] for line in log.lines]

    def test_a_failing_store_is_said_once_a_minute_for_each_thing_it_fails(self, log: Log) -> None:
        """Claims fail every second."""
        observer = log.observer()
        for doing in ("claim", "claim", "commit", "claim"):
            observer.on_event(StoreFailed(doing=doing, error="full"))
        assert ["error", "debug", "error", "debug"] == [line["level"] for line in log.lines]


@dataclass
class Holder:
    """Somebody's object that holds text with a secret."""

    text: str


def raising(refresh_token: str) -> None:
    raise ValueError(f"cannot use refresh_token={refresh_token}")


class TestNoSecrets:
    @pytest.mark.parametrize(
        "values",
        [
            {"refresh_token": TOKEN},
            {"access-token": TOKEN},
            {"old_refresh_token": TOKEN},
            {"token": TOKEN},
            {"redis_password": TOKEN},
            {"clientSecret": TOKEN},
            {"Authorization": f"Bearer {TOKEN}"},
            {"x": Secret(TOKEN)},
            {"x": [Secret(TOKEN)]},
            {"x": {"y": {"client_secret": TOKEN}}},
            {"x": {"y": [{"password": [TOKEN]}]}},
            {"x": {f"refresh_token={TOKEN}": 1}},
            {"url": f"redis://:{TOKEN}@127.0.0.1/0"},
            {"url": f"redis://u:p@{TOKEN}@127.0.0.1/0"},
            {"x": f"grant_type=refresh_token&refresh_token={TOKEN}&scope=x"},
            {"x": f'{{"refresh_token": "{TOKEN}"}}'},
            {"x": f"{{'access_token': '{TOKEN}'}}"},
            {"x": f"GET /cb?code={TOKEN} HTTP/1.1"},
            {"x": f"code_verifier={TOKEN}"},
            {"x": f"Basic {TOKEN}"},
            {"x": f"refresh_token={TOKEN}".encode()},
            {"x": {f"refresh_token={TOKEN}"}},
            {"x": Holder(f"refresh_token={TOKEN}")},
            {"x": ValueError(f"refresh_token={TOKEN}")},
            {"x": 1 << 70, "y": f"refresh_token={TOKEN}"},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("level", ["debug", "error"])
    def test_no_value_gets_through(self, log: Log, values: dict[str, Any], level: str) -> None:
        """By name, by type, by shape; at any depth and level, in text, bytes and other people's objects."""
        getattr(structlog.get_logger(), level)("event", **values)
        [line] = log.lines
        assert "event" == line["event"]
        assert TOKEN not in log.text

    def test_ordinary_words_pass(self, log: Log) -> None:
        """Redaction that hides the diagnosis is a fault too."""
        values = {"key_id": "abcd", "had_tokens": True, "url": "http://127.0.0.1:9847/livez", "n": 1.5}
        structlog.get_logger().info("e", **values)
        assert values == {name: log.lines[0][name] for name in values}

    @pytest.mark.parametrize("by", ["structlog", "logging"])
    def test_a_traceback_shows_frames_and_no_variables(self, log: Log, by: str) -> None:
        """Local variables hold tokens; the place of the fault does not."""
        try:
            raising(TOKEN)
        except ValueError:
            if by == "structlog":
                structlog.get_logger().error("e", exc_info=True)
            else:
                logging.getLogger("somebody").exception("e")
        [line] = log.lines
        assert "raising" == line["exception"][0]["frames"][-1]["name"]
        assert TOKEN not in log.text

    def test_other_peoples_loggers_take_the_same_way(self, log: Log) -> None:
        """A library's line is JSON too, with its arguments redacted."""
        logging.getLogger("somebody").warning("sent %s to %s", f"refresh_token={TOKEN}", f"https://u:{TOKEN}@host/")
        [line] = log.lines
        assert "sent refresh_token=*** to https://u:***@host/" == line["event"]
        assert "warning" == line["level"]

    def test_a_line_that_cannot_be_formatted_is_not_printed_raw(
        self, log: Log, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The standard library would print the arguments past every redaction."""
        logging.getLogger("somebody").warning("%d", f"refresh_token={TOKEN}")
        printed = capsys.readouterr()
        assert TOKEN not in log.text + printed.err + printed.out

    @pytest.mark.parametrize(
        "name", ["httpx", "aiohttp.access", "sqlalchemy.engine", "apscheduler.scheduler", "asyncio"]
    )
    def test_talkative_libraries_are_silent_below_warning(self, log: Log, name: str) -> None:
        """Also at level debug: they print URLs and bound parameters."""
        logging.getLogger(name).info("POST https://provider/token?client_id=x")
        logging.getLogger(name).debug("x")
        assert "" == log.text
        logging.getLogger(name).warning("said")
        assert ["said"] == [line["event"] for line in log.lines]

    def test_warnings_become_lines(self, log: Log) -> None:
        """Nothing stands on stderr that is not a log line."""
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=True)
            warnings.warn("old", stacklevel=1)
        assert "old" in log.lines[0]["event"]

    @pytest.mark.parametrize(
        "odd", ["a\ud800b", b"\xff\xfe", float("nan"), 1 << 80, object(), {1: "x"}, Reason.REFUSED]
    )
    def test_nothing_that_is_logged_can_raise(self, log: Log, odd: object) -> None:
        """A line is never worth an exception between answer and commit."""
        log.configure()  # drops pytest's own handler, whose report of half a character its workers cannot send
        structlog.get_logger().info("e", odd=odd)
        logging.getLogger("somebody").warning("%s", odd)
        assert 2 == len([orjson.loads(line) for line in log.stream.getvalue().splitlines()])
