"""When to refresh, how long to back off, when to warn. Pure arithmetic on instants; chance arrives as `draw` in [0, 1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from refreshd.domain.outcome import Confirmation

BACKOFF_BASE = timedelta(seconds=5)
BACKOFF_CAP = timedelta(minutes=10)
BACKOFF_FLOOR = timedelta(seconds=1)
LEASE_SLACK = timedelta(seconds=5)
LONGEST_COMMIT_WAIT = timedelta(seconds=5)
"""Between two tries to store an answer."""
SIGN_OF_LIFE_EVERY = timedelta(seconds=2)
CONNECT_TIMEOUT = timedelta(seconds=5)
"""For each host of a database, unless `commit_timeout` is shorter or the URL says otherwise."""
SHORTEST_CONNECT = timedelta(seconds=2)
"""libpq takes 1 s for 2."""
SERVER_GRACE = timedelta(seconds=1)
"""What an answer may take beyond the limit that the server itself keeps."""
CONFIRM_AFTER = timedelta(seconds=45)
SLOW_CONFIRMATIONS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
SLOWEST_COUNT = 5
SLOWEST_SPAN = timedelta(hours=24)
STORM_BASE = timedelta(minutes=5)
STORM_CAP = timedelta(minutes=12)
"""A success of one of them ends it for all: so it comes within a quarter of an hour after the provider is well again."""
HEAL_AFTER = (timedelta(hours=1), timedelta(hours=24))
_MAX_DOUBLINGS = 16


class LifetimeFrom(StrEnum):
    """From when a refresh token's lifetime counts. `unknown` is read as from the login: the pessimistic end."""

    LOGIN = "login"
    ROTATION = "rotation"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshPolicy:
    """How one client's credentials are treated. `spread` is a share of the lifetime; `settle_delay` is 0 with a reuse grace."""

    access_lifetime: timedelta
    refresh_lifetime: timedelta | None
    lifetime_from: LifetimeFrom
    refresh_before_expiry: timedelta
    spread: float
    scan_interval: timedelta
    request_timeout: timedelta
    settle_delay: timedelta
    commit_timeout: timedelta
    reuse_grace: timedelta = timedelta(0)
    warn_before: tuple[timedelta, ...] = ()
    required_scope: str = ""

    @property
    def lease(self) -> timedelta:
        """How long one attempt may own a row: request, settling, commit, and slack. Derived, never configured."""
        return self.request_timeout + self.settle_delay + self.commit_timeout + LEASE_SLACK

    @property
    def doubt_cap(self) -> timedelta:
        """The most that a doubt backs off. With a reuse grace, so little that the next request arrives inside it (protocol R8)."""
        if not self.reuse_grace:
            return BACKOFF_CAP
        return max(BACKOFF_FLOOR, min(BACKOFF_CAP, self.reuse_grace - self.request_timeout - LEASE_SLACK))

    @property
    def ladder(self) -> tuple[timedelta, ...]:
        """The warnings that make sense for this refresh token's lifetime, longest first."""
        if self.refresh_lifetime is None:
            return ()
        steps = (step for step in self.warn_before if step < self.refresh_lifetime)
        return tuple(sorted(steps, reverse=True))


def request_timing(
    grace: timedelta, *, request_timeout: timedelta, settle_delay: timedelta
) -> tuple[timedelta, timedelta]:
    """Total deadline and settle delay (protocol R8): patient without a grace, well inside it with one."""
    if not grace:
        return request_timeout, settle_delay
    deadline = min(max(grace / 3, timedelta(seconds=5)), timedelta(seconds=20))
    return min(deadline, request_timeout), timedelta(0)


def commit_share(grace: timedelta, commit_timeout: timedelta, *, request_timeout: timedelta) -> timedelta:
    """How long a commit may take: with a grace no longer than lets the lease end before it (protocol R8), at least a second."""
    if not grace:
        return commit_timeout
    room = grace - request_timeout - LEASE_SLACK - timedelta(seconds=1)
    return min(commit_timeout, max(room, timedelta(seconds=1)))


