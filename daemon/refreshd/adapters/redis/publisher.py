"""`Publisher` on redis-py. Time-outs and retries are ours: a timed-out script may have run, and may run again."""

import asyncio
import codecs
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeGuard, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from refreshd.adapters.redis.keys import (
    COMPARE_AND_SET,
    EVENTS_CAP,
    SCHEMA,
    Keyspace,
    Write,
    event_fields,
    relogin_score,
)
from refreshd.domain.credential import CredentialId
from refreshd.domain.secret import Secret
from refreshd.ports.clock import Clock
from refreshd.ports.publisher import Announced, Counters, Published, PublisherUnavailable, Snapshot


def _lenient(fault: UnicodeError) -> tuple[str | bytes, int]:
    """Half a character goes out as it is stored; a byte that is no UTF-8 comes in as a replacement, never as an exception."""
    if isinstance(fault, UnicodeEncodeError):
        return codecs.lookup_error("surrogatepass")(fault)
    return codecs.lookup_error("replace")(fault)


CONNECT_TIMEOUT = 1.0
SOCKET_TIMEOUT = 2.0
CALL_TIMEOUT = 5.0
_LENIENT = "refreshd-lenient"
codecs.register_error(_LENIENT, _lenient)
_RESULTS = {0: Published.STALE, 1: Published.WRITTEN, 2: Published.SAME}


class RedisPublisher:
    """Writes one prefix of one Redis. `identity`: store_id, environment, instance, started_at for PREFIX:meta."""

    def __init__(self, url: Secret, *, prefix: str, identity: Mapping[str, str], clock: Clock) -> None:
        self._redis = Redis.from_url(
            url.reveal(),
            decode_responses=True,
            encoding_errors=_LENIENT,  # one odd token or key must not fail the whole batch
            protocol=2,
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=SOCKET_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            client_name="refreshd",
        )
        self._keys = Keyspace(prefix)
        self._identity = {**identity, "schema": SCHEMA}
        self._clock = clock
        self._sha = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._redis.aclose()

    async def announce(self, *, take: bool = False) -> Announced:
        async with _reachable():
            found = await cast("Any", self._redis.hget(self._keys.meta, "store_id"))
            known = found == self._identity["store_id"]
            if found is not None and not known and not take:
                return Announced(known=False, found_store=found, written=False)
            self._sha = await self._redis.script_load(COMPARE_AND_SET)
            await cast("Any", self._redis.hset(self._keys.meta, mapping=cast("Any", self._identity)))
        return Announced(known=known, found_store=None if known else found)

    async def published(self, ids: Sequence[CredentialId]) -> Mapping[CredentialId, Counters]:
        async with _reachable(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hget(self._keys.meta, "store_id")
            for name in ids:
                pipe.hmget(self._keys.status(name), "generation", "revision", "updated_at")
            owner, *answers = await pipe.execute(raise_on_error=False)
        if owner != self._identity["store_id"]:
            return {}
        found = ((name, _counters(answer)) for name, answer in zip(ids, answers, strict=True))
        return {name: counters for name, counters in found if counters is not None}

    async def intact(self) -> bool:
        async with _reachable():
            found = await cast("Any", self._redis.hget(self._keys.meta, "store_id"))
        return bool(found == self._identity["store_id"])

    async def publish(self, snapshots: Sequence[Snapshot]) -> Sequence[Published]:
        now = self._clock.now()
        writes: list[Write] = []
        spans: list[int] = []
        for snapshot in snapshots:
            token = self._keys.token_write(snapshot, now)
            mine = [self._keys.status_write(snapshot), *([token] if token else [])]
            writes.extend(mine)
            spans.append(len(mine))
        async with _reachable():
            answers = await self._compare_and_set(writes)
            results = _results(answers, spans)
            shown = (Published.WRITTEN, Published.SAME)
            await self._announce_changes(
                [one for one, result in zip(snapshots, results, strict=True) if result in shown]
            )
        refusal = _refusal(answers)
        if refusal and all(result is Published.FAILED for result in results):
            raise PublisherUnavailable(f"every write was refused: {refusal}")
        return results

    async def _compare_and_set(self, writes: Sequence[Write]) -> Sequence[object]:
        answers = await self._pipeline(writes)
        if any(isinstance(answer, NoScriptError) for answer in answers):  # restarted, or SCRIPT FLUSH
            self._sha = await self._redis.script_load(COMPARE_AND_SET)
            answers = await self._pipeline(writes)
        return answers

    async def _pipeline(self, writes: Sequence[Write]) -> Sequence[object]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for write in writes:
                pipe.evalsha(self._sha, 1, *write.arguments())
            return cast("Sequence[object]", await pipe.execute(raise_on_error=False))

    async def _announce_changes(self, snapshots: Sequence[Snapshot]) -> None:
        """The sorted set and the stream, at least once; after the hashes, so that a reader finds what it is told of."""
        if not snapshots:
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            scores = {snapshot.id: relogin_score(snapshot) for snapshot in snapshots}
            if well := [name for name, score in scores.items() if score is None]:
                pipe.zrem(self._keys.relogin, *well)
            if needed := {str(name): score for name, score in scores.items() if score is not None}:
                pipe.zadd(self._keys.relogin, needed)
            for snapshot in snapshots:
                for kind in snapshot.events:
                    fields = cast("Any", event_fields(snapshot, kind))
                    pipe.xadd(self._keys.events, fields, maxlen=EVENTS_CAP, approximate=True)
            await pipe.execute()


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    """Every fault of the far side becomes `PublisherUnavailable`, with a text that holds no address and no password."""
    try:
        async with asyncio.timeout(CALL_TIMEOUT):
            yield
    except (RedisError, OSError, UnicodeError) as exc:  # OSError covers time-outs and refused connections
        text = str(exc).splitlines()[0] if isinstance(exc, ResponseError) else ""
        raise PublisherUnavailable(f"{type(exc).__name__} {text}".strip()) from None


def _results(answers: Sequence[object], spans: Sequence[int]) -> list[Published]:
    """The status hash, first of each span, speaks for the credential; an error in either makes it failed."""
    results: list[Published] = []
    position = 0
    for span in spans:
        mine = answers[position : position + span]
        position += span
        if any(isinstance(answer, Exception) for answer in mine):
            results.append(Published.FAILED)
        elif 0 in mine:
            results.append(Published.STALE)
        else:
            results.append(_RESULTS[cast("int", mine[0])])
    return results


def _counters(answer: object) -> Counters | None:
    """None for a key that is not there, not a hash, or not ours to understand."""
    match answer:
        case [str() as generation, str() as revision, str() | None as updated_at] if _is_counter(
            generation
        ) and _is_counter(revision):
            dated = datetime.fromtimestamp(int(updated_at), UTC) if _is_instant(updated_at) else None
            return Counters(generation=int(generation), revision=int(revision), updated_at=dated)
        case _:
            return None


def _is_counter(text: str) -> bool:
    """Beyond 15 digits Lua's numbers are not exact and the database's overflow: somebody else wrote that."""
    return re.fullmatch(r"[0-9]{1,15}", text) is not None


def _is_instant(text: str | None) -> TypeGuard[str]:
    return text is not None and re.fullmatch(r"[0-9]{1,10}", text) is not None


def _refusal(answers: Sequence[object]) -> str:
    """The first error that is the server's, not one key's; "" when there is none."""
    errors = (str(answer).splitlines()[0] for answer in answers if isinstance(answer, Exception))
    return next((error for error in errors if not error.startswith("WRONGTYPE")), "")
