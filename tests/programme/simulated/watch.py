"""The invariants of a simulated world. Each look defends one promise of the protocol; what happened is counted beside it."""

import hashlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from refreshd.demo.dialects import Verdict
from refreshd.demo.grants import Family, Grace
from refreshd.domain.credential import AttemptId, ClientName, Credential, Health, moved
from refreshd.domain.events import (
    ClientThrottled,
    ClockStepped,
    CredentialRefreshed,
    Event,
    GrantStormBegan,
    GrantStormEnded,
    ReloginRequired,
    RevisionAhead,
    TaskCrashed,
)
from refreshd.domain.outcome import Outcome, Uncertain
from refreshd.domain.transition import Transition
from refreshd.ports.store import Attempt, Committed, Conflict
from tests.programme.simulated.network import Look, Provider, Sending
from tests.programme.virtual_time import Timeline

EVERYBODY = "everybody"
SLACK = 0.01
RECOVERY = 15 * 60.0
REMEMBERED = 8
MOST = 50
LOSING = frozenset({"LoseAnswer", "TruncateAnswer", "OtherAnswer", "DelayRequest", "DripAnswer", "Latency"})


@dataclass(frozen=True, slots=True)
class Claim:
    """Why a token may be presented: what its row said when it was claimed."""

    credential: str
    meant: bool
    claimed_at: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that we did, and to whom. Instants are the timeline's."""

    began: float
    ended: float
    whose: str
    what: str


