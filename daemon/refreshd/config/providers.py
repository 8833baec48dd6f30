"""Provider presets: data from `refreshd/providers/*.toml`, laid under what a client's own table says."""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from refreshd.config.faults import Fault, fault_at, join
from refreshd.config.field_types import read_auth_methods
from refreshd.config.settings import DEFAULT_PROVIDER, PROVIDER_KEYS
from refreshd.config.untyped import Raw
from refreshd.domain.client import AuthMethod


@cache
def presets() -> Mapping[str, Mapping[str, object]]:
    """Every preset by its name."""
    folder = files("refreshd") / "providers"
    found = {
        entry.name.removesuffix(".toml"): MappingProxyType(tomllib.loads(entry.read_text(encoding="utf-8")))
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }
    return MappingProxyType(dict(sorted(found.items())))


def with_profiles(table: Raw) -> list[Fault]:
    """Gives each client in place its `provider_profile`, and its provider's proper name."""
    faults: list[Fault] = []
    clients = table.get("clients")
    for name, client in clients.items() if isinstance(clients, dict) else ():
        if isinstance(client, dict):
            faults += _with_profile(join("clients", name), client)
    return faults


def _with_profile(path: str, client: Raw) -> list[Fault]:
    provider, faults = _preset(path, client.get("provider", DEFAULT_PROVIDER))
    preset = {key: value for key, value in presets()[provider].items() if key in PROVIDER_KEYS}
    own = {key: client.pop(key) for key in PROVIDER_KEYS & client.keys()}
    profile = preset | own
    client["provider"] = provider
    client["provider_profile"] = profile
    profile["auth_method"], fault = _auth_method(path, client, profile)
    return [*faults, *([fault] if fault else [])]


def _preset(path: str, given: object) -> tuple[str, list[Fault]]:
    """The preset's proper name. An unknown one leaves the default in its place, so that the rest can be judged."""
    names: dict[object, str] = {name: name for name in presets()}
    for name, preset in presets().items():
        aliases = preset.get("aliases", ())
        names |= dict.fromkeys(aliases if isinstance(aliases, list) else (), name)
    if isinstance(given, str) and given in names:
        return names[given], []
    wanted = f"must be one of {', '.join(presets())}"
    close = get_close_matches(str(given), map(str, names), n=1)
    hint = f"; did you mean {close[0]}?" if close else "; for any other provider take generic and name its endpoints"
    return DEFAULT_PROVIDER, [fault_at(join(path, "provider"), given, wanted + hint)]


def _auth_method(path: str, client: Raw, profile: Raw) -> tuple[AuthMethod, Fault | None]:
    """The first of `client_auth` that fits: with a secret if there is one, without if there is none."""
    at = join(path, "client_secret")
    has_secret = "client_secret" in client
    try:
        methods = read_auth_methods(profile["client_auth"])
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
