"""From what is configured and what a provider publishes about itself to the addresses that count. Explicit keys win."""

from dataclasses import dataclass

from refreshd.config.settings import ClientSettings
from refreshd.domain.client import AuthMethod
from refreshd.domain.metadata import ProviderMetadata, auth_method_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where one client's provider is spoken to, and how. `token` is empty while its metadata has not been read.

    `issuer` None: none is configured. `iss_required`: every authorization response names the issuer (RFC 9207 §3).
    """

    issuer: str | None
    authorization: str | None
    token: str
    revocation: str | None
    userinfo: str | None
    iss_required: bool
    auth_method: AuthMethod


def endpoints_of(one: ClientSettings, metadata: ProviderMetadata | None = None) -> Endpoints:
    """Raises `MetadataRefused` when the provider says that it takes nothing by which this client can prove itself."""
    profile = one.provider_profile
    explicit = profile.model_fields_set

    def pick(key: str) -> str | None:
        source = profile if metadata is None or key in explicit else metadata
        found: str | None = getattr(source, key)
        return found

    method = profile.auth_method
    if metadata is not None and not explicit & {"client_auth", "client_credentials_auth"}:
        method = auth_method_of(metadata, has_secret=one.client_secret is not None)
    return Endpoints(
        issuer=profile.issuer,
        authorization=pick("authorization_endpoint"),
        token=pick("token_endpoint") or "",
        revocation=pick("revocation_endpoint"),
        userinfo=pick("userinfo_endpoint"),
        iss_required=metadata is not None and metadata.iss_in_response,
        auth_method=method,
    )
