"""Whether what reached the provider twice, and every doubt, may be blamed on the line. Pure: records in, texts out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from refreshd.demo.dialects import Verdict
from refreshd.demo.grants import IssuedToken
from tests.programme.daemons.store_view import Entry
from tests.programme.lines.plan import Link, Trouble

_ROTATING = (Verdict.ROTATED, Verdict.REGRANTED)
_CLOCK = 0.1
_AFTERMATH = 0.5
_SURELY_DOWN = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """A time of trouble on one line. Instants in seconds since 1970."""

    link: Link
    trouble: Trouble
    began: float
    healed: float

    def touches(self, entry: Entry) -> bool:
        return self.began - _CLOCK <= entry.ended_at and entry.started_at <= self.healed + _AFTERMATH


def unexplained_reuses(
    reuses: Sequence[IssuedToken], logins: Mapping[str, str], log: Sequence[Entry], spells: Sequence[Spell]
) -> list[str]:
    """A token may come again only after an attempt that got no usable answer, in or right after trouble of that line."""
    texts = []
    for token in reuses:
        name = logins.get(token.family, "nobody")
        mine = [entry for entry in log if entry.id == name and entry.started_at >= token.issued_at - _CLOCK]
        for number, (first, second) in enumerate(pairwise(token.presentations), start=2):
            if first.verdict in _ROTATING:
                tried = [entry for entry in mine if entry.started_at <= second.at + _CLOCK]
                fault = _unexplained(tried, number, spells)
                texts += [f"{name}: token {token.serial} presented at {second.at:.3f} again: {fault}"] if fault else []
    return texts


def doubts_out_of_nothing(log: Sequence[Entry], spells: Sequence[Spell]) -> list[str]:
    """Doubts while both ends and the line were well."""
    return [
        f"{entry.id} in doubt without trouble: {entry}"
        for entry in log
        if entry.outcome == "uncertain" and not _in_trouble(entry, spells)
    ]


def while_down(log: Sequence[Entry], spells: Sequence[Spell]) -> list[Entry]:
    """Attempts that began and ended while nobody listened: none of them can have been processed."""
    down = [one for one in spells if one.link is Link.PROVIDER and one.trouble is Trouble.DOWN]
    return [
        entry
        for entry in log
        if any(one.began + _SURELY_DOWN <= entry.started_at and entry.ended_at <= one.healed for one in down)
    ]


def _unexplained(tried: Sequence[Entry], presentations: int, spells: Sequence[Spell]) -> str:
    if not tried:
        return "no attempt is on record"
    same = [entry for entry in tried if entry.generation == tried[-1].generation and entry.phase != "unsent"]
    earlier = same[:-1]
    if any(entry.outcome == "refreshed" for entry in earlier):
        return "its answer had been stored"
    if len(same) < presentations:
        return f"{presentations} presentations, but {len(same)} attempts on record"
    if not any(entry.outcome == "uncertain" and _in_trouble(entry, spells) for entry in earlier):
        return f"no answer was lost before: {earlier}"
    return ""


def _in_trouble(entry: Entry, spells: Sequence[Spell]) -> bool:
    return any(one.link is Link.PROVIDER and one.touches(entry) for one in spells)
