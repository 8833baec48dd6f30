"""`TokenEndpoint` over HTTP: one refresh request (RFC 6749 §6), each failure mapped to what it proves."""

import asyncio
import base64
import re
import ssl
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from html import escape
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Self
from urllib.parse import quote, quote_plus, urlencode

import aiohttp
import httpx

from refreshd.adapters.aiohttp_transport import AiohttpTransport, Exchange, Unsent
from refreshd.domain.client import AuthMethod, Client, ClientIdIn
from refreshd.domain.credential import ClientName
from refreshd.domain.outcome import Deferred, Misconfigured, Outcome, Phase, Refreshed, Uncertain
from refreshd.domain.secret import Secret
from refreshd.domain.token_response import MAX_BODY, Answer, read_answer
from refreshd.ports.clock import Clock
from refreshd.ports.token_endpoint import NotSent

_DETAIL_LENGTH = 256
_UNFIT_FOR_A_LOG = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_ZLIB_OR_GZIP = 47
_BARE = -zlib.MAX_WBITS
_BAD_ADDRESS = (aiohttp.InvalidURL, httpx.InvalidURL, ValueError)
_TOKEN_SHAPED = re.compile(r"[A-Za-z0-9._~+/=-]{24,}")
_FAULTS = (aiohttp.ClientError, httpx.HTTPError, OSError, *_BAD_ADDRESS)


class HttpxTokenEndpoint:
    """Holds one connection pool for each client, so that one provider's trouble is nobody else's."""

    def __init__(self, clients: Mapping[ClientName, Client], *, limit: int, clock: Clock, user_agent: str) -> None:
        self._clients = clients
        self._limit = limit
        self._clock = clock
        self._user_agent = user_agent
        self._stack = AsyncExitStack()
        self._http: dict[ClientName, httpx.AsyncClient] = {}

    async def __aenter__(self) -> Self:
        for client in self._clients.values():
            transport = AiohttpTransport(
                verify=ssl.create_default_context(cafile=client.ca_file), limit=self._limit, proxy=client.proxy or None
            )
            self._http[client.name] = await self._stack.enter_async_context(
                httpx.AsyncClient(
                    transport=transport,
                    follow_redirects=False,
                    trust_env=False,
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                    headers={
                        "User-Agent": self._user_agent,
                        "Accept": "application/json",
                        "Accept-Encoding": "identity",
                    },
                )
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def refresh(
        self, client: Client, refresh_token: Secret, scope: str, *, may_send: Callable[[], bool]
    ) -> Outcome:
        exchange = Exchange(may_send)
        received = _Received()
        try:
            async with asyncio.timeout(client.request_timeout.total_seconds()):
                await self._exchange(_request(client, refresh_token, scope, exchange), client, received)
        except Unsent:
            raise NotSent from None
        except TimeoutError:
            outcome = self._interrupted("deadline", exchange, received, client)
        except _FAULTS as exc:
            outcome = self._failed(exc, exchange, received, client)
        else:
            outcome = self._read(received, client, complete=not received.oversized)
        return _scrubbed(outcome, refresh_token, client)

    async def _exchange(self, request: httpx.Request, client: Client, received: "_Received") -> None:
        http = self._http[client.name]
        request.headers.update(http.headers)
        response = await http.send(request, stream=True)
        try:
            received.status = response.status_code
            received.headers = {name.lower(): value for name, value in response.headers.items()}
            async for chunk in response.aiter_raw():
                received.body += chunk
                if received.oversized:
                    break
        finally:
            await response.aclose()

    def _failed(self, exc: Exception, exchange: Exchange, received: "_Received", client: Client) -> Outcome:
        if exchange.sent:
            return self._interrupted(_name(exc), exchange, received, client)
        return replace(_unsent(exc), phase=Phase.UNSENT)

    def _interrupted(self, code: str, exchange: Exchange, received: "_Received", client: Client) -> Outcome:
        """Before the first byte nothing happened; after it, only a refresh token that already arrived is certain."""
        if not exchange.sent:
            return Deferred(code=f"connect_{code}", phase=Phase.UNSENT)
        if received.status:
            outcome = self._read(received, client, complete=False)
            if isinstance(outcome, Refreshed):
                return outcome
        if wire := exchange.wire.answer():
            received.status, received.headers, received.body = wire
            outcome = self._read(received, client, complete=False)
            if isinstance(outcome, Refreshed):
                return outcome
        return Uncertain(code=code, phase=Phase.ANSWERED if received.status else Phase.SENT)

    def _read(self, received: "_Received", client: Client, *, complete: bool) -> Outcome:
        answer = Answer(status=received.status, headers=received.headers, body=received.decoded(), complete=complete)
        return read_answer(answer, now=self._clock.now(), rejection_codes=client.rejection_codes)


def _unsent(exc: Exception) -> Deferred | Misconfigured:
    """What a fault before the first byte means."""
    if isinstance(exc, ssl.SSLCertVerificationError | aiohttp.ClientConnectorCertificateError):
        return Misconfigured(code="certificate", detail=str(exc))
    if isinstance(exc, _BAD_ADDRESS):
        return Misconfigured(code="invalid_url")
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        if exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR:  # it could not reach the provider; it may soon
            return Deferred(code="proxy_unavailable", detail=f"the proxy answered {exc.status}")
        return Misconfigured(code="proxy_refused", detail=f"the proxy answered {exc.status}")
    return Deferred(code=_name(exc), detail=str(exc))


class _Received:
    """What has arrived, kept outside the exchange so that an interruption loses nothing of it."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = b""

    @property
    def oversized(self) -> bool:
        return len(self.body) > MAX_BODY

    def decoded(self) -> bytes:
        """The body, unpacked within the same cap if the server compressed it although we asked it not to."""
        packed = self.headers.get("content-encoding", "identity").strip().lower() in _PACKED
        return _unpacked(self.body) if packed else self.body


def _unpacked(body: bytes) -> bytes:
    """As far as it goes: what a cut or damaged stream still yields may hold the refresh token. Not packed at all: as it is.

    `deflate` comes with zlib's frame (RFC 9110 §8.4.1.2) and, from many servers, without; gzip may come in several members.
    """
    for frame in () if _is_object(body) else (_ZLIB_OR_GZIP, _BARE):
        found, rest = b"", body
        while rest and len(found) <= MAX_BODY:
            part, rest = _member(rest, frame, MAX_BODY + 1 - len(found))
            found += part
        looks_right = _is_object(found) or b'"refresh_token"' in found
        if found and (frame != _BARE or looks_right):  # without a frame anything unpacks to something
            return found
    return body


def _is_object(text: bytes) -> bool:
    return text.lstrip(b" \t\r\n\xef\xbb\xbf\xfe\xff\x00")[:1] == b"{"


def _member(packed: bytes, frame: int, room: int) -> tuple[bytes, bytes]:
    """One member's text, and what stands behind it; byte by byte once it is damaged, to keep what came before."""
    stream = zlib.decompressobj(wbits=frame)
    try:
        return stream.decompress(packed, room), stream.unused_data
    except zlib.error:
        return _before_damage(packed, frame, room), b""


def _before_damage(packed: bytes, frame: int, room: int) -> bytes:
    stream, found = zlib.decompressobj(wbits=frame), b""
    for position in range(len(packed)):
        try:
            found += stream.decompress(packed[position : position + 1], room - len(found) or 1)
        except zlib.error:
            break
        if len(found) >= room:
            break
    return found


def _request(client: Client, refresh_token: Secret, scope: str, exchange: Exchange) -> httpx.Request:
    form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.reveal())]
    if scope:
        form.append(("scope", scope))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    url = client.token_endpoint
    secret = client.client_secret.reveal() if client.client_secret else ""
    match client.auth_method:
        case AuthMethod.BASIC:
            # RFC 6749 §2.3.1: both halves are form-encoded before base64
            pair = f"{quote_plus(client.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        case AuthMethod.POST:
            form += [("client_id", client.client_id), ("client_secret", secret)]
        case AuthMethod.NONE if client.client_id_in is ClientIdIn.QUERY:
            url += ("&" if "?" in url else "?") + urlencode({"client_id": client.client_id})
        case AuthMethod.NONE:
            form.append(("client_id", client.client_id))
    body = urlencode(form, errors="surrogatepass").encode("ascii")
    return httpx.Request("POST", url, headers=headers, content=body, extensions={"exchange": exchange})


