"""Providers are data: presets of ours and files of the user's own, laid under what a client's own table says."""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from refreshd.config.faults import Fault, fault_at, join
from refreshd.config.field_types import read_auth_methods
from refreshd.config.settings import DEFAULT_PROVIDER, DISCOVERED_KEYS, PROVIDER_KEYS, ProviderProfile
from refreshd.config.untyped import Raw
from refreshd.domain.client import AuthMethod, GrantType

Providers = Mapping[str, Mapping[str, object]]
GENERIC = "generic"
_MACHINE_AUTH = "client_credentials_auth"
STAND_IN = "https://stand-in.invalid/token"
"""Where a provider has no token endpoint, so that everything else can be judged."""


@cache
def presets() -> Providers:
    """Every preset by its name."""
    folder = files("refreshd") / "providers"
    found = {
        entry.name.removesuffix(".toml"): MappingProxyType(tomllib.loads(entry.read_text(encoding="utf-8")))
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }
    return MappingProxyType(dict(sorted(found.items())))


def with_profiles(table: Raw, own: Providers) -> list[Fault]:
    """Gives each client in place its `provider_profile`, and its provider's proper name. `own`: the user's providers."""
    faults: list[Fault] = []
    clients = table.get("clients")
    for name, client in clients.items() if isinstance(clients, dict) else ():
        if isinstance(client, dict):
            faults += _with_profile(join("clients", name), client, {**presets(), **own})
    return faults


def names_of(name: str, provider: Mapping[str, object]) -> list[object]:
    """Under which names a provider may be asked for."""
    aliases = provider.get("aliases", ())
    return [name, *(aliases if isinstance(aliases, list) else ())]


def _with_profile(path: str, client: Raw, providers: Providers) -> list[Fault]:
    named = client.get("provider", GENERIC if client.get("issuer") else DEFAULT_PROVIDER)
    provider, faults = _provider(path, named, providers)
    preset = {key: value for key, value in providers[provider].items() if key in PROVIDER_KEYS}
    own = {key: client.pop(key) for key in PROVIDER_KEYS & client.keys()}
    fixed = {key for key in DISCOVERED_KEYS if key.endswith("_endpoint") and preset.get(key)}
    if own.get("issuer") and fixed - own.keys() and not faults:
        faults.append(fault_at(join(path, "issuer"), own["issuer"], _two_providers(provider)))
    profile = preset | own
    client["provider"] = provider
    client["provider_profile"] = profile
    faults += _endpoint(path, profile)
    profile["auth_method"], fault = _auth_method(path, client, profile, own)
    return [*faults, *([fault] if fault else [])]


def _two_providers(provider: str) -> str:
    return (
        f"the provider {provider} has endpoints of its own, and they would count; take one of the two: "
        f'provider = "{GENERIC}" with the issuer, or no issuer'
    )


def _endpoint(path: str, profile: Raw) -> list[Fault]:
    """Somebody must name the token endpoint: a preset, the client's own table, or the issuer."""
    if profile.get("token_endpoint") == "":
        del profile["token_endpoint"]
    if profile.get("issuer") or "token_endpoint" in profile:
        return []
    profile["token_endpoint"] = STAND_IN
    message = (
        'is needed: this provider\'s preset names none; write issuer = "https://…" if the provider publishes its metadata, '
        'else token_endpoint = "https://…"'
    )
    return [Fault(path=join(path, "token_endpoint"), message=message)]


def _provider(path: str, given: object, providers: Providers) -> tuple[str, list[Fault]]:
    """The provider's proper name. An unknown one leaves the default in its place, so that the rest can be judged."""
    names = {alias: name for name, provider in providers.items() for alias in names_of(name, provider)}
    if isinstance(given, str) and given in names:
        return names[given], []
    wanted = f"must be one of {', '.join(providers)}"
    close = get_close_matches(str(given), map(str, names), n=1)
    hint = (
        f"; did you mean {close[0]}?"
        if close
        else f"; for any other provider take {GENERIC} with its issuer or its endpoints, or describe it in "
        "providers/NAME.toml beside the configuration"
    )
    return DEFAULT_PROVIDER, [fault_at(join(path, "provider"), given, wanted + hint)]


def _auth_method(path: str, client: Raw, profile: Raw, own: Raw) -> tuple[AuthMethod, Fault | None]:
    """The first of `client_auth` that fits: with a secret if there is one, without if there is none."""
    at = join(path, "client_secret")
    has_secret = "client_secret" in client
    wanted = profile.get("client_auth", list(ProviderProfile.model_fields["client_auth"].default))
    if client.get("grant") == GrantType.CLIENT_CREDENTIALS and ("client_auth" not in own or _MACHINE_AUTH in own):
        wanted = profile.get(_MACHINE_AUTH) or wanted
    try:
        methods = read_auth_methods(wanted)
    except ValueError:  # said when the key itself is read
        return AuthMethod.NONE, None
    for method in methods:
        if (method is not AuthMethod.NONE) == has_secret:
            return method, None
    if has_secret:
        message = 'a client that proves itself by "none" has no secret; remove it, or set client_auth'
        return methods[0], fault_at(at, client["client_secret"], message)
    message = f'is needed for {methods[0]}; give client_secret_file, or set client_auth to "none" for a public client'
    return methods[0], Fault(path=at, message=message)
