"""The state machine keeps its promises for every credential and every outcome."""

from dataclasses import fields, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshd.domain import policy as rules
from refreshd.domain.condemnation import would_condemn
from refreshd.domain.credential import FIRST_FAILURES, Credential, Health, Lane, Reason
from refreshd.domain.events import (
    CredentialRefreshed,
    Event,
    HealingFailed,
    RefreshRejected,
    RefreshTokenOnly,
    RefreshUncertain,
    ReloginRequired,
    StreamEvent,
)
from refreshd.domain.outcome import (
    Confirmation,
    Deferred,
    Misconfigured,
    Outcome,
    Phase,
    Refreshed,
    Rejected,
    Uncertain,
    label,
)
from refreshd.domain.policy import LifetimeFrom, RefreshPolicy
from refreshd.domain.secret import Secret
from refreshd.domain.settle import settle
from refreshd.domain.transition import ALL_WARNINGS, Transition
from tests.unit.domain import states
from tests.unit.domain.strategies import (
    DAY,
    HOUR,
    KINDS,
    MINUTE,
    NOW,
    SECOND,
    credential,
    credentials,
    deferrals,
    doubts,
    draws,
    faults,
    outcomes,
    policies,
    policy,
    refreshed,
    refusals,
    rejected,
    successes,
)

UNANSWERED = Uncertain(code="deadline")
SENT = NOW - SECOND
FORGIVING = policy(settle_delay=timedelta(0), request_timeout=20 * SECOND, reuse_grace=MINUTE)


def apply(
    before: Credential, outcome: Outcome, rule: RefreshPolicy | None = None, *, now: datetime = NOW, draw: float = 0.5
) -> Transition:
    return settle(before, outcome, rule or policy(), sent_at=now - SECOND, now=now, draw=draw)


def brings_tokens(outcome: Outcome) -> bool:
    return isinstance(outcome, Refreshed) and not (outcome.access is None and outcome.refresh_token is None)


def shown(one: Credential) -> tuple[object, ...]:
    """The columns of Redis' status key that a refresh can change without a new access token."""
    return (one.health, one.reason, one.in_doubt, one.relogin_step, one.relogin_by)


def refuse(before: Credential, *codes: str, every: timedelta = 45 * SECOND, now: datetime = NOW) -> Credential:
    for number, code in enumerate(codes):
        before = apply(before, rejected(code), now=now + number * every).after
    return before


class TestTokens:
    """No outcome loses a refresh token; generation counts what changed."""

    @given(before=credentials(), steps=st.lists(outcomes, max_size=12), rule=policies, draw=draws)
    def test_the_newest_refresh_token_survives_any_history(
        self, before: Credential, steps: list[Outcome], rule: RefreshPolicy, draw: float
    ) -> None:
        """What a store would hold after any sequence of outcomes is the last refresh token that came, never nothing."""
        stored, expected, generation = Secret("imported"), Secret("imported"), before.generation
        for number, outcome in enumerate(steps):
            transition = settle(before, outcome, rule, sent_at=NOW, now=NOW + number * MINUTE, draw=draw)
            stored = transition.refresh_token or stored
            if isinstance(outcome, Refreshed) and outcome.refresh_token is not None:
                expected = outcome.refresh_token
            generation += brings_tokens(outcome)
            before = transition.after
            assert (stored, before.generation) == (expected, generation)

    @given(before=credentials(), outcome=outcomes, rule=policies, draw=draws)
    def test_generation_rises_by_one_exactly_when_tokens_are_present(
        self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float
    ) -> None:
        """The compare-and-set and every consumer rely on it: no token without a generation, none without a token."""
        transition = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw)
        assert transition.has_tokens == brings_tokens(outcome)
        assert transition.after.generation - before.generation == int(brings_tokens(outcome))

    @given(before=credentials(), outcome=outcomes, rule=policies, draw=draws)
    def test_identity_is_never_touched(
        self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float
    ) -> None:
        """A refresh moves a row neither to another login nor to another client (R14), and notes what it was."""
        after = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw).after
        kept = ("id", "client", "family", "login_at")
        assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
        if brings_tokens(outcome) or not isinstance(outcome, Refreshed):
            assert (after.last_outcome, after.last_code, after.attempted_at) == (label(outcome), outcome.code, NOW)

    @given(before=credentials(), outcome=outcomes, rule=policies, draw=draws)
    def test_the_decision_depends_on_nothing_else(
        self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float
    ) -> None:
        """The same facts settle the same way, so a decision can be replayed."""
        both = [settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw) for _ in range(2)]
        assert both[0] == both[1]

    def test_expiry_counts_from_before_the_request_was_sent(self) -> None:
        """A slow answer does not make a token look younger than the provider thinks it is (R13)."""
        transition = settle(credential(), refreshed(), policy(), sent_at=NOW - 80 * SECOND, now=NOW, draw=0)
        assert transition.access is not None
        assert transition.access.issued_at == transition.after.issued_at == NOW - 80 * SECOND
        assert transition.access.expires_at == transition.after.expires_at == NOW - 80 * SECOND + HOUR
        assert transition.after.next_attempt_at == transition.after.refresh_at == NOW - 80 * SECOND + 55 * MINUTE

    def test_what_came_is_what_is_published(self) -> None:
        """Consumers send the token as the provider gave it, under the type it was given."""
        access = apply(credential(), refreshed()).access
        assert access is not None
        assert (access.value, access.token_type) == (Secret("access"), "bearer")

    def test_an_unstated_life_is_the_providers_default(self) -> None:
        """`expires_in` is optional (RFC 6749 §5.1); a token without it is still published."""
        assert apply(credential(), refreshed(expires_in=None)).after.expires_at == SENT + policy().access_lifetime

    def test_rotation_is_dated_only_when_there_was_one(self) -> None:
        """A provider that keeps its refresh token has not begun a new 30 days."""
        rotated = [apply(credential(), refreshed(refresh_token=token)).after.rotated_at for token in ("new", None)]
        assert rotated == [SENT, credential().rotated_at]

    @given(before=credentials(), outcome=outcomes, rule=policies, draw=draws)
    def test_an_access_token_is_withdrawn_only_by_condemnation(
        self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float
    ) -> None:
        """While a login may still live, consumers keep the token they have."""
        transition = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw)
        condemned = isinstance(transition.event, ReloginRequired)
        assert transition.withdraw_access == condemned
        if not condemned and transition.access is None:
            dates = (before.issued_at, before.expires_at, before.refresh_at)
            assert (transition.after.issued_at, transition.after.expires_at, transition.after.refresh_at) == dates


