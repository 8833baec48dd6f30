"""What one outcome changes, as a value: decided by `settle`, written by the store, told to the world."""

from dataclasses import dataclass

from refreshd.domain.credential import AccessToken, Credential
from refreshd.domain.events import Event, StreamEvent
from refreshd.domain.outcome import Phase
from refreshd.domain.secret import Secret

ALL_WARNINGS = 1000
"""More than any ladder has: no warning is taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What the store writes, what Redis shows, and what the world is told.

    `refresh_token` and `access` None: keep the stored ones. `withdraw_access`: the stored access token is erased.
    `visible`: the change counts a revision. `stream`: events for the Redis stream, in order. `warnings_left`: how many of the
    warnings given stay; the store keeps the smaller of this and what the row has, as one may be given during the request.
    `phase`: how far the request came. `adopts`: the rescued token that this makes the row's own. `proves_sliding`: a refresh
    token worked past its end, so the provider counts from the last rotation.
    """

    after: Credential
    event: Event
    refresh_token: Secret | None = None
    access: AccessToken | None = None
    withdraw_access: bool = False
    visible: bool = False
    stream: tuple[StreamEvent, ...] = ()
    proves_sliding: bool = False
    warnings_left: int = ALL_WARNINGS
    phase: Phase = Phase.ANSWERED
    adopts: int | None = None

    @property
    def has_tokens(self) -> bool:
        return self.refresh_token is not None or self.access is not None
