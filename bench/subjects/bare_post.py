"""Subject (b): the daemon's own transport and request, in a loop that does nothing else.

What the daemon costs beyond this is its own work; what this costs, only another transport can save.
"""

import asyncio
import sys
from datetime import timedelta

import orjson

from bench.credentials import REFRESH_PADDING
from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.requests import form_request
from refreshd.adapters.oauth.transport import Exchange, Received
from refreshd.domain.client import AuthMethod, Client
from refreshd.domain.credential import ClientName
from refreshd.domain.secret import Secret

IN_FLIGHT = 64


async def main(url: str) -> None:
    """Post until the process is ended."""
    client = Client(
        name=ClientName("bench"),
        token_endpoint=url,
        auth_method=AuthMethod.BASIC,
        client_id="bench",
        client_secret=Secret("bench"),
        request_timeout=timedelta(seconds=90),
    )
    async with Connections([client], limit=IN_FLIGHT, user_agent="bench") as connections, asyncio.TaskGroup() as group:
        for number in range(IN_FLIGHT):
            group.create_task(_post(client, connections, f"b{number}.1.{REFRESH_PADDING}"))


async def _post(client: Client, connections: Connections, token: str) -> None:
    while True:
        form = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", "offline read")]
        received = Received()
        request = form_request(client, client.token_endpoint, form, Exchange())
        await connections.fetch(client.name, request, received)
        token = orjson.loads(received.body)["refresh_token"]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
