"""What a provider publishes about itself (RFC 8414, OpenID Connect Discovery): bytes → facts, or a refusal in words.

The document decides where secrets are sent, so it is believed only if it is what was asked for: its issuer to the letter,
and no address that could be listened to.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from refreshd.domain.client import AuthMethod

MAX_DOCUMENT = 64 * 1024
_SHOWN = 100
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class MetadataRefused(ValueError):  # noqa: N818 - reads as what it says
    """The document must not be used; the text says why."""


class NotMetadata(MetadataRefused):
    """No metadata stands at this address: there may be some at the other one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetadata:
    """The facts that matter here. `auth_methods` None: not said, which means `client_secret_basic` (RFC 8414 §2)."""

    issuer: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    revocation_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    auth_methods: tuple[str, ...] | None = None
    grant_types: tuple[str, ...] = ()
    code_challenge_methods: tuple[str, ...] = ()
    iss_in_response: bool = False


def well_known(issuer: str) -> tuple[str, str]:
    """Where the document may stand, in the order in which to look.

    OpenID's place first: far more providers have it, and only that document names a userinfo endpoint. Then RFC 8414 §3.1,
    which puts its name between host and path.
    """
    parts = urlsplit(issuer)
    path = parts.path.removesuffix("/")
    inserted = parts._replace(path=f"/.well-known/oauth-authorization-server{path}")
    return f"{issuer.removesuffix('/')}/.well-known/openid-configuration", inserted.geturl()


def read_metadata(document: bytes, *, issuer: str) -> ProviderMetadata:
    """Raises `NotMetadata` for what is no such document, `MetadataRefused` for one that must not be believed."""
    fields = _parse(document)
    claimed = fields.get("issuer")
    if not isinstance(claimed, str):
        raise NotMetadata("it names no issuer")
    if claimed != issuer:
        raise MetadataRefused(
            f"it says that its issuer is {_shown(claimed)}, not {_shown(issuer)}: either the configured issuer is not "
            "written exactly as the provider writes it, or this document is another provider's"
        )
    found = ProviderMetadata(
        issuer=issuer,
        authorization_endpoint=_endpoint(fields, "authorization_endpoint"),
        token_endpoint=_endpoint(fields, "token_endpoint"),
        revocation_endpoint=_endpoint(fields, "revocation_endpoint"),
        userinfo_endpoint=_endpoint(fields, "userinfo_endpoint"),
        auth_methods=_names(fields, "token_endpoint_auth_methods_supported"),
        grant_types=_names(fields, "grant_types_supported") or (),
        code_challenge_methods=_names(fields, "code_challenge_methods_supported") or (),
        iss_in_response=_truth(fields, "authorization_response_iss_parameter_supported"),
    )
    if found.token_endpoint is None:
        raise MetadataRefused("it names no token_endpoint")
    return found


def auth_method_of(metadata: ProviderMetadata, *, has_secret: bool) -> AuthMethod:
    """How a client proves itself there. Raises `MetadataRefused` when the provider takes nothing that we can do.

    Who has no secret can only name itself: many servers allow that to public clients without listing `none`.
    """
    if not has_secret:
        return AuthMethod.NONE
    supported = metadata.auth_methods or (AuthMethod.BASIC.value,)
    for method in (AuthMethod.BASIC, AuthMethod.POST):
        if method.value in supported:
            return method
    raise MetadataRefused(
        f"it takes no client secret, only {_shown(', '.join(supported))}; if it does take one, set client_auth"
    )


def is_safe_address(address: str) -> bool:
    """https, or http to this machine; no user, no fragment (RFC 6749 §3.1, §3.2)."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.fragment or _UNPRINTABLE.search(address):
        return False
    return _is_encrypted_or_local(parts, host)


def _is_encrypted_or_local(parts: SplitResult, host: str) -> bool:
    if parts.scheme == "https":
        return True
    if parts.scheme != "http":
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parse(document: bytes) -> Mapping[str, object]:
    if len(document) > MAX_DOCUMENT:
        raise NotMetadata(f"it is longer than {MAX_DOCUMENT // 1024} KiB")
    try:
        value = json.loads(document)
    except (ValueError, RecursionError):
        raise NotMetadata("it is not JSON") from None
    if not isinstance(value, dict):
        raise NotMetadata("it is not a JSON object")
    return value


def _endpoint(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise MetadataRefused(f"its {name} is not a text")
    if not is_safe_address(value):
        raise MetadataRefused(f"its {name} is {_shown(value)}: only https is used, or http to this machine")
    return value


def _names(fields: Mapping[str, object], name: str) -> tuple[str, ...] | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise MetadataRefused(f"its {name} is not a list of texts")
    return tuple(value)


def _truth(fields: Mapping[str, object], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise MetadataRefused(f"its {name} is neither true nor false")
    return value


def _shown(text: str) -> str:
    return repr(_UNPRINTABLE.sub(" ", text)[:_SHOWN])
