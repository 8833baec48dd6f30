"""A grant storm: so many refusals at once that the provider is at fault, or the environment is the wrong one (protocol R10).

While one rages nobody is condemned; the refused are asked again, and an operator is paged.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

WINDOW = timedelta(minutes=10)
"""Refusals count for so long."""
LONGEST = timedelta(hours=24)
FEW = 4
"""Up to so many credentials of a client, all of them have to be refused."""
LEAST = 5
SHARE = 0.02
"""With more of them this share, and at least `LEAST`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """One client's facts: how many credentials it has, how many were refused within `WINDOW` without a doubt of ours.

    `began_at`: when the storm under way began. `counts_from`: refusals before do not count; in the future after a storm
    was ended by an operator or by its age, so that it does not begin anew from the same refusals.
    """

    credentials: int
    refused: int
    began_at: datetime | None = None
    counts_from: datetime | None = None


class Weather(StrEnum):
    """What one more refusal that would condemn means."""

    CALM = "calm"
    BEGINS = "begins"
    RAGES = "rages"
    OVER = "over"


def judge(refusals: Refusals, *, now: datetime) -> Weather:
    """Whether a credential may be condemned now (calm, over) or not (begins, rages)."""
    if refusals.began_at is not None:
        return Weather.RAGES if abs(now - refusals.began_at) < LONGEST else Weather.OVER
    if refusals.counts_from is not None and now < refusals.counts_from <= now + LONGEST:
        return Weather.CALM
    return Weather.BEGINS if _too_many(refusals) else Weather.CALM


def _too_many(refusals: Refusals) -> bool:
    """All of two to four credentials, else 2 % and at least five. A single credential cannot tell."""
    if refusals.credentials <= FEW:
        return refusals.credentials > 1 and refusals.refused >= refusals.credentials
    return refusals.refused >= max(LEAST, ceil(refusals.credentials * SHARE))
