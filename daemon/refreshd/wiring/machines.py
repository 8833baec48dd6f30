"""A credential of a client that asks for its tokens itself: stored due at once, the daemon fetches the first token."""

from datetime import datetime

from refreshd.adapters.sql.importer import Imported
from refreshd.config.settings import Settings
from refreshd.domain.client import GrantType
from refreshd.domain.machine_grant import read_machine_grant
from refreshd.domain.refusal import Refusal
from refreshd.wiring.store import OpenStore


class NotEnrolled(Refusal):
    """Nothing was stored; the text says why."""


def enrol(
    settings: Settings, opened: OpenStore, credential_id: str, client: str, *, now: datetime, replace: bool = False
) -> Imported:
    """Store the credential unless it is there already. Raises `NotEnrolled`, and `GrantRefused` for an id that is none."""
    registered = settings.clients.get(client)
    if registered is None:
        raise NotEnrolled(
            f"no client {client!r} is configured (there are: {', '.join(sorted(settings.clients)) or 'none'})"
        )
    if registered.grant is not GrantType.CLIENT_CREDENTIALS:
        raise NotEnrolled(
            f'client {client!r} needs a person to log in; without people set grant = "client_credentials"'
        )
    grant = read_machine_grant({}, credential_id=credential_id, client=client)
    importer = opened.importer(settings)
    refusals = importer.check([grant], replace=replace).refusals
    if refusals:
        raise NotEnrolled(refusals[0][1])
    return importer.write([grant], replace=replace, now=now, progress=lambda _count: None)
