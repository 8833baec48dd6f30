"""The types of the fields: each reads one raw value, or raises `ValueError` with what would be right. No I/O, no cross-checks."""

import re
import tomllib
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer

from refreshd.config.addresses import (
    Listen,
    parse_endpoint,
    parse_issuer,
    parse_listen,
    parse_proxy,
    parse_redirect_uri,
    parse_redis_url,
    parse_store_url,
    redact_url,
)
from refreshd.config.durations import parse_duration
from refreshd.config.rates import parse_rate, parse_share
from refreshd.config.untyped import Untyped
from refreshd.domain.authorization import RESERVED
from refreshd.domain.client import AuthMethod, ClientIdIn, GrantType
from refreshd.domain.policy import LifetimeFrom
from refreshd.domain.secret import Secret

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_HALF = 0.5
_NO_NOTATION = "\0"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PREFIX = re.compile(r"[!-z|~]{1,64}")  # printable ASCII but space and braces: those choose the slot in a Redis Cluster
_TRUTH = {"true": True, "false": False}


def read_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - pydantic collects ValueErrors only
    if not value.isprintable():
        raise ValueError("must be one line without control characters")
    return str(value)


def read_auth_methods(value: object) -> tuple[AuthMethod, ...]:
    """In order of preference: the first that has a secret is used if there is one, `none` if there is not."""
    names = _list(value) if isinstance(value, Untyped | list) else [value]
    methods = tuple(_choice(AuthMethod)(name) for name in names)
    if not methods:
        raise ValueError("must name at least one of client_secret_basic, client_secret_post, none")
    return methods


def _optional_auth_methods(value: object) -> tuple[AuthMethod, ...]:
    return () if value == "" else read_auth_methods(value)


def _through(parse: Callable[[str], T]) -> Callable[[object], T]:
    """What is no string gets the remedy of the notation that it should have had."""
    return lambda value: parse(read_text(value) if isinstance(value, str) else _NO_NOTATION)


def _nonempty(value: object) -> str:
    text = read_text(value)
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _secret(value: object) -> Secret:
    return Secret(_nonempty(value))


def _name(value: object) -> str:
    if not _NAME.fullmatch(text := read_text(value)):
        raise ValueError(
            "must be up to 64 letters, digits, dots, dashes and underscores, starting with a letter or digit"
        )
    return text


def _prefix(value: object) -> str:
    if not _PREFIX.fullmatch(text := read_text(value)):
        raise ValueError("must be 1 to 64 printable ASCII characters without spaces and braces")
    return text


def _file_name(value: object) -> Path:
    return Path(_nonempty(value))


def _optional_file_name(value: object) -> Path | None:
    return Path(text) if (text := read_text(value)) else None


def _directory(value: object) -> Path:
    path = Path(_nonempty(value))
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _count(value: object) -> int:
    if isinstance(value, Untyped) and re.fullmatch(r"[0-9]{1,9}", value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("must be a whole number, at least 1")
    return value


def _database(value: object) -> int:
    if isinstance(value, Untyped) and re.fullmatch(r"[0-9]{1,9}", value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("must be the number of a database, 0 or more")
    return value


def _truth(value: object) -> bool:
    if isinstance(value, Untyped):
        value = _TRUTH.get(value.strip().lower())
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - pydantic collects ValueErrors only
    return value


def _list(value: object) -> list[object]:
    """Outside TOML: a TOML list, or its strings separated by commas."""
    if isinstance(value, Untyped):
        if value.strip().startswith("["):
            try:
                value = tomllib.loads(f"list = {value}")["list"]
            except tomllib.TOMLDecodeError:
                raise ValueError("must be a list of strings") from None
        else:
            value = [item.strip() for item in value.split(",") if item.strip()]
    if not isinstance(value, list):
        raise ValueError("must be a list of strings")  # noqa: TRY004 - pydantic collects ValueErrors only
    return value


def _duration(value: object) -> timedelta:
    if not isinstance(value, str):
        raise ValueError('must be a string with a unit (ms, s, m, h or d), such as "90s" or "5m"')  # noqa: TRY004 - as above
    return parse_duration(read_text(value))


def _positive_duration(value: object) -> timedelta:
    if not (length := _duration(value)):
        raise ValueError("must be longer than 0")
    return length


def _lifetime(value: object) -> timedelta | None:
    if value == "none":
        return None
    try:
        return _positive_duration(value)
    except ValueError:
        raise ValueError('must be a duration, such as "30d", or "none"') from None


def _steps(value: object) -> tuple[timedelta, ...]:
    try:
        return tuple(_positive_duration(item) for item in _list(value))
    except ValueError:
        raise ValueError('must be a list of durations longer than 0, such as ["7d", "3d", "1d"]') from None


def _codes(value: object) -> tuple[str, ...]:
    try:
        return tuple(_nonempty(item) for item in _list(value))
    except ValueError:
        raise ValueError('must be a list of error codes, such as ["token_revoked"]') from None


def _host_ports(value: object) -> tuple[Listen, ...]:
    try:
        return tuple(parse_listen(_nonempty(item)) for item in _list(value))
    except ValueError:
        raise ValueError('must be a list of hosts with ports, such as ["10.0.0.1:26379", "[::1]:26379"]') from None


def _parameters(value: object) -> tuple[str, ...]:
    found = []
    for item in _list(value):
        name, equals, _ = (text := _nonempty(item)).partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise ValueError('must be a list of parameters, such as ["prompt=consent"]')
        if name in RESERVED:
            raise ValueError(f"must not name {name}: that one is set by the login itself")
        found.append(text)
    return tuple(found)


def _spread(text: str) -> float:
    share = parse_share(text)
    if share > _HALF:
        raise ValueError('must be from "0%" to "50%"')
    return share


def _optional_endpoint(text: str) -> str | None:
    return parse_endpoint(text) if text else None


def _issuer(text: str) -> str | None:
    return parse_issuer(text) if text else None


def _choice(kind: type[E]) -> Callable[[object], E]:
    def read(value: object) -> E:
        try:
            return kind(read_text(value))
        except ValueError:
            raise ValueError(f"must be {_either(*kind)}") from None

    return read


def _word(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words:
            raise ValueError(f"must be {_either(*words)}")
        return str(value)

    return read


def _either(*words: str) -> str:
    quoted = [f'"{word}"' for word in words]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]])


