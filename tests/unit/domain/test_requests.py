"""Which requests of consumers lead to a refresh."""

from datetime import datetime, timedelta

import pytest

from refreshd.domain.credential import CredentialId
from refreshd.domain.requests import (
    PATIENCE,
    Decision,
    RefreshRequest,
    RequestLimits,
    Standing,
    Standings,
    Verdict,
    decide,
    parse,
    within,
)
from tests.fakes import START

SECOND = timedelta(seconds=1)
LIMITS = RequestLimits(per_credential=timedelta(minutes=5), in_all=SECOND)
NEW = timedelta(0)


def request(name: str = "a", generation: int = 7) -> RefreshRequest:
    return RefreshRequest(id=CredentialId(name), generation=generation)


def standings(
    *names: str, at: datetime | None = None, generation: int = 7, able: bool = True, **fields: datetime
) -> Standings:
    found = {CredentialId(name): Standing(generation=generation, able=able, **fields) for name in names}
    return Standings(found=found, requested_at=at)


def one(facts: Standings, *, waited: timedelta = NEW, asked: RefreshRequest | None = None) -> Decision:
    return decide({asked or request(): waited}, facts, LIMITS, now=START)


def verdict(facts: Standings, *, waited: timedelta = NEW, asked: RefreshRequest | None = None) -> Verdict | None:
    decision = one(facts, waited=waited, asked=asked)
    return decision.verdicts.get(asked or request())


def test_a_refused_token_that_is_still_the_current_one_is_replaced() -> None:
    """The reason why there are requests."""
    assert Decision(take=request(), verdicts={}) == one(standings("a"))


@pytest.mark.parametrize("generation", [0, 6, 8])
def test_only_the_current_generation_can_be_refused(generation: int) -> None:
    """What was refused before the last refresh is settled; what we never published is nobody's token."""
    assert Verdict.STALE is verdict(standings("a"), asked=request(generation=generation))


def test_an_unknown_id_leads_to_nothing() -> None:
    """Anybody may write to the stream."""
    assert Verdict.UNKNOWN is verdict(standings("b"))


def test_a_state_that_must_not_be_hurried_is_left_alone() -> None:
    """Paused, held, in doubt, under way, a person needed: no consumer may undo that."""
    assert Verdict.IGNORED is verdict(standings("a", able=False))


@pytest.mark.parametrize(
    ("ago", "expected"),
    [
        (NEW, Verdict.LIMITED),
        (timedelta(minutes=5) - SECOND, Verdict.LIMITED),
        (timedelta(minutes=5), None),
        (-SECOND, None),
    ],
)
def test_one_credential_is_refreshed_on_request_once_in_five_minutes(ago: timedelta, expected: Verdict | None) -> None:
    """An API that refuses every token must not make us refresh without end; a date in the future limits nobody."""
    assert expected is verdict(standings("a", requested_at=START - ago))


def test_one_request_at_a_time_is_taken_and_the_next_waits_for_its_turn() -> None:
    """A second for each, whoever asks; the second in line loses nothing by waiting."""
    facts = standings("a", "b")
    first = decide({request("a"): NEW, request("b"): NEW}, facts, LIMITS, now=START)
    assert Decision(take=request("a"), verdicts={}) == first
    assert Decision(take=None, verdicts={}) == one(standings("a", at=START - SECOND / 2))
    assert Decision(take=request(), verdicts={}) == one(standings("a", at=START - SECOND))


def test_a_turn_that_comes_too_late_is_given_up() -> None:
    """Its consumer has given up too, and asks again at its next call; nothing waits for ever."""
    busy = standings("a", at=START)
    assert (None, Verdict.LIMITED) == (verdict(busy, waited=PATIENCE - SECOND), verdict(busy, waited=PATIENCE))
    assert request() == one(standings("a"), waited=PATIENCE).take


def test_a_hopeless_request_keeps_nobody_waiting() -> None:
    """Order matters only among those that may be taken."""
    waiting = {request("x"): NEW, request("a", 6): NEW, request("a"): NEW}
    assert Decision(
        take=request("a"), verdicts={request("x"): Verdict.UNKNOWN, request("a", 6): Verdict.STALE}
    ) == decide(waiting, standings("a"), LIMITS, now=START)


def test_within_is_half_open() -> None:
    """The limit is over when its length has passed."""
    assert [False, True, True, False, False] == [
        within(at, SECOND, START) for at in (None, START, START - SECOND / 2, START - SECOND, START + SECOND)
    ]


def test_a_request_is_an_id_and_a_generation() -> None:
    """Further fields are for a later version to know."""
    assert request("a/b@c", 12) == parse({"id": "a/b@c", "generation": "12", "who": "me"})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"id": "a"},
        {"generation": "7"},
        {"id": "", "generation": "7"},
        {"id": "a" * 129, "generation": "7"},
        {"id": "a\n", "generation": "7"},
        {"id": "ä", "generation": "7"},
        {"id": "a", "generation": ""},
        {"id": "a", "generation": "-1"},
        {"id": "a", "generation": "7.0"},
        {"id": "a", "generation": "\u0667"},
        {"id": "a", "generation": "1" * 16},
    ],
)
def test_anything_else_is_malformed(fields: dict[str, str]) -> None:
    """Whoever may write to the stream writes what he likes, and gets it neither into a log nor into a query."""
    assert None is parse(fields)