class TestRefreshTokenOnly:
    """2xx with a refresh token and nothing to publish (protocol §3, R4)."""

    def test_it_is_stored_and_the_new_token_is_asked_for_soon(self) -> None:
        """Persist first: the login is safe, no doubt is left, nothing is published, back-off runs."""
        before = replace(credential(in_doubt=True, failures=2), rejections=1, rejected_code="invalid_grant")
        transition = apply(before, refreshed(access=False))
        after = transition.after
        assert (transition.refresh_token, transition.access) == (Secret("new"), None)
        assert (after.in_doubt, after.rejections, after.failures, after.rotated_at) == (False, 0, 3, SENT)
        assert after.next_attempt_at == NOW + 10 * SECOND
        assert (transition.visible, transition.stream) == (True, ())
        assert isinstance(transition.event, RefreshTokenOnly)

    def test_the_access_token_is_asked_for_while_the_old_one_lives(self) -> None:
        """No more than a quarter of what is left: a provider that stumbles once costs nobody a token."""
        transition = apply(credential(failures=9, expires_at=NOW + 40 * SECOND), refreshed(access=False))
        assert transition.after.next_attempt_at == NOW + 5 * SECOND

    def test_a_narrowed_scope_is_kept_for_the_next_request(self) -> None:
        """The next request asks for what was granted last, or it would be refused for its scope."""
        transition = apply(credential(), refreshed(access=False, scope="offline"))
        assert transition.after.scope == "offline"
        assert isinstance(transition.event, RefreshTokenOnly)
        assert transition.event.anomalies == ("scope_narrowed",)

    def test_it_heals_a_condemned_credential(self) -> None:
        """A provider that hands out a new refresh token has not ended the login."""
        condemned = refuse(credential(), "invalid_grant", "invalid_grant")
        transition = apply(condemned, refreshed(access=False))
        assert (transition.after.health, transition.visible) == (Health.ACTIVE, True)
        assert transition.stream == (StreamEvent.RECOVERED,)

    def test_an_answer_with_neither_token_is_a_doubt(self) -> None:
        """Nothing came that was not known before, so nothing is counted as a token change."""
        transition = apply(credential(), refreshed(access=False, refresh_token=None))
        after = transition.after
        assert (after.in_doubt, after.generation) == (True, 1)
        assert (after.last_outcome, after.last_code) == ("uncertain", "ok")
        assert isinstance(transition.event, RefreshUncertain)