def _scrubbed(outcome: Outcome, refresh_token: Secret, client: Client) -> Outcome:
    """Provider text is fit for a log only without secrets, ours or any that looks like one, on one line, and short."""
    if isinstance(outcome, Refreshed) or not outcome.detail:
        return outcome
    secrets = [secret.reveal() for secret in (refresh_token, client.client_secret) if secret]
    text = _without(outcome.detail, secrets)
    text = _without(_UNFIT_FOR_A_LOG.sub(" ", text), secrets)  # once more: what stood between may have hidden one
    return replace(outcome, detail=_TOKEN_SHAPED.sub("***", text)[:_DETAIL_LENGTH])


def _without(text: str, secrets: Sequence[str]) -> str:
    """Servers echo what they were sent plain, form-encoded, percent-encoded in either case, or escaped for HTML."""
    for secret in secrets:
        encoded = secret.encode("utf-8", "surrogatepass")
        percent = (quote_plus(encoded), quote(encoded, safe=""), quote(encoded))
        shapes = {secret, *percent, escape(secret), escape(secret, quote=False)}
        for shape in sorted(shapes, key=len, reverse=True):
            text = re.sub(re.escape(shape), "***", text, flags=re.IGNORECASE)
    return text


def _name(exc: Exception) -> str:
    """ServerDisconnectedError → server_disconnected."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+", type(exc).__name__)
    return "_".join(word.lower() for word in words if word not in ("Error", "Exception")) or "failed"
