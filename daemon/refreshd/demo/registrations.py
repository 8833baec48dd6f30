"""Who may ask at the token endpoint: client ids and secrets, and the proof of one (RFC 6749 §2.3)."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import unquote_plus


class Registrations:
    """`secrets`: by client id, "" for a public client."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(secrets)

    def __contains__(self, client_id: object) -> bool:
        return client_id in self._secrets

    def set_secret(self, client_id: str, secret: str) -> None:
        self._secrets[client_id] = secret

    def authenticate(self, form: Mapping[str, str], authorization: str | None) -> str | None:
        """The client id, proved by exactly one method: Basic, the secret in the form, or none if the client is public."""
        if authorization is not None:
            client_id, secret = read_basic(authorization)
            doubled = "client_secret" in form or form.get("client_id", client_id) != client_id
            return client_id if self._proves(client_id, secret) and not doubled else None
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        is_public = self._secrets.get(client_id) == "" and not secret
        return client_id if is_public or self._proves(client_id, secret) else None

    def _proves(self, client_id: str, secret: str) -> bool:
        expected = self._secrets.get(client_id)
        return bool(expected) and hmac.compare_digest(_bytes(secret), _bytes(expected or ""))


def claimed_client(form: Mapping[str, str], authorization: str | None) -> str:
    """Whom a request says it comes from, unproved; "" when it does not say."""
    return read_basic(authorization)[0] if authorization is not None else form.get("client_id", "")


def read_basic(authorization: str) -> tuple[str, str]:
    """Client id and secret, "" for both when unreadable. Both are form-encoded before base64 (RFC 6749 §2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        pair = base64.b64decode(encoded, validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        pair = ""
    client_id, _, secret = pair.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