class TestDoubt:
    """An unanswered request may have spent the refresh token (R7, R8)."""

    @given(before=credentials(), outcome=outcomes, rule=policies, draw=draws)
    def test_doubt_is_sticky(self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float) -> None:
        """Only tokens or a refusal that condemns end a doubt; only a missing answer begins one."""
        transition = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw)
        ended = brings_tokens(outcome) or isinstance(transition.event, ReloginRequired | HealingFailed)
        begun = isinstance(outcome, Uncertain) or (isinstance(outcome, Refreshed) and not brings_tokens(outcome))
        assert transition.after.in_doubt == (begun or (before.in_doubt and not ended))

    @given(before=credentials(), outcome=doubts, rule=policies, draw=draws)
    def test_a_repeat_waits_until_our_own_request_is_surely_dead(
        self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float
    ) -> None:
        """Not before the end of the attempt plus `settle_delay`, not later than that plus the longest back-off (R8)."""
        after = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw).after
        assert after.next_attempt_at is not None
        wait = after.next_attempt_at - NOW - rule.settle_delay
        longest = rules.backoff(before.failures, now=NOW, expires_at=before.expires_at, draw=1, cap=rule.doubt_cap)
        assert timedelta(0) <= wait <= longest
        assert rule.settle_delay + wait >= SECOND
        assert after.failures == (before.failures + 1 if before.in_doubt else 1)

    def test_the_first_repeat_comes_right_after_settling(self) -> None:
        """One lost answer costs one settle delay, so the repeat still fits before the old token ends (§5)."""
        assert apply(credential(), UNANSWERED).after.next_attempt_at == NOW + MINUTE

    def test_further_repeats_back_off_on_top_of_settling(self) -> None:
        """A provider that never answers is not asked every minute for ever."""
        assert (
            apply(credential(in_doubt=True, failures=2, expires_at=None), UNANSWERED).after.next_attempt_at
            == NOW + 70 * SECOND
        )

    def test_a_repeat_fits_into_what_is_left_of_the_access_token(self) -> None:
        """After nine failures too: settling, and then no more than a quarter of what is left."""
        after = apply(credential(in_doubt=True, failures=9, expires_at=NOW + 40 * SECOND), UNANSWERED).after
        assert after.next_attempt_at == NOW + MINUTE + 5 * SECOND

    def test_with_a_grace_the_repeat_comes_within_seconds(self) -> None:
        """No settling where reuse is forgiven: the repeat must fall inside the grace."""
        after = apply(credential(), UNANSWERED, policy(settle_delay=timedelta(0))).after
        assert after.next_attempt_at == NOW + SECOND

    def test_within_a_grace_a_repeat_that_did_not_get_through_is_tried_again_within_seconds(self) -> None:
        """The grace runs while nobody answers the door; what hangs longer than a few tries has missed it and backs off."""
        grace, busy = FORGIVING, Deferred(code="connect_failed")
        waits = [apply(credential(in_doubt=True, failures=n), busy, grace).after.next_attempt_at for n in (1, 2, 3)]
        assert waits == [NOW + SECOND, NOW + SECOND, NOW + 20 * SECOND]
        sure = apply(credential(failures=2), busy, grace).after.next_attempt_at
        patient = apply(credential(in_doubt=True, failures=2), busy).after.next_attempt_at
        assert sure == patient == NOW + 10 * SECOND
        told = Deferred(code="http_429", retry_after=MINUTE)
        assert apply(credential(in_doubt=True, failures=1), told, grace).after.next_attempt_at == NOW + MINUTE

    def test_with_a_grace_no_repeat_comes_after_its_end(self) -> None:
        """Each request of a long outage may be the one that was processed: the next arrives while its token is forgiven (R8)."""
        before = credential(in_doubt=True, failures=40, expires_at=NOW)
        transition = settle(before, UNANSWERED, FORGIVING, sent_at=SENT, now=NOW, draw=1)
        end_of_grace = NOW - FORGIVING.request_timeout + FORGIVING.reuse_grace
        assert transition.after.next_attempt_at == end_of_grace - rules.LEASE_SLACK
        after = settle(transition.after, Deferred(code="dns"), FORGIVING, sent_at=SENT, now=NOW, draw=1).after
        assert after.next_attempt_at == NOW + SECOND
        later = settle(after, Deferred(code="dns"), FORGIVING, sent_at=SENT, now=NOW, draw=1).after
        assert later.next_attempt_at == NOW + 10 * MINUTE

    def test_a_grace_shorter_than_a_request_hurries_nobody_beyond_a_second(self) -> None:
        """It cannot be used, and is warned of at start."""
        short = policy(settle_delay=timedelta(0), request_timeout=5 * SECOND, reuse_grace=3 * SECOND)
        after = apply(credential(in_doubt=True, failures=40, expires_at=NOW), UNANSWERED, short).after
        assert after.next_attempt_at == NOW + SECOND

    def test_rows_in_doubt_go_first_and_confirmations_last(self) -> None:
        """Order of work after an outage (protocol §4)."""
        lanes = [
            apply(credential(), UNANSWERED).after.lane,
            apply(credential(in_doubt=True), Deferred(code="x")).after.lane,
            apply(credential(), Deferred(code="x")).after.lane,
            apply(credential(), refreshed()).after.lane,
            apply(credential(), rejected()).after.lane,
            apply(credential(in_doubt=True), rejected()).after.lane,
        ]
        expected = [Lane.IN_DOUBT, Lane.IN_DOUBT, Lane.RETRYING, Lane.ORDINARY, Lane.CONFIRMING, Lane.CONFIRMING]
        assert lanes == expected

    def test_a_login_close_to_its_end_goes_before_ordinary_work(self) -> None:
        """A token missed costs an hour, a login missed costs a person (protocol §4)."""
        ending = credential(relogin_by=NOW + HOUR)
        assert apply(ending, Deferred(code="x")).after.lane == Lane.ENDING

    def test_somebody_else_using_our_token_is_told(self) -> None:
        """A concurrency hint is a doubt with a louder voice."""
        event = apply(credential(), Uncertain(code="concurrent_use", shared=True)).event
        assert isinstance(event, RefreshUncertain)
        assert event.shared is True


