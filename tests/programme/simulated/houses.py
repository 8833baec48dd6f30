"""The registrations of a simulated world: one provider for each way that providers have been seen to behave."""

from dataclasses import dataclass
from datetime import timedelta

from refreshd.demo.dialects import Dialect
from refreshd.demo.grants import Grace, Rules
from refreshd.domain.client import AuthMethod, Client, Limits
from refreshd.domain.credential import ClientName
from refreshd.domain.policy import LifetimeFrom, RefreshPolicy, commit_share, request_timing
from refreshd.service.refresher import Registration

DAY = 86400.0
REQUEST_TIMEOUT = timedelta(seconds=90)
SETTLE_DELAY = timedelta(seconds=60)
COMMIT_TIMEOUT = timedelta(seconds=10)
LIMITS = Limits(max_in_flight=16, max_rate=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """One client and the rules of its provider. `share`: of all credentials of a world, in parts of the whole."""

    name: ClientName
    rules: Rules
    share: int = 1
    limits: Limits = LIMITS

    @property
    def grace(self) -> float:
        return self.rules.grace_seconds if self.rules.grace is not Grace.NONE else 0.0

    @property
    def settle_delay(self) -> float:
        return self.registration().policy.settle_delay.total_seconds()

    def registration(self) -> Registration:
        """As the wiring makes it from a configuration that knows the provider's grace."""
        grace, lifetime = timedelta(seconds=self.grace), self.rules.refresh_lifetime
        deadline, settle = request_timing(grace, request_timeout=REQUEST_TIMEOUT, settle_delay=SETTLE_DELAY)
        policy = RefreshPolicy(
            access_lifetime=timedelta(seconds=self.rules.access_lifetime),
            refresh_lifetime=timedelta(seconds=lifetime) if lifetime is not None else None,
            lifetime_from=LifetimeFrom.UNKNOWN,
            refresh_before_expiry=timedelta(minutes=5),
            spread=0.05,
            scan_interval=timedelta(seconds=1),
            request_timeout=deadline,
            settle_delay=settle,
            commit_timeout=commit_share(grace, COMMIT_TIMEOUT, request_timeout=deadline),
            reuse_grace=grace,
            warn_before=(timedelta(days=7), timedelta(days=3), timedelta(days=1)),
            required_scope="offline",
        )
        client = Client(
            name=self.name,
            token_endpoint="https://provider.example/token",
            auth_method=AuthMethod.NONE,
            client_id=self.name,
            client_secret=None,
            request_timeout=deadline,
        )
        return Registration(client=client, policy=policy)


def _house(name: str, share: int, **rules: object) -> House:
    return House(name=ClientName(name), share=share, rules=Rules(**rules))  # type: ignore[arg-type]  # named as there


HOUSES = (
    _house("strict", 6),
    _house("chain", 2, dialect=Dialect.HYDRA_1_10),
    _house("ancient", 1, dialect=Dialect.HYDRA_1_0),
    _house("lenient", 1, dialect=Dialect.HYDRA_1_4),
    _house("forgiving", 4, grace=Grace.SAME, grace_seconds=60.0),
    _house("branching", 2, grace=Grace.NEW, grace_seconds=30.0),
    _house("still", 2, rotates=False),
    _house("absolute", 1, sliding=False),
    _house("daily", 1, access_lifetime=DAY, refresh_lifetime=14 * DAY),
)
