"""Plays faults on real connections: `faults` says what happens to a request, this makes aiohttp do it."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, assert_never

from aiohttp import web

from refreshd.demo.dialects import Reply
from refreshd.demo.faults import (
    DelayRequest,
    DripAnswer,
    DuplicateRequest,
    Ending,
    Fault,
    Latency,
    LoseAnswer,
    LoseRequest,
    OtherAnswer,
    TruncateAnswer,
)

_RST_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER, on, zero seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One token request and its means: `commit` has the ledger judge it, `later` does something after some seconds.

    `gone` is set when nobody waits for an answer any more.
    """

    request: web.Request
    commit: Callable[[], Reply]
    later: Callable[[float, Callable[[], Reply]], None]
    gone: asyncio.Event


async def play(fault: Fault | None, exchange: Exchange) -> web.StreamResponse:
    """The response to give. After a fault that ended the connection it goes nowhere."""
    match fault:
        case None:
            return respond(exchange.commit())
        case Latency():
            await asyncio.sleep(fault.low)
            return await play(fault.then, exchange)
        case LoseRequest():
            return await _end(exchange, fault.ending, after=fault.after)
        case DelayRequest():
            exchange.later(fault.after, exchange.commit)
            return await _end(exchange, fault.ending)
        case LoseAnswer():
            exchange.commit()
            return await _end(exchange, fault.ending, after=fault.after)
        case _:
            return await _answer(fault, exchange)


async def _answer(
    fault: TruncateAnswer | DuplicateRequest | DripAnswer | OtherAnswer, exchange: Exchange
) -> web.StreamResponse:
    """Those after which at least some of an answer arrives."""
    match fault:
        case TruncateAnswer():
            return await _truncate(exchange, exchange.commit(), fault.at)
        case DuplicateRequest():
            exchange.later(fault.after, exchange.commit)
            return respond(exchange.commit())
        case DripAnswer():
            return await _drip(exchange, exchange.commit(), fault.pause)
        case OtherAnswer():
            if fault.commits:
                exchange.commit()
            return web.Response(status=fault.status, body=fault.body or None, headers=fault.headers)
        case _:
            assert_never(fault)


def respond(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


async def _end(exchange: Exchange, ending: Ending, *, after: float = 0.0) -> web.Response:
    await asyncio.sleep(after)
    if ending is Ending.HANG:
        await exchange.gone.wait()
    elif (transport := exchange.request.transport) is not None:  # else the client went first
        _hang_up(transport, ending)
    return web.Response()  # aiohttp wants one, and drops it: the connection has ended


def _hang_up(transport: asyncio.Transport, ending: Literal[Ending.CLOSE, Ending.RESET]) -> None:
    match ending:
        case Ending.CLOSE:
            transport.close()
        case Ending.RESET:
            wire = transport.get_extra_info("socket")
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
            transport.abort()
        case _:
            assert_never(ending)


async def _truncate(exchange: Exchange, reply: Reply, at: int) -> web.StreamResponse:
    """A close, not a reset: a reset may take back bytes that the client has not read yet."""

    async def first_bytes(response: web.StreamResponse) -> None:
        if at:
            await response.write(reply.body[:at])
        await response.drain()
        if exchange.request.transport is not None:
            exchange.request.transport.close()

    return await _stream(exchange, reply, first_bytes)


async def _drip(exchange: Exchange, reply: Reply, pause: float) -> web.StreamResponse:
    async def byte_by_byte(response: web.StreamResponse) -> None:
        for number in reply.body:
            await response.write(bytes((number,)))
            await asyncio.sleep(pause)

    return await _stream(exchange, reply, byte_by_byte)


async def _stream(
    exchange: Exchange, reply: Reply, write: Callable[[web.StreamResponse], Awaitable[None]]
) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = len(reply.body)
    try:
        await response.prepare(exchange.request)
        await write(response)
    except ConnectionError:  # the client went first
        exchange.gone.set()
    return response
