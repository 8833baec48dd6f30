"""The client in use, and how it is given up: after any fault the next call starts from the configuration again.

So certificates and passwords are read anew, names resolved anew, the Sentinels and the cluster asked anew.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,  # noqa: A004 - redis-py's own, as the next
    MasterDownError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from refreshd.adapters.redis.connecting import Client, Place, connect
from refreshd.ports.publisher import PublisherUnavailable

CALL_TIMEOUT = 5.0
# OSError covers time-outs, refused connections and TLS; the cluster's exception stands outside redis-py's own family.
FAULTS = (RedisError, RedisClusterException, OSError, UnicodeError)
# Of a whole server, not of the key that was asked for. They pass; what they met has to be sent again.
AWAY = (
    ConnectionError,
    TimeoutError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
    TryAgainError,
    RedisClusterException,
)


class Link:
    """To one place. Calls may overlap: a client that was given up is closed when nobody is in the middle of a call."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._client: Client | None = None
        self._given_up: list[Client] = []
        self._calls = 0

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = connect(self._place)
        return self._client

    @property
    def redis(self) -> Redis:
        return self.client.redis

    async def aclose(self) -> None:
        self._give_up()
        await self._close_given_up()

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Around whatever talks to Redis.

        Every fault of the far side becomes `PublisherUnavailable`, with a text that holds no address and no password.
        """
        self._calls += 1
        began_with = self._client
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                yield
        except FAULTS as exc:
            if self._client is began_with or began_with is None:  # else its successor is none the worse for it
                self._give_up()
            raise PublisherUnavailable(told(exc)) from None
        finally:
            self._calls -= 1
            if not self._calls:
                await self._close_given_up()

    def _give_up(self) -> None:
        if self._client is not None:
            self._given_up.append(self._client)
        self._client = None

    async def _close_given_up(self) -> None:
        while self._given_up:
            with contextlib.suppress(*FAULTS):
                await self._given_up.pop().close()


def told(exc: BaseException) -> str:
    """The fault's kind, and what the server or TLS said; libraries' own texts name addresses.

    A cluster's exception, and redis-py's of a failed handshake, wrap the one that says what was wrong.
    """
    while isinstance(exc, RedisClusterException) and (inner := _within(exc)):
        exc = inner
    if isinstance(exc, ResponseError) and str(exc):
        # a server that does not know a command quotes what came with it, a token maybe
        return f"{type(exc).__name__} {str(exc).splitlines()[0].partition(', with args')[0]}"
    within: BaseException | None = exc
    while within is not None and not isinstance(within, ssl.SSLError):
        within = _within(within)
    reason = getattr(within, "verify_message", None) or getattr(within, "reason", None) or ""
    return f"{type(exc).__name__} {str(reason).partition(',')[0]}".strip()


def _within(exc: BaseException) -> BaseException | None:
    return exc.__cause__ or exc.__context__
