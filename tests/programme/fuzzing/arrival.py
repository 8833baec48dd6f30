"""What may come of an answer that did not arrive as it was meant, from what would come of it if it had."""

from dataclasses import replace

from tests.programme.fuzzing.judge import REFRESHED, UNCERTAIN, Reading
from tests.programme.fuzzing.legible import readable, stray, visible


def tokens_of(status: int, reading: Reading, body: bytes) -> Reading:
    """What may come of an answer that is broken beside its tokens: those must not be lost, the rest may be."""
    if 200 <= status < 300 and (reading.keep or reading.keep_some):
        return interrupted(status, reading, body)
    return perhaps(reading)


def interrupted(status: int, reading: Reading, body: bytes) -> Reading:
    """What may come of an answer that ended too early: what it has of tokens, or doubt, but no verdict of the provider.

    A token counts that stands there in UTF-8 (RFC 8259 §8.1): half a text in another encoding is nobody's to guess.
    """
    if not 200 <= status < 300:
        return Reading(permitted=frozenset({UNCERTAIN}))
    seen = visible(readable(body))
    if not seen or not (reading.keep or reading.keep_some):
        return replace(perhaps(reading), permitted=frozenset({REFRESHED, UNCERTAIN}))
    found = reading.keep | reading.may_keep | frozenset(seen.values())
    broken = reading.keep_some or stray(seen)
    keep = frozenset() if broken else found
    return replace(reading, permitted=frozenset({REFRESHED}), keep=keep, keep_some=broken, may_keep=found, access=None)


def perhaps(reading: Reading) -> Reading:
    """What may come of an answer that a client may understand or refuse to read."""
    return replace(
        reading,
        permitted=reading.permitted | {UNCERTAIN},
        keep=frozenset(),
        keep_some=False,
        may_keep=reading.keep | reading.may_keep,
        access=None,
    )


def either(one: Reading, other: Reading) -> Reading:
    """What may come of an answer of which the client has read one part or another."""
    return Reading(
        permitted=one.permitted | other.permitted,
        keep=one.keep | other.keep if one.keep and other.keep else frozenset(),
        may_keep=one.keep | one.may_keep | other.keep | other.may_keep,
        may_publish=one.may_publish | other.may_publish,
        wait=one.wait,
        whole=one.whole and other.whole,
    )
