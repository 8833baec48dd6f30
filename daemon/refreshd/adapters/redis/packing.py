"""Connections whose commands hiredis packs, in C: redis-py has that for its synchronous connections only.

A refresh is some sixty words for Redis; packed in Python they cost more than anything else about publishing.
"""

from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection


class _Packing(AbstractConnection):
    def pack_command(self, *args: Any) -> list[bytes]:
        if " " not in args[0]:  # a command of two words is two arguments
            try:
                return [hiredis.pack_command(args)]
            except UnicodeError:  # half a character: this client's own encoding lets it pass
                pass
        packed: list[bytes] = super().pack_command(*args)
        return packed


class _Tcp(_Packing, Connection): ...


class _Tls(_Packing, SSLConnection): ...


class _Unix(_Packing, UnixDomainSocketConnection): ...


class _Sentinel(_Packing, SentinelManagedConnection): ...


class _SentinelTls(_Packing, SentinelManagedSSLConnection): ...


_KINDS: dict[type[AbstractConnection], type[AbstractConnection]] = {
    Connection: _Tcp,
    SSLConnection: _Tls,
    UnixDomainSocketConnection: _Unix,
    SentinelManagedConnection: _Sentinel,
    SentinelManagedSSLConnection: _SentinelTls,
}


def packing(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """The same kind of connection, packing in C."""
    return _KINDS[kind]