class TestBystanders:
    """What is not the credential's own refusal changes nothing of the credential (R9)."""

    @given(before=credentials(), outcome=st.one_of(deferrals, faults), rule=policies, draw=draws)
    def test_deferred_and_misconfigured_leave_health_generation_and_doubt_alone(
        self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float
    ) -> None:
        """An outage, a rate limit or a wrong client secret condemns nobody, and Redis shows nothing new."""
        transition = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw)
        after, scheduling = transition.after, ("next_attempt_at", "lane", "failures")
        changed = {name for name in before.__dataclass_fields__ if getattr(before, name) != getattr(after, name)}
        assert changed <= {*scheduling, "last_outcome", "last_code", "attempted_at"}
        assert (transition.visible, transition.stream, transition.has_tokens) == (False, (), False)

    @given(before=credentials(), outcome=deferrals, rule=policies, draw=draws)
    def test_a_deferral_respects_retry_after_and_backs_off(
        self, before: Credential, outcome: Deferred, rule: RefreshPolicy, draw: float
    ) -> None:
        """Never sooner than the provider asked, else full jitter bounded by what is left of the access token."""
        after = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw).after
        wait = rules.backoff(before.failures, now=NOW, expires_at=before.expires_at, draw=draw)
        first = before.failures <= FIRST_FAILURES or before.last_outcome == "uncertain"
        if before.in_doubt and not rule.settle_delay and first:
            wait = rules.BACKOFF_FLOOR  # a grace is running
        assert after.next_attempt_at == NOW + max(wait, outcome.retry_after or timedelta(0))
        assert after.failures == before.failures + 1

    def test_a_deferral_leaves_time_for_more_tries_while_the_access_token_lives(self) -> None:
        """After nine failures too: no more than a quarter of what is left, not the ten minutes of an expired one (§3)."""
        waits = [
            apply(credential(failures=9, expires_at=end), Deferred(code="x")).after.next_attempt_at
            for end in (NOW + 40 * SECOND, NOW)
        ]
        assert waits == [NOW + 5 * SECOND, NOW + 5 * MINUTE]

    def test_who_is_in_no_doubt_needs_no_grace(self) -> None:
        """A provider that is away is left in peace for ten minutes at most, however short its grace is."""
        after = apply(credential(failures=9, expires_at=NOW), Deferred(code="x"), FORGIVING).after
        assert after.next_attempt_at == NOW + 5 * MINUTE

    @pytest.mark.parametrize("turn", [NOW - MINUTE, NOW + MINUTE, None])
    def test_a_suspended_clients_row_stays_due(self, turn: datetime | None) -> None:
        """The suspension holds it back, not the row: when the client is well again nothing has to be woken."""
        after = apply(credential(refresh_at=turn), Misconfigured(code="invalid_client")).after
        assert after.next_attempt_at == (min(turn, NOW) if turn else NOW)
        assert after.failures == 0


