"""JSON objects → rules, faults and commands of the side door. Unknown names are refused, not ignored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeVar, get_args

from pydantic import TypeAdapter, ValidationError, validate_call

from refreshd.demo import storms
from refreshd.demo.faults import Fault, Latency, OtherAnswer

T = TypeVar("T")
Fields = Mapping[str, object]


class Unreadable(ValueError):  # noqa: N818 - reads as what it says
    """The object does not say what it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLogins:
    client_id: str
    count: int = 1
    scope: str = "offline read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    family: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Any of these; `clear` comes first. Faults are objects with a `kind`, see `read_fault`. `seconds` from now."""

    clear: bool = False
    script: list[dict[str, object] | None] | None = None
    storm: dict[str, object] | None = None
    mix: list[dict[str, object]] | None = None
    latency: dict[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StormOrder:
    fault: dict[str, object]
    count: int | None = None
    seconds: float | None = None
    client_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    rate: float
    fault: dict[str, object]


def read(kind: type[T], values: Fields) -> T:
    """One of our dataclasses from JSON. Raises Unreadable."""
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]  # T is always a dataclass here
    if unknown := sorted(values.keys() - known):
        raise Unreadable(f"{kind.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as exc:
        raise Unreadable(_first(exc)) from exc


def read_fault(values: Fields) -> Fault:
    """`kind` is a class of `faults` in snake case, or the name of a ready-made answer of `storms`. Raises Unreadable."""
    kind = str(values.get("kind"))
    rest = {name: value for name, value in values.items() if name != "kind"}
    if kind == "latency" and isinstance(then := rest.pop("then", None), Mapping):
        return replace(read(Latency, rest), then=read_fault(then))
    if kind in _CLASSES:
        return read(_CLASSES[kind], rest)
    if kind in _READY:
        try:
            return validate_call(_READY[kind])(**rest)
        except ValidationError as exc:
            raise Unreadable(_first(exc)) from exc
    raise Unreadable(f"kind is one of {', '.join([*_CLASSES, *_READY])}")


def _first(exc: ValidationError) -> str:
    fault = exc.errors()[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


_CLASSES: dict[str, type[Fault]] = {_snake(kind.__name__): kind for kind in get_args(Fault)}
_READY: dict[str, Callable[..., OtherAnswer]] = {
    ready.__name__: ready
    for ready in (
        storms.throttled,
        storms.unavailable,
        storms.gateway,
        storms.client_refused,
        storms.everyone_refused,
        storms.concurrent_use,
        storms.page,
        storms.redirect,
    )
}