def failover_pause(*, hosts: int, connect_timeout: timedelta, commit_timeout: timedelta) -> timedelta:
    """How long, after a shared database was away, another daemon may take to bring back the answers that only it has.

    It has just begun a try: an old connection does not answer, then each host is tried. It waits, and the next try meets a dead
    host again before it comes to the new one.
    """
    every_host = hosts * max(connect_timeout, SHORTEST_CONNECT)
    again = max(LONGEST_COMMIT_WAIT, SIGN_OF_LIFE_EVERY)
    return commit_timeout + SERVER_GRACE + every_host + again + every_host + SIGN_OF_LIFE_EVERY


def margin(policy: RefreshPolicy, lifetime: timedelta) -> timedelta:
    """How long before expiry to refresh; shrinks for lives shorter than configured, never below two scans."""
    shrunk = min(policy.refresh_before_expiry, lifetime / 3)
    if lifetime > 2 * policy.refresh_before_expiry:
        shrunk = policy.refresh_before_expiry
    return max(shrunk, 2 * policy.scan_interval)


def refresh_at(policy: RefreshPolicy, *, issued_at: datetime, expires_at: datetime, draw: float) -> datetime:
    """When the token's turn comes: expiry less margin less a spread drawn once, when the token is stored."""
    lifetime = expires_at - issued_at
    early = margin(policy, lifetime) + lifetime * policy.spread * draw
    return max(issued_at, expires_at - early)


def backoff(
    failures: int, *, now: datetime, expires_at: datetime | None, draw: float, cap: timedelta = BACKOFF_CAP
) -> timedelta:
    """Full jitter over 5 s x 2^n up to `cap`; while the access token lives, at most a quarter of what is left."""
    ceiling = min(cap, BACKOFF_BASE * (1 << min(failures, _MAX_DOUBLINGS)))
    if expires_at is not None and expires_at > now:
        ceiling = min(ceiling, (expires_at - now) / 4)
    return max(BACKOFF_FLOOR, ceiling * draw)


def confirmation_wait(confirmation: Confirmation, rejections: int, *, draw: float) -> timedelta:
    """How long to wait before asking again after the `rejections`-th refusal in a row (1 is the first)."""
    match confirmation:
        case Confirmation.FAST:
            return CONFIRM_AFTER * (0.9 + 0.2 * draw)
        case Confirmation.SLOW:
            return SLOW_CONFIRMATIONS[min(rejections, len(SLOW_CONFIRMATIONS)) - 1]
        case Confirmation.SLOWEST:
            return min(timedelta(hours=6), timedelta(minutes=5) * (1 << min(2 * (rejections - 1), 12)))


def storm_wait(rejections: int, *, draw: float) -> timedelta:
    """How long a refused credential waits in a grant storm: 5 min, doubled each time, up to about 12 min."""
    wait = min(STORM_CAP, STORM_BASE * (1 << min(max(rejections - 2, 0), _MAX_DOUBLINGS)))
    return wait * (0.9 + 0.2 * draw)


def is_condemned(
    confirmation: Confirmation,
    rejections: int,
    *,
    first_rejected_at: datetime,
    expires_at: datetime | None,
    now: datetime,
) -> bool:
    """Whether that many refusals are enough to call a person (protocol R10)."""
    match confirmation:
        case Confirmation.FAST:
            return rejections > 1
        case Confirmation.SLOW:
            return rejections > len(SLOW_CONFIRMATIONS)
        case Confirmation.SLOWEST:
            expired = expires_at is None or expires_at <= now
            return rejections >= SLOWEST_COUNT and expired and now - first_rejected_at >= SLOWEST_SPAN


def healing_at(condemned_at: datetime, now: datetime) -> datetime | None:
    """When a condemned credential is tried again: after 1 h and after 24 h, then never by itself."""
    return next((condemned_at + wait for wait in HEAL_AFTER if condemned_at + wait > now), None)


def relogin_by(policy: RefreshPolicy, *, login_at: datetime, rotated_at: datetime) -> datetime | None:
    """By when a person must log in, on the reading that the policy chooses; None when the provider names no end."""
    if policy.refresh_lifetime is None:
        return None
    start = rotated_at if policy.lifetime_from is LifetimeFrom.ROTATION else login_at
    return start + policy.refresh_lifetime


def steps_reached(ladder: Sequence[timedelta], *, deadline: datetime | None, now: datetime) -> int:
    """How many rungs of the warning ladder (longest first) lie behind `now`."""
    if deadline is None:
        return 0
    return sum(1 for step in ladder if deadline - step <= now)
