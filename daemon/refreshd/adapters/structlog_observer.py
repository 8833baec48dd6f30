"""Events as log lines, and the one pipeline through which every line of the process goes: structlog's and the libraries'."""

import dataclasses
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache, lru_cache
from typing import Any, BinaryIO, cast

import orjson
import structlog

from refreshd.domain.events import (
    CredentialRefreshed,
    Event,
    MetadataKept,
    RefreshDeferred,
    RefreshUncertain,
    ResponsesUnpersisted,
    RevisionAhead,
    RevocationDeferred,
    StoreFailed,
)
from refreshd.domain.secret import Secret
from refreshd.ports.clock import Clock

OUTAGE_WINDOW = timedelta(minutes=1)
# At INFO or DEBUG these print URLs, headers, bound parameters or a line a second.
QUIET = (
    "httpx",
    "httpcore",
    "aiohttp",
    "aiohttp.access",
    "apscheduler",
    "sqlalchemy",
    "alembic",
    "asyncio",
    "hpack",
    "redis",
)
_SECRET_NAME = re.compile(
    r"(?:^|[_-])(token|(access|refresh|id)token|(client)?secret|password|authorization|(code[_-]?)?verifier|api[_-]?key|cookie)$",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"((?:access_token|refresh_token|client_secret|password|code_verifier|code)\W{1,4}|(?:Bearer|Basic)\s+)[^\s\"'&,}]+",
    re.IGNORECASE,
)
_NUMBERS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_CHECKED = frozenset({"id", "client"})
_URL_PASSWORD = re.compile(r"(\w+://[^\s/:@]*:)[^\s/]+@")  # up to the last @: a password may hold one


def configure_logging(*, format: str, level: str, stream: BinaryIO | None = None) -> None:  # noqa: A002 - the setting's name
    """Set up structlog and the standard library's loggers alike. `format`: json or console. Call once, at start."""
    number = logging.getLevelNamesMapping()[level.upper()]
    out = stream or sys.stderr.buffer
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _without_locals,
        redact,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = _console() if format == "console" else _json
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_Text(out))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _decoded(renderer)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    # a line that cannot be formatted would be printed with its arguments, past redaction
    logging.raiseExceptions = False


def redact(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No value that looks or is named like a secret passes; what comes after it adds nothing but level and time."""
    for key, value in entry.items():
        entry[key] = _redacted(key, value)
    return entry


class Harmless(str):
    """Text of our own making, or checked when it came in: ids, dates, names. Not searched for secrets, which costs the most."""

    __slots__ = ()


class StructlogObserver:
    """One line an event. In an outage, one warning per client and minute; the rest at debug."""

    def __init__(self, *, clock: Clock, successes: bool) -> None:
        self._log = structlog.get_logger()
        self._clock = clock
        self._successes = successes
        self._warned: dict[tuple[str, str], float] = {}

    def on_event(self, event: Event) -> None:
        if event.level == "none":
            return
        level = self._level(event)
        if not self._log.is_enabled_for(_NUMBERS[level]):
            return
        emit = getattr(self._log, level)
        emit(Harmless(event.name), **_fields(event))

    def _level(self, event: Event) -> str:
        match event:
            case CredentialRefreshed():
                return "info" if self._successes else "debug"
            case RefreshUncertain(shared=True):
                return "error"  # somebody else uses our token
            case RefreshDeferred() | RefreshUncertain():
                return event.level if self._first("refresh", event.client) else "debug"  # one outage has many faces
            case RevocationDeferred():
                return event.level if self._first(event.name, event.client) else "debug"
            case StoreFailed():
                return event.level if self._first(event.name, event.doing) else "debug"
            case RevisionAhead():
                return event.level if self._first(event.name, event.client) else "debug"
            case MetadataKept():
                return event.level if self._first(event.name, event.client) else "debug"
            case ResponsesUnpersisted(count=0):
                return "info"
            case _:
                return event.level

    def _first(self, name: str, subject: str) -> bool:
        now = self._clock.monotonic()
        last = self._warned.get((name, subject))
        if last is not None and now - last < OUTAGE_WINDOW.total_seconds():
            return False
        self._warned[name, subject] = now
        return True


def _fields(event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in _names(type(event)):  # type: ignore[arg-type]  # mypy finds a union of types unhashable
        value = getattr(event, name)
        if value not in (None, "", ()):
            fields[name] = Harmless(value) if name in _CHECKED else _plain(value)
    return fields


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _plain(value: object) -> object:
    match value:
        case timedelta():
            return round(value.total_seconds(), 3)
        case datetime():
            return Harmless(value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        case Enum():
            return Harmless(value.value)
        case tuple() | frozenset():
            return [_plain(item) for item in value]
        case _:
            return value


def _redacted(key: str, value: object) -> object:
    if isinstance(value, Secret) or _names_a_secret(key):
        return "***"
    match value:
        case Harmless():
            return value
        case str():
            return _clean(value)
        case bytes():
            return _clean(value.decode("utf-8", "replace"))
        case Mapping():
            return {_clean(str(name)): _redacted(str(name), item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_redacted(key, item) for item in value]
        case _:
            return value  # numbers and dates as they are; anything else meets `_clean` in the renderer


@lru_cache(maxsize=1024)
def _names_a_secret(key: str) -> bool:
    return _SECRET_NAME.search(key) is not None


def _clean(value: object) -> str:
    """Text without what looks like a secret, and without half characters, which no line can hold."""
    text = _URL_PASSWORD.sub(r"\1***@", _SECRET_TEXT.sub(r"\1***", str(value)))
    return text.encode("utf-8", "replace").decode()


def _without_locals(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Tracebacks as frames without local variables: those hold tokens."""
    if info := entry.pop("exc_info", None):
        exc = info if isinstance(info, BaseException) else sys.exc_info()[1] if info is True else info[1]
        if exc is not None:
            frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            entry["exception"] = frames((type(exc), exc, exc.__traceback__))
    return entry


def _json(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> bytes:
    option = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
    try:
        return orjson.dumps(entry, default=_clean, option=option)
    except TypeError:  # an integer beyond 64 bits: better a plain line than none
        return orjson.dumps({_clean(name): _clean(value) for name, value in entry.items()})


def _console() -> structlog.typing.Processor:
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: object, method: str, entry: MutableMapping[str, Any]) -> bytes:
        return console(logger, method, entry).encode("utf-8", "replace")

    return render


def _decoded(renderer: structlog.typing.Processor) -> structlog.typing.Processor:
    def render(logger: Any, method: str, entry: MutableMapping[str, Any]) -> str:
        return cast("bytes", renderer(logger, method, entry)).decode()

    return render


class _Text:
    """A text stream over the bytes that structlog writes to, so that both kinds of lines keep their order."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, text: str) -> None:
        self._out.write(text.encode("utf-8", "replace"))

    def flush(self) -> None:
        self._out.flush()


def log_lines() -> Any:
    """The logger for the few lines that are said before there is an observer."""
    return structlog.get_logger()
