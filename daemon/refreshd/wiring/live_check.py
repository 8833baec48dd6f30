"""Every client asked about at once, for `check --live`. The credentials in the store are not looked at."""

import asyncio
from collections.abc import Sequence
from secrets import token_hex

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.discovery import HttpDiscovery
from refreshd.adapters.oauth.id_probe import HttpIdProbe
from refreshd.adapters.oauth.token_endpoint import HttpTokenEndpoint
from refreshd.adapters.system_clock import SystemClock
from refreshd.config.settings import Settings
from refreshd.domain.credential import ClientName
from refreshd.domain.live_check import Finding, judge_discovery
from refreshd.domain.metadata import MetadataRefused
from refreshd.domain.outcome import Misconfigured
from refreshd.ports.discovery import Discovered
from refreshd.service.live_check import MADE_UP, LiveCheck, Subject
from refreshd.wiring.discovery import connections_of, resolved_by
from refreshd.wiring.registrations import registrations


async def check_live(settings: Settings) -> Sequence[Finding]:
    """One finding a client, in the order of the configuration."""
    clients = [one.client for one in registrations(settings).values()]
    async with connections_of(*clients) as connections, asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_check(settings, one.name, connections), name=f"check-{one.name}") for one in clients
        ]
    return [task.result() for task in tasks]


async def _check(settings: Settings, name: ClientName, connections: Connections) -> Finding:
    one = resolved_by(settings, name, None)
    client, issuer = one.registration.client, one.endpoints.issuer
    if issuer is not None:
        found = await HttpDiscovery(connections).fetch(client, issuer)
        if not isinstance(found, Discovered):
            return judge_discovery(client, issuer, found)
        try:
            one = resolved_by(settings, name, found.metadata)
        except MetadataRefused as exc:
            return judge_discovery(client, issuer, Misconfigured(code="metadata_refused", detail=str(exc)))
    live = LiveCheck(
        endpoint=HttpTokenEndpoint(connections, clock=SystemClock()),
        ids=HttpIdProbe(connections),
        make_up=lambda: f"{MADE_UP}-{token_hex(16)}",
    )
    discovered = "token_endpoint" not in settings.clients[name].provider_profile.model_fields_set
    return await live.examine(
        Subject(
            client=one.registration.client,
            authorization_endpoint=one.endpoints.authorization,
            discovered=discovered,
        )
    )
