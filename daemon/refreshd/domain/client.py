"""One registration of ours at one provider, as the services see it. Configuration is turned into this by the wiring."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from refreshd.domain.credential import ClientName
from refreshd.domain.secret import Secret


class AuthMethod(StrEnum):
    """How a client proves itself at the token endpoint (RFC 6749 §2.3.1, RFC 7636 for `none`)."""

    BASIC = "client_secret_basic"
    POST = "client_secret_post"
    NONE = "none"


class GrantType(StrEnum):
    """What a client's access tokens come from: a person's login (RFC 6749 §6), or the client itself (§4.4)."""

    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - RFC 6749's name, not a token
    CLIENT_CREDENTIALS = "client_credentials"


class ClientIdIn(StrEnum):
    """Where a client without a secret names itself: the form (RFC 6749 §3.2.1), or the query (Adobe IMS)."""

    FORM = "form"
    QUERY = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Everything one token request needs to know of its client. `request_timeout` is the total deadline.

    `token_endpoint` is empty while the provider's metadata, which names it, has not been read. `scope`: what is configured.
    """

    name: ClientName
    token_endpoint: str
    auth_method: AuthMethod
    client_id: str
    client_secret: Secret | None
    request_timeout: timedelta
    rejection_codes: frozenset[str] = frozenset()
    client_id_in: ClientIdIn = ClientIdIn.FORM
    grant: GrantType = GrantType.REFRESH_TOKEN
    scope: str = ""
    proxy: str = field(default="", repr=False)  # may hold a password
    ca_file: str | None = None
    revocation_endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a provider may be asked to bear: requests in flight, and started per second."""

    max_in_flight: int
    max_rate: float
