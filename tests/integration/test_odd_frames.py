"""Answers whose framing is off, as the fuzzer found them: no refresh token is lost to them, and nobody gets another's."""

import asyncio
import gzip
import json
import zlib
from datetime import timedelta

import pytest

from refreshd.domain.client import AuthMethod
from refreshd.domain.outcome import Uncertain, label
from refreshd.domain.secret import Secret
from tests.integration.raw_server import TOKENS, RawRequest, RawServer, answering, response
from tests.integration.test_token_endpoint import ask, client_of, kept, opened

BODY = json.dumps(TOKENS).encode()
ANOTHERS = json.dumps({**TOKENS, "refresh_token": "anothers", "access_token": "anothers"}).encode()
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def bare(data: bytes) -> bytes:
    """`deflate` without zlib's frame, as many servers send it."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def packed(data: bytes, encoding: str) -> bytes:
    return response(data, headers=f"Content-Encoding: {encoding}\r\n")


FRAMES = {
    "a length that is one too short": response(length=len(BODY) - 1),
    "bytes behind the body": response() + b"<!-- 12 ms -->",
    "a broken chunk": CHUNKED + chunk(BODY) + b"ZZ\r\n",
    "a token in two chunks, then a broken one": CHUNKED + chunk(BODY[:100]) + chunk(BODY[100:]) + b"ZZ\r\n",
    "a header line of 12 KB": response(headers=f"X-Long: {'x' * 12_000}\r\n"),
    "two hundred headers": response(headers="".join(f"X-{number}: y\r\n" for number in range(200))),
    "a second answer behind it": response() + response(ANOTHERS),
    "a second, broken answer behind it": response() + response(ANOTHERS, length=-89),
    "deflate with its frame": packed(zlib.compress(BODY), "deflate"),
    "deflate without its frame": packed(bare(BODY), "Deflate"),
    "gzip in two members": packed(gzip.compress(BODY[:50]) + gzip.compress(BODY[50:]), "gzip"),
    "gzip with a damaged end": packed(gzip.compress(BODY)[:-8] + b"\x00" * 8, "gzip"),
    "plain, whatever it says": packed(BODY, "gzip"),
}


@pytest.mark.parametrize("frame", FRAMES)
async def test_the_refresh_token_is_kept(frame: str) -> None:
    """R4: the provider has rotated; what came in front of the fault may hold the only living token. And at once."""
    async with RawServer(answering(FRAMES[frame])) as server:
        client = client_of(server.url, request_timeout=timedelta(seconds=60))
        async with asyncio.timeout(10):
            assert "new-refresh" == kept(await ask(client))


async def test_an_answer_that_nobody_asked_for_is_given_to_nobody() -> None:
    """A second answer on a kept connection would be the next credential's: it would get another person's tokens."""
    told = asyncio.Event()

    async def twice(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        if dict(request.form)["refresh_token"] == "first":
            writer.write(response())
            await writer.drain()
            await told.wait()
            writer.write(response(ANOTHERS))
            await writer.drain()
        else:
            writer.write(response(json.dumps({**TOKENS, "refresh_token": "seconds"}).encode()))

    async with RawServer(twice) as server:
        client = client_of(server.url)
        async with opened(client) as endpoint:
            first = await endpoint.refresh(client, Secret("first"), "", may_send=lambda: True)
            told.set()
            await asyncio.sleep(0.1)  # the unasked answer crosses the loopback
            second = await endpoint.refresh(client, Secret("second"), "", may_send=lambda: True)
    assert ("new-refresh", "seconds", 2) == (kept(first), kept(second), server.accepted)


@pytest.mark.parametrize(
    "echo",
    [
        "two words & more",
        "two+words+%26+more",
        "two%20words%20%26%20more",
        "TWO%20WORDS%20%26%20MORE",
        "two words &amp; more",
        "two words &\x90more",
        "two words\u2028&\r\nmore",
    ],
)
async def test_an_echoed_secret_is_scrubbed_however_it_is_written(echo: str) -> None:
    """Provider text reaches the log on one line and without our secret."""
    body = json.dumps({"error": "server_error", "error_description": f"said {echo}, no"}).encode()
    async with RawServer(answering(response(body, status=500))) as server:
        outcome = await ask(
            client_of(server.url, auth_method=AuthMethod.POST, client_id="id", client_secret=Secret("two words & more"))
        )
    assert isinstance(outcome, Uncertain)
    assert ("uncertain", "server_error: said ***, no") == (label(outcome), outcome.detail.strip())
