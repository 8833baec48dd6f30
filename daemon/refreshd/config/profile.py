"""Provider behaviour as data: a preset file with a client's own keys over it."""

import ipaddress
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from importlib import resources
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from refreshd.config.durations import parse_duration
from refreshd.domain.client import AuthMethod, ClientIdIn
from refreshd.domain.policy import LifetimeFrom

ALIASES = {"frameio": "frameio-v2"}


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url
    if parts.scheme == "http" and parts.hostname and _is_loopback(parts.hostname):
        return url
    raise ValueError("write an https URL (http is allowed for a loopback host only)")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _lifetime(value: object) -> timedelta | None:
    return None if value == "none" else parse_duration(value)


def _member(kind: type[Any]) -> BeforeValidator:
    def parse(value: object) -> object:
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"choose one of {', '.join(repr(one.value) for one in kind)}") from None

    return BeforeValidator(parse)


Endpoint = Annotated[str, AfterValidator(_endpoint)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Method = Annotated[AuthMethod, _member(AuthMethod)]


class ProviderProfile(BaseModel):
    """How one provider behaves. `auth_methods`: the first is used with a secret, `none` without, as far as listed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    authorization_endpoint: Endpoint | None = None
    token_endpoint: Endpoint
    revocation_endpoint: Endpoint | None = None
    userinfo_endpoint: Endpoint | None = None
    auth_method: Method | None = None
    client_id_in: Annotated[ClientIdIn, _member(ClientIdIn)] = ClientIdIn.FORM
    access_token_lifetime: Duration = timedelta(hours=1)
    refresh_token_lifetime: Annotated[timedelta | None, BeforeValidator(_lifetime)] = None
    refresh_token_lifetime_from: Annotated[LifetimeFrom, _member(LifetimeFrom)] = LifetimeFrom.UNKNOWN
    reuse_grace: Duration = timedelta(0)
    required_scope: str = ""
    rejection_codes: Annotated[tuple[str, ...], BeforeValidator(tuple)] = ()
    notice: Annotated[str, Field(max_length=500)] = ""


PROVIDER_KEYS = frozenset(ProviderProfile.model_fields) - {"notice"}


def preset_names() -> list[str]:
    """The presets that come with refreshd."""
    folder = resources.files("refreshd") / "providers"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def preset(name: str) -> Mapping[str, Any] | None:
    """The keys of one preset, None when there is none of that name."""
    real = ALIASES.get(name, name)
    if real not in preset_names():
        return None
    return tomllib.loads((resources.files("refreshd") / "providers" / f"{real}.toml").read_text(encoding="utf-8"))