class Watch:
    """Told by everything that stands around the daemon. `violations` hold the instant and what was broken."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.providers: Mapping[ClientName, Provider] = {}
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.digest = hashlib.blake2b(digest_size=16)
        self.condemned: dict[str, float] = {}
        self.condemned_in_vain: set[str] = set()
        self.sendings: dict[str, list[Sending]] = {}
        self.stepped_at = -1e9
        self.stepped_by = 0.0
        self.restored_at = -1e9
        self.hurried_at = -1e9
        self.step_is_seen = True
        self.blind = False
        self._recent: dict[str, deque[str]] = {}
        self._claims: dict[str, Claim] = {}
        self._under_way: dict[int, Sending] = {}
        self._troubles: deque[Trouble] = deque(maxlen=400)
        self._troubled: dict[str, float] = {}
        self._storm_over_at: dict[str, float] = {}
        self._duplicated: set[str] = set()
        self._lost: set[str] = set()
        self._replaced: set[str] = set()
        self._moved = timedelta(0)
        self._as_claimed: dict[AttemptId, tuple[Credential, timedelta]] = {}

    # What is told

    def note(self, kind: str, detail: str = "") -> None:
        """Into the digest by which two runs of a seed are compared."""
        self.digest.update(f"{self._timeline.now:.6f} {kind} {detail}\n".encode())

    def broken(self, what: str) -> None:
        if len(self.violations) < MOST:
            self.violations.append(f"{self._timeline.now:.3f} s: {what}")
        self.note("broken", what)

    def trouble(self, whose: str, what: str, *, lasts: float = 0.0) -> None:
        """Something of ours begins: for a credential, a client or everybody."""
        now = self._timeline.now
        self.counts[what] += 1
        self.note(what, whose)
        self._troubles.append(Trouble(now, now + lasts, whose, what))
        self._troubled[whose] = max(self._troubled.get(whose, 0.0), now + lasts)

    def troubled(self, whose: str, what: str) -> None:
        """A request met what we had prepared."""
        self._troubled[whose] = max(self._troubled.get(whose, 0.0), self._timeline.now)
        self.counts[what] += 1

    def claimed(self, attempt: Attempt) -> None:
        before = attempt.credential
        meant = before.in_doubt or before.rejections > 0 or before.health is not Health.ACTIVE
        self._claims[_token(attempt)] = Claim(before.id, meant, self._timeline.now)
        self._as_claimed[attempt.id] = before, self._moved

    def sent(self, provider: Provider, token: str) -> Sending:
        """The first byte leaves now."""
        claim = self._claims.pop(token)
        earlier = [one for one in self.sendings.get(token, []) if not one.refused and not _kept(one)]
        self._check_presented_once(provider, claim, earlier)
        if not provider.house.grace:
            self._check_settled(provider.house.settle_delay, claim, earlier)
        sending = Sending(
            token=token, credential=claim.credential, claimed_at=claim.claimed_at, sent_at=self._timeline.now
        )
        self._remember(sending, earlier)
        self._under_way[id(sending)] = sending
        self.counts["requests"] += 1
        return sending

    def ended(self, sending: Sending, outcome: Outcome, client: str) -> None:
        if isinstance(outcome, Uncertain):
            sending.ended_at = self._timeline.now
            self.counts["lost answers"] += sending.granted
        else:
            sending.answered = True
        if sending.fault or isinstance(outcome, Uncertain):
            self._troubled[sending.credential] = self._timeline.now
            self.counts[f"met {sending.fault or 'deadline'}"] += 1
        del client

    def died(self) -> None:
        """The process is gone, and with it every answer that was not stored, and a clock step that it had not seen."""
        if not self.step_is_seen:
            self.stepped_at, self.step_is_seen = self._timeline.now, True
        for sending in self._under_way.values():
            sending.crashed = True
            self._troubled[sending.credential] = self._timeline.now
            self.counts["crashed in flight"] += 1
            self.counts["lost answers"] += sending.granted
            if not sending.answered and sending.ended_at is None:
                sending.ended_at = sending.sent_at
        self._under_way.clear()

    def judged(self, provider: Provider, look: Look) -> None:
        """The grant check has looked at a token."""
        token, family, sending = look.token, look.family, look.sending
        self.note("presented", f"{token} {look.granted}")
        late = sending is not None and (sending.crashed or sending.ended_at is not None)  # nobody waits for it any more
        if sending is None or late:
            self.counts["duplicates"] += 1
            self._duplicated.add(family.id + provider.house.name)
            self._troubled[family.id] = self._timeline.now
            self.counts["logins lost to duplicates"] += look.was_alive and not family.alive
            if look.granted:
                self._replaced.add(family.id + provider.house.name)
        elif look.granted:
            self._replaced.discard(family.id + provider.house.name)
        elif token not in self._lost:
            self._check_refusal(provider, token, family, sending)

    def committed(self, attempt: Attempt, transition: Transition, verdict: Committed | Conflict) -> None:
        """The store has taken an answer, or refused it."""
        token = _token(attempt)
        mine = [one for one in self.sendings.get(token, []) if id(one) in self._under_way]
        for sending in mine:
            del self._under_way[id(sending)]
        if isinstance(verdict, Conflict):
            for sending in mine:
                sending.rescued, sending.crashed = verdict.rescued, True
            self.counts["rescued tokens" if verdict.rescued else "dropped answers"] += 1
            return
        for sending in mine:
            sending.stored = transition.has_tokens
            if _kept(sending):
                self.sendings[token] = []  # this provider does not rotate: the token is as good as new
        self.counts["adopted tokens"] += transition.adopts is not None
        before, moved_before = self._as_claimed.pop(attempt.id)
        self._check_scope(moved(before, self._moved - moved_before), transition)
        if transition.after.health is Health.RELOGIN_REQUIRED and attempt.credential.health is Health.ACTIVE:
            self._check_condemned(attempt, transition)

    @property
    def in_flight(self) -> int:
        """Requests whose first byte has left and whose answers are not stored."""
        return len(self._under_way)

    def disturbed(self, credential: str) -> None:
        """What an operator does to a credential may make it late for a while."""
        self._troubled[credential] = self._timeline.now

    def stepped(self, by: float, *, up: bool) -> None:
        """Our wall clock jumps. Who does not run does not see it, and who does sees two jumps between two looks as one."""
        if by > 0:
            self.hurried_at = self._timeline.now
        if not up or not self.step_is_seen:
            self.stepped_at, self.stepped_by = self._timeline.now, abs(by)
        if up:
            self.step_is_seen = False

    def has_replaced(self, provider: Provider, family: Family) -> bool:
        """Whether a copy of a request of ours, or one that came late, made the provider give another access token than ours."""
        return family.id + provider.house.name in self._replaced

    def storm_over(self, client: str) -> None:
        """The daemon or an operator ended a grant storm."""
        self._storm_over_at[client] = self._timeline.now

    def restored(self) -> None:
        """The store is an old one: what Redis has seen of it counts no more."""
        self.restored_at = self._timeline.now

    def forget(self, token: str) -> None:
        """What is presented next is an operator's decision."""
        self.sendings.pop(token, None)

    def risked(self, provider: Provider, family: Family) -> None:
        """An operator lets a token be presented that may be an old one."""
        self._duplicated.add(family.id + provider.house.name)

    def on_event(self, event: Event, now: datetime) -> None:
        if event.level != "none":
            self.counts[event.name] += 1
            self.note(event.name, getattr(event, "id", ""))
        match event:
            case CredentialRefreshed():
                self.counts["refreshes"] += 1
                self.counts["doubts recovered"] += event.doubt_resolved
                self._check_in_time(event)
                self.condemned.pop(event.id, None)
                self.condemned_in_vain.discard(event.id)
            case GrantStormEnded():
                self.storm_over(event.client)
            case ClockStepped(by=by, schedule_moved=schedule_moved):
                self.step_is_seen = True
                self._moved += by if schedule_moved else timedelta(0)
            case ClientThrottled():
                self.trouble(event.client, "throttling by answers", lasts=(event.until - now).total_seconds())
            case RevisionAhead() if self.restored_at < 0:
                self.broken(f"{event.id}: revision {event.revision} went back")
            case TaskCrashed():
                self.broken(f"task {event.task} crashed: {event.error}\n{event.trace}")
            case ReloginRequired():
                self.condemned[event.id] = self._timeline.now
            case GrantStormBegan():
                self.counts["grant storms seen"] += 1
            case _:
                pass

    # What is looked for

    def _check_presented_once(self, provider: Provider, claim: Claim, earlier: Sequence[Sending]) -> None:
        """A token reaches the grant check once, unless its row was in doubt or being confirmed (R7, R10).

        The end of a grant storm lets what was refused in it begin anew; a restored store does not know what it had sent.
        """
        over = self._storm_over_at.get(provider.house.name, -1e9)
        open_ones = [
            one
            for one in earlier
            if one.sent_at > self.restored_at and not (one.answered and not one.granted and one.sent_at < over)
        ]
        if open_ones and not claim.meant:
            self.broken(f"{claim.credential}: presented again without a doubt: {earlier}")
        if any(one.stored and one.granted for one in earlier) and not self.blind:
            self.broken(f"{claim.credential}: a token that was rotated away is presented again: {earlier}")
        self.counts["presented again"] += bool(earlier)

    def _check_settled(self, settle_delay: float, claim: Claim, earlier: Sequence[Sending]) -> None:
        """Our own delayed request must have died before the token is presented again (R8); after a crash since the claim."""
        now = self._timeline.now
        for one in earlier:
            if one.answered or max(self.stepped_at, self.hurried_at) >= one.claimed_at:
                continue
            if one.ended_at is None:
                self.broken(f"{claim.credential}: presented while an earlier request is under way")
                continue
            if now < one.ended_at + settle_delay - SLACK:
                self.counts["repeated soon after a crash"] += 1
            settled_at = (one.claimed_at if one.crashed else one.ended_at) + settle_delay
            if now < settled_at - SLACK:
                self.broken(f"{claim.credential}: presented {settled_at - now:.3f} s before it was settled: {one}")

    def _check_refusal(self, provider: Provider, token: str, family: Family, sending: Sending) -> None:
        """A login dies by a fault between the provider's commit and ours without usable grace, or by a duplicate (§5)."""
        spent = [one for one in self.sendings.get(token, []) if one is not sending and one.granted and one.successor]
        self._lost.add(token)
        if family.id + provider.house.name in self._duplicated or self.blind:
            self.counts["refused after a duplicate"] += 1
        elif family.died_because is Verdict.EXPIRED:
            self.counts["refresh tokens expired"] += 1
            if (
                provider.house.rules.sliding and provider.house.rules.rotates
            ):  # one that never changes ends with its login
                self.broken(f"{sending.credential}: a refresh token was let expire")
        elif family.died_because is Verdict.REVOKED:
            self.counts["consents withdrawn"] += 1
        elif not spent:
            self.broken(f"{sending.credential}: refused, and nobody knows why: {family.died_because}")
        else:
            self._check_loss(provider, spent, sending)

    def _check_loss(self, provider: Provider, spent: Sequence[Sending], sending: Sending) -> None:
        self.counts["logins lost"] += 1
        first, grace = spent[0], provider.house.grace
        if not any(one.crashed or one.fault in LOSING or one.ended_at is not None for one in spent):
            self.broken(f"{sending.credential}: lost without a fault: {spent}")
        if grace:
            hindered = [
                one
                for one in self._troubles
                if one.began <= first.sent_at + grace
                and one.ended >= first.sent_at
                and one.whose in (EVERYBODY, provider.house.name)
            ]
            self.counts["logins lost despite a grace"] += 1
            repeats = len(self.sendings.get(sending.token, [])) - 2  # which met faults of their own
            if not hindered and len(spent) == 1 and repeats <= 0:
                self.broken(f"{sending.credential}: lost within a grace of {grace} s: {spent}, {sending}")

    def _check_scope(self, before: Credential, transition: Transition) -> None:
        """What is the client's or the provider's fault changes no credential (R9)."""
        after = transition.after
        if after.last_outcome not in ("deferred", "misconfigured"):
            return
        self.counts[f"{after.last_outcome} outcomes"] += 1
        kept = all(getattr(before, name) == getattr(after, name) for name in _UNTOUCHED)
        if not kept or transition.has_tokens or transition.withdraw_access:
            self.broken(f"{before.id}: {after.last_outcome} changed it: {before} {after}")

    def _check_condemned(self, attempt: Attempt, transition: Transition) -> None:
        """A person is called only for a login that is dead (R10)."""
        self.counts["relogins"] += 1
        provider, token = self.providers[attempt.credential.client], _token(attempt)
        if not usable(provider, token):
            return
        if self._storming(provider.house.name):
            self.counts["condemned in vain"] += 1
            self.condemned_in_vain.add(attempt.credential.id)
        else:
            self.broken(f"{attempt.credential.id}: condemned although its login lives: {transition.event}")

    def _check_in_time(self, event: CredentialRefreshed) -> None:
        """A healthy credential is never late unless something stood in its way."""
        if event.lead is None or event.lead.total_seconds() >= -1:
            return
        self.counts["late refreshes"] += 1
        expired_at = self._timeline.now + event.lead.total_seconds()
        excuses = (self._troubled.get(whose, -1e9) for whose in (EVERYBODY, event.client, event.id))
        if max(excuses) + RECOVERY < expired_at:
            self.broken(f"{event.id}: refreshed {-event.lead.total_seconds():.1f} s late without a reason")

    def _storming(self, client: str) -> bool:
        now = self._timeline.now
        return any(
            one.what == "grant storms" and one.whose == client and one.began <= now <= one.ended + RECOVERY
            for one in self._troubles
        )

    def _remember(self, sending: Sending, earlier: Sequence[Sending]) -> None:
        """Only what a promise may still be about: a credential's latest tokens."""
        recent = self._recent.setdefault(sending.credential, deque())
        if sending.token not in self.sendings:
            recent.append(sending.token)
            if len(recent) > REMEMBERED:
                oldest = recent.popleft()
                self.sendings.pop(oldest, None)
                self._lost.discard(oldest)
        self.sendings[sending.token] = [*earlier, sending]


_UNTOUCHED = (
    "generation",
    "health",
    "reason",
    "in_doubt",
    "rejections",
    "rejected_code",
    "first_rejected_at",
    "family",
    "expires_at",
    "condemned_at",
)


def usable(provider: Provider, token: str) -> bool:
    """Whether the provider would still take this refresh token."""
    family, issued = provider.ledger.family_of(token), provider.ledger._find(token)
    if family is None or issued is None or not family.alive:
        return False
    at, rules = provider.at, provider.ledger.rules
    if issued.used_at is not None:
        return rules.grace is not Grace.NONE and at - issued.used_at < rules.grace_seconds
    return not provider.ledger._expired(family, issued, at)


def _kept(sending: Sending) -> bool:
    return sending.granted and not sending.successor and sending.stored


def _token(attempt: Attempt) -> str:
    """Every client of these worlds has a login."""
    assert attempt.refresh_token is not None
    return attempt.refresh_token.reveal()
