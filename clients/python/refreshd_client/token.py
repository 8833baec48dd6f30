"""One access token as its user needs it."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token that lived when it was read. Its repr does not show it.

    `generation` tells an older token of a credential from a newer one. `expires_at` and `issued_at` are by the clock of refreshd's
    machine: whether a token still lives is counted by Redis, not by these.
    """

    access_token: str = field(repr=False)
    token_type: str
    scope: str
    generation: int
    issued_at: datetime | None
    expires_at: datetime | None

    @property
    def authorization(self) -> str:
        """The value of the Authorization header (RFC 6750)."""
        return f"Bearer {self.access_token}"