class TestRejection:
    """Confirm before condemning (R10)."""

    @given(before=credentials(), outcome=outcomes, rule=policies, draw=draws)
    def test_condemned_only_by_the_counts(
        self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float
    ) -> None:
        """No outcome asks a person to log in but the refusal that completes its class's count."""
        transition = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw)
        if not isinstance(outcome, Rejected) or before.health is Health.RELOGIN_REQUIRED:
            assert not isinstance(transition.event, ReloginRequired)
            assert transition.after.health is (Health.ACTIVE if brings_tokens(outcome) else before.health)
            return
        alike = KINDS.get(before.rejected_code or "") is outcome.confirmation
        count = before.rejections + 1 if alike else 1
        first = before.first_rejected_at if alike and before.first_rejected_at else NOW
        dead = before.expires_at is None or before.expires_at <= NOW
        enough = {
            Confirmation.FAST: count >= 2,
            Confirmation.SLOW: count >= 4,
            Confirmation.SLOWEST: count >= 5 and dead and NOW - first >= DAY,
        }
        after = transition.after
        expected = Health.RELOGIN_REQUIRED if enough[outcome.confirmation] else Health.ACTIVE
        assert (after.health, after.rejections, after.first_rejected_at) == (expected, count, first)
        assert (after.condemned_at is not None) == (after.health is Health.RELOGIN_REQUIRED)

    @given(before=credentials(), outcome=refusals, rule=policies, draw=draws)
    def test_rotation_lost_is_said_exactly_of_a_credential_in_doubt(
        self, before: Credential, outcome: Rejected, rule: RefreshPolicy, draw: float
    ) -> None:
        """A lost rotation is our window, a withdrawn consent the user's will: two reasons, two alerts (R7)."""
        event = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw).event
        if isinstance(event, ReloginRequired):
            assert (event.reason is Reason.ROTATION_LOST) == before.in_doubt

    @pytest.mark.parametrize(
        ("codes", "health"),
        [
            (["invalid_grant"], Health.ACTIVE),
            (["invalid_grant"] * 2, Health.RELOGIN_REQUIRED),
            (["invalid_grant", "token_inactive"], Health.RELOGIN_REQUIRED),
            (["bad_refresh_token"] * 2, Health.RELOGIN_REQUIRED),
            (["invalid_request"] * 3, Health.ACTIVE),
            (["invalid_request"] * 4, Health.RELOGIN_REQUIRED),
            (["invalid_request", "invalid_scope"] * 2, Health.RELOGIN_REQUIRED),
            (["http_400"] * 20, Health.ACTIVE),
            (["http_400", "invalid_grant"], Health.ACTIVE),
            (["invalid_request", "invalid_grant"], Health.ACTIVE),
            (["invalid_grant", "invalid_request", "invalid_grant"], Health.ACTIVE),
        ],
    )
    def test_refusals_count_in_a_row_and_within_their_class(self, codes: list[str], health: Health) -> None:
        """A weak refusal never makes a strong one count sooner; another name for the same goes on counting."""
        assert refuse(credential(), *codes).health == health

    def test_an_unexplained_refusal_takes_five_in_a_day_and_a_dead_token(self) -> None:
        """A gateway that answers 401 for a day is believed only when nobody has a living token to lose."""
        codes = ["http_401", "http_400", "unknown_error", "http_401", "http_401"]
        after = refuse(credential(), *codes, every=6 * HOUR)
        assert (after.health, after.reason) == (Health.RELOGIN_REQUIRED, Reason.UNEXPLAINED_REFUSAL)
        assert refuse(credential(), *codes, every=5 * HOUR).health == Health.ACTIVE
        assert refuse(credential(expires_at=NOW + 9 * DAY), *codes, every=6 * HOUR).health == Health.ACTIVE

    @pytest.mark.parametrize("between", [UNANSWERED, Deferred(code="x"), Misconfigured(code="x")])
    def test_other_troubles_between_do_not_restart_the_count(self, between: Outcome) -> None:
        """A confirmation that got no answer is asked again, not begun again."""
        once = refuse(credential(), "invalid_grant")
        assert apply(apply(once, between).after, rejected()).after.health == Health.RELOGIN_REQUIRED

    def test_the_first_refusal_is_asked_once_more_and_shown_to_nobody(self) -> None:
        """Consumers learn of a refusal when it is believed, and the doubt before it is not forgotten meanwhile."""
        transition = apply(credential(in_doubt=True), rejected())
        after = transition.after
        assert (after.health, after.in_doubt, after.next_attempt_at) == (Health.ACTIVE, True, NOW + 45 * SECOND)
        assert (transition.visible, transition.stream) == (False, ())
        assert isinstance(transition.event, RefreshRejected)

    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            ("invalid_grant", Reason.REFUSED),
            ("bad_refresh_token", Reason.REFUSED),
            ("access_denied", Reason.LOGIN_REFUSED),
            ("invalid_scope", Reason.SCOPE_REFUSED),
        ],
    )
    def test_the_reason_is_one_of_ours(self, code: str, reason: Reason) -> None:
        """Operators and consumers read a closed list, never a provider's words."""
        assert refuse(credential(), *[code] * 4).reason == reason

    def test_a_refusal_of_the_condemned_counts_for_no_storm(self) -> None:
        """Ten dead logins tried once more are no outage: only a refusal that would call a person counts (R10)."""
        once = refuse(credential(), "invalid_grant")
        condemned = refuse(credential(), "invalid_grant", "invalid_grant")
        verdicts = [would_condemn(one, rejected(), now=NOW) for one in (credential(), once, condemned)]
        assert verdicts == [False, True, False]

    def test_in_a_storm_nobody_is_condemned_and_asked_again_ever_more_slowly(self) -> None:
        """The refusal is counted, said to be one of a storm, and costs neither token nor login (R10)."""
        before, waits = refuse(credential(in_doubt=True), "invalid_grant"), []
        for _ in range(4):
            transition = settle(before, rejected(), policy(), sent_at=SENT, now=NOW, draw=0.5, storm=True)
            before = transition.after
            assert (before.health, before.in_doubt, before.condemned_at) == (Health.ACTIVE, True, None)
            assert (transition.visible, transition.withdraw_access) == (False, False)
            assert isinstance(transition.event, RefreshRejected)
            assert transition.event.storm is True
            assert before.next_attempt_at is not None
            waits.append(before.next_attempt_at - NOW)
        assert (before.rejections, waits) == (5, [5 * MINUTE, 10 * MINUTE, 12 * MINUTE, 12 * MINUTE])

    def test_a_storm_does_not_hold_up_a_first_confirmation(self) -> None:
        """A refusal that would condemn nobody yet is asked again after 45 seconds, in fair weather or foul."""
        transition = settle(credential(), rejected(), policy(), sent_at=SENT, now=NOW, draw=0.5, storm=True)
        assert transition.after.next_attempt_at == NOW + 45 * SECOND
        assert isinstance(transition.event, RefreshRejected)
        assert transition.event.storm is False

    def test_condemnation_withdraws_the_token_and_plans_the_healing(self) -> None:
        """A dead login's token leaves Redis at once, and is tried again after an hour."""
        transition = apply(refuse(credential(in_doubt=True), "invalid_grant"), rejected())
        after = transition.after
        assert (after.health, after.reason, after.in_doubt) == (Health.RELOGIN_REQUIRED, Reason.ROTATION_LOST, False)
        assert (transition.withdraw_access, transition.stream) == (True, (StreamEvent.RELOGIN_REQUIRED,))
        assert (after.expires_at, after.issued_at, after.refresh_at) == (None, None, None)
        assert (after.condemned_at, after.next_attempt_at) == (NOW, NOW + HOUR)

    def test_healing_is_tried_after_an_hour_and_a_day_and_then_no_more(self) -> None:
        """Two more chances, told as one quiet line each, counted from the condemnation."""
        condemned = refuse(credential(), "invalid_grant", "invalid_grant", every=timedelta(0))
        once = apply(condemned, rejected(), now=NOW + HOUR)
        twice = apply(once.after, rejected(), now=NOW + DAY)
        assert [one.after.next_attempt_at for one in (once, twice)] == [NOW + DAY, None]
        assert isinstance(twice.event, HealingFailed)
        assert (twice.visible, twice.stream, twice.after.condemned_at) == (False, (), NOW)

    def test_a_doubt_of_a_healing_is_shown_and_ends_with_its_refusal(self) -> None:
        """A healing that got no answer is in doubt like any attempt, and Redis learns of both ends of it."""
        condemned = refuse(credential(), "invalid_grant", "invalid_grant")
        doubtful = apply(condemned, UNANSWERED)
        refused = apply(doubtful.after, rejected())
        assert [(one.after.in_doubt, one.visible) for one in (doubtful, refused)] == [(True, True), (False, True)]
        assert refused.after.reason == Reason.REFUSED

    def test_a_success_heals(self) -> None:
        """A provider's own mistake is undone without a person, and everybody is told."""
        transition = apply(refuse(credential(in_doubt=True), "invalid_grant", "invalid_grant"), refreshed())
        after = transition.after
        assert (after.health, after.reason, after.condemned_at, after.rejections) == (Health.ACTIVE, None, None, 0)
        assert (after.rejected_code, after.first_rejected_at) == (None, None)
        assert transition.stream == (StreamEvent.RECOVERED, StreamEvent.REFRESHED)
        assert isinstance(transition.event, CredentialRefreshed)
        assert (transition.event.recovered, transition.event.lead) == (True, None)


