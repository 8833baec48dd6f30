"""The client library knows the keys by itself, as it cannot import the daemon: here the two are held together."""

from datetime import timedelta

from refreshd.adapters.redis.keys import SCHEMA, Keyspace
from refreshd.domain.credential import AccessToken, ClientName, CredentialId, Status
from refreshd.domain.requests import PATIENCE, RefreshRequest, parse
from refreshd.domain.secret import Secret
from refreshd.ports.publisher import Snapshot
from refreshd_client import Reason
from refreshd_client import keys as client
from refreshd_client.memory import request
from refreshd_client.rule import WAIT
from tests.fakes import START

OURS, THEIRS = Keyspace("p"), client.Keys("p")
ID = "a/b:c"


def snapshot(status: Status = Status.ACTIVE) -> Snapshot:
    access = AccessToken(value=Secret("t"), token_type="bearer", issued_at=START, expires_at=START + timedelta(hours=1))
    return Snapshot(
        id=CredentialId(ID),
        client=ClientName("acme"),
        status=status,
        reason=None,
        generation=1,
        revision=1,
        in_doubt=False,
        relogin_soon=False,
        relogin_by=None,
        relogin_since=None,
        next_refresh_at=None,
        scope="",
        access=access,
        updated_at=START,
    )


def test_keys_have_the_same_names() -> None:
    """Also the default prefix and the schema."""
    ours = (OURS.token(CredentialId(ID)), OURS.status(CredentialId(ID)), OURS.requests, SCHEMA)
    assert ours == (THEIRS.token(ID), THEIRS.status(ID), THEIRS.requests, client.SCHEMA)


def test_fields_that_are_read_are_written() -> None:
    """Of the token and of its status."""
    token = OURS.token_write(snapshot(), START)
    assert token is not None
    assert set() == set(client.TOKEN_FIELDS) - set(token.fields)
    assert set() == set(client.STATUS_FIELDS) - set(OURS.status_write(snapshot()).fields)


def test_every_status_has_its_reason() -> None:
    """Active without a token is the one that the library tells from Redis alone."""
    assert {status.value for status in Status} - {"active"} <= {reason.value for reason in Reason}


def test_a_request_of_the_library_is_understood() -> None:
    """On the stream that the daemon reads."""
    command = request(THEIRS, ID, 7)
    fields = command[command.index("*") + 1 :]
    assert (OURS.requests, RefreshRequest(id=CredentialId(ID), generation=7)) == (
        command[1],
        parse(dict(zip(fields[::2], fields[1::2], strict=True))),
    )


def test_a_request_is_kept_as_long_as_its_consumer_waits() -> None:
    """No longer, no shorter."""
    assert timedelta(seconds=WAIT) == PATIENCE
