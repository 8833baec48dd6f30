"""`Userinfo` over HTTP: OpenID Connect Core §5.3, and APIs like Frame.io's that name the account `id`."""

import asyncio
import json
from http import HTTPStatus

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.failures import FAULTS, name_of
from refreshd.adapters.oauth.transport import Received, Request
from refreshd.domain.client import Client
from refreshd.domain.login import Account, Unknown
from refreshd.domain.secret import Secret

_SECONDS = 10.0
_LONGEST = 255
_FIELDS = ("sub", "id")


class HttpUserinfo:
    """`connections` must know every client that is asked for."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def account(self, client: Client, endpoint: str, access_token: Secret) -> Account | Unknown:
        received = Received()
        headers = {"Authorization": f"Bearer {access_token.reveal()}"}
        request = Request(method="GET", url=endpoint, headers=headers)
        try:
            async with asyncio.timeout(_SECONDS):
                await self._connections.fetch(client.name, request, received)
        except TimeoutError:
            return Unknown(reason=f"the userinfo endpoint gave no answer within {_SECONDS:g} seconds")
        except FAULTS as exc:
            return Unknown(reason=f"the userinfo endpoint could not be reached ({name_of(exc)})")
        return _read(received)


def _read(received: Received) -> Account | Unknown:
    if received.status != HTTPStatus.OK:
        return Unknown(reason=f"the userinfo endpoint answered {received.status}")
    try:
        fields = None if received.oversized else json.loads(received.decoded())
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return Unknown(reason="the userinfo endpoint did not answer with a JSON object")
    return next(
        filter(None, (_account(fields.get(name)) for name in _FIELDS)),
        Unknown(reason="the userinfo endpoint named no sub or id"),
    )


def _account(value: object) -> Account | None:
    """A text or a whole number that can be kept, compared and shown."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    return Account(id=text) if text.strip() and text.isprintable() and len(text) <= _LONGEST else None