class TestSchedule:
    """A row without a next attempt is forgotten for ever."""

    @given(before=credentials(), outcome=outcomes, rule=policies, draw=draws)
    def test_a_next_attempt_is_always_set_but_after_the_last_healing(
        self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float
    ) -> None:
        """Nothing falls off the schedule by itself while its login may live."""
        transition = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw)
        condemned_at = before.condemned_at or NOW
        finished = isinstance(transition.event, HealingFailed) and condemned_at + DAY <= NOW
        assert (transition.after.next_attempt_at is None) == finished

    @given(before=credentials(), outcome=st.one_of(deferrals, doubts, refusals), rule=policies, draw=draws)
    def test_a_failure_is_never_repeated_at_once(
        self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float
    ) -> None:
        """No outcome turns the tick into a hammer."""
        after = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw).after
        assert after.next_attempt_at is None or after.next_attempt_at > NOW

    @given(
        before=credentials(), outcome=successes.filter(lambda one: one.access is not None), rule=policies, draw=draws
    )
    def test_a_success_is_scheduled_within_the_new_tokens_life(
        self, before: Credential, outcome: Refreshed, rule: RefreshPolicy, draw: float
    ) -> None:
        """Failures are forgotten and the next turn lies inside the life of what was just received."""
        after = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw).after
        assert after.next_attempt_at is not None
        assert after.expires_at is not None
        assert SENT <= after.next_attempt_at < after.expires_at
        assert (after.failures, after.in_doubt) == (0, False)
        assert after.lane in (Lane.ORDINARY, Lane.ENDING)


