"""What every store takes of an import: whatever is accepted can be written, so an invalid file writes nothing."""

import pytest
from sqlalchemy import text

from refreshd.domain.grant import GrantRefused, read_grant
from tests.contract.stores import ACME, Bed, grant

EXTREMES: list[dict[str, object]] = [
    {"scope": "a\0b"},
    {"scope": "x" * 16384},
    {"refresh_token": "x" * 65536},
    {"refresh_token": "r\0"},
    {"access_token": "a\0", "expires_at": 4102444800},
    {"access_token": "x" * 16384, "expires_at": 4102444800},
    {"token_type": "\0", "access_token": "a", "expires_at": 4102444800},
    {"token_type": "t" * 33, "access_token": "a", "expires_at": 4102444800},
    {"token_type": "BeArEr", "access_token": "a", "expires_at": 4102444800},
    {"expires_at": "0001-01-01T00:00:00Z", "access_token": "a"},
    {"expires_at": 0, "access_token": "a"},
    {"expires_at": "2999-12-31T23:59:59.999999Z", "access_token": "a"},
    {"issued_at": "2999-12-31T23:59:59.999999Z", "access_token": "a", "expires_in": 2678400},
    {"login_at": 0},
    {"login_at": "2999-12-31T23:59:59.999999Z"},
    {"id": "x" * 128},
]


@pytest.mark.parametrize(
    "fields", EXTREMES, ids=lambda fields: "-".join(f"{k}={str(v)[:12]!r}" for k, v in fields.items())
)
def test_what_an_import_accepts_every_store_writes(bed: Bed, fields: dict[str, object]) -> None:
    """Refused when it is read, or written: nothing in between, where the entries before it would stand alone."""
    entry = {"id": "z", "client": ACME, "refresh_token": "r", **fields}
    try:
        odd = read_grant(entry, credential_id=None, client=None)
    except GrantRefused:
        return
    assert 3 == bed.add(grant("a"), odd, grant("b")).added
    with bed.engines.read.begin() as connection:
        assert 3 == connection.scalar(text("SELECT count(*) FROM credential"))
