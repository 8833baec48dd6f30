"""Authentication for httpx that follows refreshd's 401 rule. Needs httpx."""

from collections.abc import AsyncGenerator, Generator

import httpx

from refreshd_client.async_reader import AsyncTokenReader
from refreshd_client.reader import TokenReader
from refreshd_client.rule import WAIT
from refreshd_client.token import Token


class HttpxAuth(httpx.Auth):
    """For `httpx.Client`. Each request carries the current token of one credential; one that was refused is tried once more.

    A body that can be sent only once (a stream, an upload) is not sent again: its 401 goes to the caller at once, and the
    daemon is asked for a refresh. `wait`: the longest time, in seconds, to wait for a token, or for a newer one.
    """

    def __init__(self, reader: TokenReader, credential_id: str, *, wait: float = WAIT) -> None:
        self._reader = reader
        self._id = credential_id
        self._wait = wait

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._reader.get(self._id, wait=self._wait)
        _carry(request, token)
        response = yield request
        if not _refused(response, token):
            return
        if not _repeatable(request):
            self._reader.request_refresh(self._id, token.generation)
            return
        response.read()  # gives the connection back: others need it while we wait
        newer = self._reader.wait_for_newer(self._id, token.generation, wait=self._wait)
        if newer is not None:
            _carry(request, newer)
            yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        raise TypeError("HttpxAuth is for httpx.Client; httpx.AsyncClient needs AsyncHttpxAuth")
        yield request  # makes this a generator, as httpx expects


class AsyncHttpxAuth(httpx.Auth):
    """For `httpx.AsyncClient`. As `HttpxAuth`."""

    def __init__(self, reader: AsyncTokenReader, credential_id: str, *, wait: float = WAIT) -> None:
        self._reader = reader
        self._id = credential_id
        self._wait = wait

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self._reader.get(self._id, wait=self._wait)
        _carry(request, token)
        response = yield request
        if not _refused(response, token):
            return
        if not _repeatable(request):
            await self._reader.request_refresh(self._id, token.generation)
            return
        await response.aread()  # gives the connection back: others need it while we wait
        newer = await self._reader.wait_for_newer(self._id, token.generation, wait=self._wait)
        if newer is not None:
            _carry(request, newer)
            yield request

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        raise TypeError("AsyncHttpxAuth is for httpx.AsyncClient; httpx.Client needs HttpxAuth")
        yield request  # makes this a generator, as httpx expects


def _carry(request: httpx.Request, token: Token) -> None:
    request.headers["Authorization"] = token.authorization


def _refused(response: httpx.Response, token: Token) -> bool:
    """Whether this very token was refused: after a redirect to another origin httpx has taken it off."""
    refused = response.status_code == httpx.codes.UNAUTHORIZED
    return refused and response.request.headers.get("Authorization") == token.authorization


def _repeatable(request: httpx.Request) -> bool:
    return isinstance(request.stream, httpx.ByteStream)