class TestVisibility:
    """Redis is written when what it shows changed, and only then."""

    @given(before=credentials(), outcome=outcomes, rule=policies, draw=draws)
    def test_visible_exactly_when_what_redis_shows_changed(
        self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float
    ) -> None:
        """A change that is not published leaves consumers with old facts; a revision without one is noise."""
        transition = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw)
        changed = transition.access is not None or shown(transition.after) != shown(before)
        assert transition.visible == changed

    @given(before=credentials(), outcome=outcomes, rule=policies, draw=draws)
    def test_every_stream_event_comes_with_a_visible_change(
        self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float
    ) -> None:
        """Events ride on a revision; without one they would wait for the next."""
        transition = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw)
        assert transition.visible or transition.stream == ()
        assert (StreamEvent.REFRESHED in transition.stream) == (transition.access is not None)
        recovered = before.health is Health.RELOGIN_REQUIRED and transition.after.health is Health.ACTIVE
        assert (StreamEvent.RECOVERED in transition.stream) == recovered

    def test_lead_is_the_life_left_in_the_old_token(self) -> None:
        """The main objective of the metrics: at or below zero is late."""
        event = apply(credential(expires_at=NOW - MINUTE), refreshed()).event
        assert isinstance(event, CredentialRefreshed)
        assert (event.lead, event.lifetime) == (-MINUTE, HOUR)


class TestRelogin:
    """Both readings of the refresh token's end, and the warnings before it."""

    @given(before=credentials(), outcome=outcomes, rule=policies, draw=draws)
    def test_a_warning_step_is_never_raised_here(
        self, before: Credential, outcome: Outcome, rule: RefreshPolicy, draw: float
    ) -> None:
        """Only the sweep that also tells people may count a warning as given."""
        after = settle(before, outcome, rule, sent_at=SENT, now=NOW, draw=draw).after
        assert 0 <= after.relogin_step <= before.relogin_step
        if not brings_tokens(outcome):
            assert (after.relogin_step, after.relogin_by) == (before.relogin_step, before.relogin_by)

    def test_a_rung_that_a_refresh_has_passed_is_left_to_the_sweep(self) -> None:
        """A success close to the end does not swallow the warning that nobody has been given yet."""
        late = credential(login_at=NOW - 29 * DAY - HOUR, relogin_step=1)
        assert apply(late, refreshed()).after.relogin_step == 1

    def test_the_pessimistic_deadline_counts_from_the_login(self) -> None:
        """Rotations do not move a deadline that may be absolute; given warnings stay given."""
        late = credential(login_at=NOW - 28 * DAY, relogin_step=2)
        transition = apply(late, refreshed())
        assert (transition.after.relogin_by, transition.after.relogin_step) == (NOW + 2 * DAY, 2)
        assert (transition.proves_sliding, transition.warnings_left) == (False, 2)

    def test_a_sliding_deadline_moves_with_each_rotation_and_takes_warnings_back(self) -> None:
        """A refresh after two warnings begins a new 30 days; the warnings would be given again near its end."""
        after = apply(
            credential(login_at=NOW - 90 * DAY, rotated_at=NOW - 28 * DAY, relogin_step=2),
            refreshed(),
            policy(lifetime_from=LifetimeFrom.ROTATION),
        ).after
        assert (after.relogin_by, after.relogin_step) == (SENT + 30 * DAY, 0)

    @pytest.mark.parametrize("reading", [LifetimeFrom.UNKNOWN, LifetimeFrom.LOGIN])
    @pytest.mark.parametrize("access", [True, False])
    def test_a_success_past_the_absolute_deadline_proves_sliding(self, reading: LifetimeFrom, *, access: bool) -> None:
        """The flag is cleared and the proof recorded: the pessimistic reading was wrong (protocol §1)."""
        late = credential(login_at=NOW - 31 * DAY, relogin_step=3)
        transition = apply(late, refreshed(access=access), policy(lifetime_from=reading))
        assert transition.proves_sliding is True
        assert (transition.after.relogin_by, transition.after.relogin_step) == (SENT + 30 * DAY, 0)

    @pytest.mark.parametrize("sent_after", [-SECOND, timedelta(0)])
    def test_a_success_up_to_the_deadline_proves_nothing(self, sent_after: timedelta) -> None:
        """A request sent before the end may be honoured under either reading."""
        due = credential(login_at=NOW - 30 * DAY)
        transition = settle(due, refreshed(), policy(), sent_at=NOW + sent_after, now=NOW + MINUTE, draw=0)
        assert (transition.proves_sliding, transition.after.relogin_by) == (False, NOW)

    def test_proven_sliding_is_believed_at_once(self) -> None:
        """The end that was proved counts from the last rotation, even when this success brought no new refresh token."""
        proven = credential(login_at=NOW - 40 * DAY, rotated_at=NOW - 10 * DAY, relogin_step=3)
        transition = apply(proven, refreshed(refresh_token=None))
        assert (transition.proves_sliding, transition.after.relogin_by) == (True, NOW + 20 * DAY)

    @pytest.mark.parametrize("access", [True, False])
    def test_a_warning_given_while_the_request_was_under_way_is_taken_back(self, *, access: bool) -> None:
        """The store keeps the smaller of its own count and this one: none after a new 30 days, one of seven days' notice."""
        sliding = policy(lifetime_from=LifetimeFrom.ROTATION)
        renewed = apply(credential(), refreshed(access=access), sliding)
        late = apply(credential(login_at=NOW - 25 * DAY), refreshed(access=access))
        assert [one.warnings_left for one in (renewed, late)] == [0, 1]

    @pytest.mark.parametrize("outcome", [UNANSWERED, Deferred(code="x"), rejected(), Misconfigured(code="x")])
    def test_without_tokens_no_warning_is_taken_back(self, outcome: Outcome) -> None:
        """What brings nothing moves no deadline."""
        assert apply(credential(relogin_step=2), outcome).warnings_left == ALL_WARNINGS

    @pytest.mark.parametrize("reading", list(LifetimeFrom))
    def test_a_refresh_token_that_outlives_every_end_is_dated_from_its_last_use(self, reading: LifetimeFrom) -> None:
        """A provider that never rotates: a deadline that a success has disproved warns nobody any longer."""
        old = credential(login_at=NOW - 40 * DAY, rotated_at=NOW - 40 * DAY, relogin_step=3)
        after = apply(old, refreshed(refresh_token=None), policy(lifetime_from=reading)).after
        assert (after.relogin_by, after.relogin_step) == (SENT + 30 * DAY, 0)

    def test_without_an_end_there_is_nothing_to_prove_or_to_warn_of(self) -> None:
        """A provider that names no lifetime never flags a credential."""
        transition = apply(credential(relogin_step=1), refreshed(), policy(refresh_lifetime=None))
        assert (transition.after.relogin_by, transition.after.relogin_step) == (None, 0)
        assert transition.proves_sliding is False


