"""`Publisher` on redis-py. Time-outs and retries are ours: a timed-out script may have run, and may run again."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeGuard, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from refreshd.adapters.redis.connecting import Place
from refreshd.adapters.redis.keys import (
    ANY,
    COMPARE_AND_SET,
    EVENTS_CAP,
    SCHEMA,
    Keyspace,
    Write,
    event_fields,
    relogin_score,
)
from refreshd.adapters.redis.link import AWAY, Link, told
from refreshd.adapters.redis.servers import Servers
from refreshd.domain.credential import CredentialId
from refreshd.ports.clock import Clock
from refreshd.ports.publisher import Announced, Counters, Published, PublisherUnavailable, Snapshot, Standing, newer

_COUNTED = ("generation", "revision", "updated_at")
_RESULTS = {0: Published.STALE, 1: Published.WRITTEN, 2: Published.SAME}


class RedisPublisher:
    """Writes one prefix of one Redis. `identity`: store_id, environment, instance, started_at for PREFIX:meta."""

    def __init__(self, place: Place, *, prefix: str, identity: Mapping[str, str], clock: Clock) -> None:
        self._link = Link(place)
        self._keys = Keyspace(prefix)
        self._identity = {**identity, "schema": SCHEMA}
        self._clock = clock
        self._servers = Servers(clock)
        self._sha = ""

    @property
    def _redis(self) -> Redis:
        return self._link.redis

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._link.aclose()

    async def announce(self, *, take: bool = False) -> Announced:
        async with self._link.call():
            # first, so that a server that is replaced after this is noticed at the next look
            servers = await self._servers.run_ids(self._redis)
            policy = await self._servers.evicting(self._redis)
            found = await cast("Any", self._redis.hget(self._keys.meta, "store_id"))
            known = found == self._identity["store_id"]
            if found is not None and not known and not take:
                return Announced(known=False, found_store=found, written=False)
            self._sha = await self._redis.script_load(COMPARE_AND_SET)
            await cast("Any", self._redis.hset(self._keys.meta, mapping=cast("Any", self._identity)))
        return Announced(known=known, found_store=None if known else found, servers=servers, evicting=policy)

    async def published(self, ids: Sequence[CredentialId]) -> Mapping[CredentialId, Counters]:
        async with self._link.call(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hget(self._keys.meta, "store_id")
            for name in ids:
                pipe.hmget(self._keys.status(name), *_COUNTED)
                pipe.hmget(self._keys.token(name), *_COUNTED)
            owner, *answers = _reached(await pipe.execute(raise_on_error=False))
        if owner != self._identity["store_id"]:
            return {}
        pairs = zip(ids, answers[::2], answers[1::2], strict=True)
        found = ((name, newer(_counters(status), _counters(token))) for name, status, token in pairs)
        return {name: counters for name, counters in found if counters is not None}

    async def look(self) -> Standing:
        async with self._link.call():
            await self._link.client.follow()
            servers = await self._servers.run_ids(self._redis)
            found = await cast("Any", self._redis.hget(self._keys.meta, "store_id"))
        return Standing(intact=found == self._identity["store_id"], servers=servers)

    async def publish(
        self, snapshots: Sequence[Snapshot], *, now: datetime | None = None, taking: bool = False
    ) -> Sequence[Published]:
        now = now or self._clock.now()
        writes: list[Write] = []
        spans: list[int] = []
        for snapshot in snapshots:
            token = self._keys.token_write(snapshot, now)
            mine = [self._keys.status_write(snapshot), *([token] if token else [])]
            writes.extend(mine)
            spans.append(len(mine))
        if taking:
            writes = [replace(one, generation=ANY) for one in writes]
        async with self._link.call():
            answers = _reached(await self._compare_and_set(writes))
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
                pipe.execute_command("EVALSHA", self._sha, 1, *write.arguments())  # `evalsha` is barred on a cluster
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


def _reached(answers: Sequence[Any]) -> Sequence[Any]:
    """Raise what says that a server is away: on a cluster it stands among the answers of the others."""
    for answer in answers:
        if isinstance(answer, AWAY):
            raise answer
    return answers


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
    errors = (answer for answer in answers if isinstance(answer, Exception))
    return next((told(error) for error in errors if "WRONGTYPE" not in str(error)), "")