_redacted = (Field(repr=False), PlainSerializer(redact_url, return_type=str))

Text = Annotated[str, BeforeValidator(read_text)]
Name = Annotated[str, BeforeValidator(_name)]
Identifier = Annotated[str, BeforeValidator(_nonempty)]
KeyPrefix = Annotated[str, BeforeValidator(_prefix)]
SecretText = Annotated[
    Secret | None,
    BeforeValidator(_secret),
    PlainSerializer(lambda secret: secret and "***", return_type=str | None),
]
OptionalSecret = Annotated[
    Secret | None,
    BeforeValidator(lambda value: _secret(value) if value != "" else None),
    PlainSerializer(lambda secret: secret and "***", return_type=str | None),
]
FileName = Annotated[Path, BeforeValidator(_file_name)]
Directory = Annotated[Path, BeforeValidator(_directory)]
OptionalFileName = Annotated[Path | None, BeforeValidator(_optional_file_name)]
Count = Annotated[int, BeforeValidator(_count)]
DatabaseNumber = Annotated[int, BeforeValidator(_database)]
HostPorts = Annotated[tuple[Listen, ...], BeforeValidator(_host_ports)]
Truth = Annotated[bool, BeforeValidator(_truth)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
PositiveDuration = Annotated[timedelta, BeforeValidator(_positive_duration)]
Lifetime = Annotated[timedelta | None, BeforeValidator(_lifetime)]
Steps = Annotated[tuple[timedelta, ...], BeforeValidator(_steps)]
Codes = Annotated[tuple[str, ...], BeforeValidator(_codes)]
Spread = Annotated[float, BeforeValidator(_through(_spread))]
Rate = Annotated[float, BeforeValidator(_through(parse_rate))]
ListenAddress = Annotated[Listen, BeforeValidator(_through(parse_listen)), PlainSerializer(str, return_type=str)]
Issuer = Annotated[str | None, BeforeValidator(_through(_issuer))]
OptionalEndpoint = Annotated[str | None, BeforeValidator(_through(_optional_endpoint))]
RedirectUri = Annotated[str, BeforeValidator(_through(parse_redirect_uri))]
Parameters = Annotated[tuple[str, ...], BeforeValidator(_parameters)]
StoreUrl = Annotated[str, BeforeValidator(_through(parse_store_url)), *_redacted]
RedisUrl = Annotated[str, BeforeValidator(_through(parse_redis_url)), *_redacted]
Proxy = Annotated[str, BeforeValidator(_through(parse_proxy)), *_redacted]
AuthMethods = Annotated[tuple[AuthMethod, ...], BeforeValidator(read_auth_methods)]
OptionalAuthMethods = Annotated[tuple[AuthMethod, ...], BeforeValidator(_optional_auth_methods)]
IdPlace = Annotated[ClientIdIn, BeforeValidator(_choice(ClientIdIn))]
Grant = Annotated[GrantType, BeforeValidator(_choice(GrantType))]
CountedFrom = Annotated[LifetimeFrom, BeforeValidator(_choice(LifetimeFrom))]
LogFormat = Annotated[Literal["json", "console"], BeforeValidator(_word("json", "console"))]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], BeforeValidator(_word("debug", "info", "warning", "error"))
]