class TestScope:
    """The scope on refresh is what was granted last (protocol §1, §3)."""

    @pytest.mark.parametrize(
        ("granted", "stored", "anomalies"),
        [
            (None, "offline account", ()),
            ("account offline", "account offline", ()),
            ("offline", "offline", ("scope_narrowed",)),
            ("account", "account", ("scope_narrowed", "required_scope_missing")),
        ],
    )
    def test_a_narrower_scope_is_stored_and_warned_about(
        self, granted: str | None, stored: str, anomalies: tuple[str, ...]
    ) -> None:
        """An omitted scope means the same as before (RFC 6749 §5.1); a narrower one is kept and said."""
        transition = apply(credential(), refreshed(scope=granted), policy(required_scope="offline"))
        assert isinstance(transition.event, CredentialRefreshed)
        assert (transition.after.scope, transition.event.anomalies) == (stored, anomalies)


class TestTelling:
    """The event is all that logs, metrics and people get of a transition; it says what the row says."""

    @pytest.mark.parametrize("case", states.CASES)
    @pytest.mark.parametrize("state", states.STATES)
    def test_the_event_says_of_whom_it_speaks_and_what_comes_next(self, state: str, case: str) -> None:
        """An alert that names another row, another generation or another time sends people to the wrong place."""
        one, before, at = states.CASES[case], states.STATES[state], states.NOW
        outcome = worded(one.outcome)
        done = settle(before, outcome, one.policy, sent_at=at, now=at, draw=states.DRAW, storm=one.storm)
        told, row = facts(done.event), facts(done.after)
        shared = told.keys() & row.keys()
        assert {"id", "client", "generation"} <= shared
        assert {name: told[name] for name in shared} == {name: row[name] for name in shared}
        assert (told.get("code", outcome.code), told.get("detail", WORDS)) == (outcome.code, WORDS)

    @pytest.mark.parametrize("doubt", [True, False])
    def test_a_doubt_that_a_success_ends_is_told(self, *, doubt: bool) -> None:
        """How often a lost answer was made good is the measure of R7."""
        event = apply(credential(in_doubt=doubt), refreshed()).event
        assert isinstance(event, CredentialRefreshed)
        assert event.doubt_resolved is doubt

    @pytest.mark.parametrize("phase", Phase)
    @pytest.mark.parametrize("kind", [Deferred, Uncertain, Misconfigured])
    def test_how_far_the_request_came_is_kept_as_evidence(
        self, kind: type[Deferred | Uncertain | Misconfigured], phase: Phase
    ) -> None:
        """Whether bytes had left decides who is believed when a provider says it never saw them."""
        assert apply(credential(), kind(code="x", phase=phase)).phase is phase

    @pytest.mark.parametrize("outcome", [refreshed(), refreshed(access=False), rejected()])
    def test_tokens_and_refusals_are_answers(self, outcome: Outcome) -> None:
        """Nobody else can have sent them."""
        assert apply(credential(), outcome).phase is Phase.ANSWERED


WORDS = "what the provider said"


def worded(outcome: Outcome) -> Outcome:
    return outcome if isinstance(outcome, Refreshed) else replace(outcome, detail=WORDS)


def facts(one: Event | Credential) -> dict[str, object]:
    return {field.name: getattr(one, field.name) for field in fields(one)}
