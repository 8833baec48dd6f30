"""One generated answer: status, headers and body. `case(seed, index)` is always the same."""

from dataclasses import dataclass

from tests.programme.fuzzing import words
from tests.programme.fuzzing.bodies import CAP, Planted, any_body
from tests.programme.fuzzing.chance import Chance
from tests.programme.fuzzing.damage import cut, packed, scribbled

_SUCCEEDED = (*(200,) * 40, 201, 202, 203, 206, 226, 299, 204, 205)
_REFUSED = (*(400,) * 12, 401, 401, 401, 403, 403, 200)
_ELSEWHERE = (300, 301, 302, 303, 304, 305, 307, 308, 399, 404, 405, 407, 410, 413, 414, 415, 431, 501, 505, 511)
_BUSY = (408, 421, 425, 429, 429, 503, 503, 503)
_FAILED = (500, 500, 502, 502, 503, 504, 506, 507, 508, 510, *range(520, 531), 561, 598, 599)
_OTHER = (402, 406, 409, 411, 412, 416, 417, 418, 422, 423, 424, 426, 428, 440, 444, 451, 498, 499)
_NONE = (0, -1, 1, 99, 100, 101, 102, 103, 199, 600, 666, 999, 1000)
_UNUSUAL: tuple[tuple[int, ...], ...] = (_ELSEWHERE, _BUSY, _FAILED, _OTHER, _NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One answer.

    `body` goes over the wire as it is. `complete`: whether it is all that the provider meant to send. `promised`: the refresh
    token that must come out of it by construction, whatever the judge reads. `cut_short`, `damaged`: what was done to it.
    """

    seed: int
    index: int
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    complete: bool
    planted: Planted
    secrets: tuple[str, ...]
    promised: str | None
    cut_short: bool
    damaged: bool

    def __str__(self) -> str:
        body = self.body if len(self.body) <= 600 else self.body[:400] + b" ... " + self.body[-150:]
        return (
            f"SEED={self.seed} index {self.index} (python -m tests.programme fuzz --n 1 --minutes 1 --seed {self.seed} "
            f"--first {self.index}): {self.status} {dict(self.headers)} complete={self.complete} "
            f"{len(self.body)} bytes {body!r}"
        )


def case(seed: int, index: int, chance: Chance | None = None) -> Case:
    """`chance`: to draw more from afterwards."""
    chance = chance or Chance(seed, index)
    planted = Planted(chance.pick(words.PRESENTED), chance.pick(words.CLIENT_SECRETS))
    text, succeeds = any_body(chance, planted)
    status = _status(chance, succeeds=succeeds)
    body, promises, complete = text.body, text.promises, True
    cut_short = bool(body) and chance.one_in(7)
    if cut_short:
        body = cut(chance, text)
        promises = tuple(promise for promise in promises if promise[0] <= len(body))
        complete = chance.one_in(3)
    damaged = not cut_short and chance.one_in(8)
    if damaged:
        body, promises = scribbled(chance, body), ()
    if len(body) > CAP:  # as the adapter stops reading: somewhere behind the cap
        body, complete = body[: CAP + 1 + chance.below(CAP)], False
        promises = promises if all(end <= CAP for end, _ in promises) else ()
    headers = _headers(chance, status)
    if chance.one_in(16):
        coding, body = packed(chance, body)
        headers, promises = (*headers, ("content-encoding", coding)), ()
    return Case(
        seed=seed,
        index=index,
        status=status,
        headers=headers,
        body=body,
        complete=complete,
        planted=planted,
        secrets=text.secrets,
        promised=promises[-1][1] if promises and 200 <= status < 300 else None,
        cut_short=cut_short,
        damaged=damaged,
    )


def _status(chance: Chance, *, succeeds: bool) -> int:
    draw = chance.below(100)
    if draw < (80 if succeeds else 20):
        return chance.pick(_SUCCEEDED)
    if draw < (85 if succeeds else 75):
        return chance.pick(_REFUSED)
    return 100 + chance.below(900) if chance.one_in(6) else chance.pick(chance.pick(_UNUSUAL))


def _headers(chance: Chance, status: int) -> tuple[tuple[str, str], ...]:
    headers: tuple[tuple[str, str], ...] = ()
    if chance.one_in(2 if status in (429, 503) else 10):
        headers = (("retry-after", _wait(chance)),)
    return headers


def _wait(chance: Chance) -> str:
    """Retry-After (RFC 9110 §10.2.3): seconds, a date, or nonsense."""
    match chance.below(5):
        case 0 | 1:
            return chance.pick(words.WAITS)
        case 2:
            return chance.pick(words.DATES)
        case 3:
            return chance.pick(words.ODD_WAITS)
        case _:
            return scribbled(chance, chance.pick(words.DATES).encode()).decode("latin-1")
