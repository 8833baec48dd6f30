"""Counts over all credentials, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from refreshd.domain.credential import ClientName


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFigures:
    """Counts over one client's rows. `by_status` has every status that occurs."""

    by_status: Mapping[str, int] = field(default_factory=dict)
    relogin_soon: int = 0
    access_tokens_expired: int = 0
    in_doubt: int = 0
    next_relogin_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts over all rows, taken on a read connection once a minute."""

    clients: Mapping[ClientName, ClientFigures]
    due: int
    overdue: timedelta
    publish_pending: int
    rows_by_key: Mapping[str, int]
    last_commit_at: datetime | None
