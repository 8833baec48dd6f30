"""The configuration as it came out, for people to read: every key, defaults included, no secret."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel

from refreshd.config.addresses import Listen, redact_url
from refreshd.config.durations import format_duration
from refreshd.config.rates import format_rate, format_share
from refreshd.config.settings import DISCOVERED_KEYS, ClientSettings, Settings
from refreshd.domain.secret import Secret

_NO_VALUE = {
    "refresh_token_lifetime": "none",
    "issuer": "",
    "authorization_endpoint": "",
    "token_endpoint": "",
    "revocation_endpoint": "",
    "userinfo_endpoint": "",
}
_URLS = frozenset({"url", "proxy"})


def effective(settings: Settings) -> dict[str, object]:
    """In the notation of the file. None stands for a key that is not set and has no notation for that."""
    values = _values(settings)
    values["clients"] = {name: _client(client) for name, client in settings.clients.items()}
    return values


def to_toml(values: Mapping[str, object]) -> str:
    """`effective`'s result as TOML that reads back; a key that is not set becomes a comment."""
    return "\n".join(_lines(values, "")).strip("\n") + "\n"


def _client(client: ClientSettings) -> dict[str, object]:
    """The provider's keys stand beside the client's own, as in the file."""
    values = _values(client)
    del values["provider_profile"]
    profile = _values(client.provider_profile)
    del profile["auth_method"]
    if client.provider_profile.issuer is not None:  # written down they would count before what the issuer publishes
        profile |= dict.fromkeys(DISCOVERED_KEYS - client.provider_profile.model_fields_set)
    if not client.provider_profile.client_credentials_auth:
        profile["client_credentials_auth"] = ""
    return values | profile


def _values(table: BaseModel) -> dict[str, object]:
    return {key: _value(key, getattr(table, key)) for key in type(table).model_fields}


def _value(key: str, value: object) -> object:
    match value:
        case BaseModel():
            return _values(value)
        case None:
            return _NO_VALUE.get(key)
        case Secret():
            return "***"
        case timedelta():
            return format_duration(value)
        case float():
            return format_share(value) if key == "spread" else format_rate(value)
        case tuple():
            return [_value(key, item) for item in value]
        case Path() | Listen():
            return str(value)
        case str():
            return redact_url(value) if key in _URLS else str(value)
        case _:
            return value


def _lines(table: Mapping[str, object], path: str) -> Iterator[str]:
    """Plain keys before tables: TOML has no way back out of a table."""
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    plain = {key: value for key, value in table.items() if key not in inner}
    if path and plain:
        yield f"\n[{path}]"
    for key, value in plain.items():
        yield f"# {key} is not set" if value is None else f"{key} = {toml_value(value)}"
    for key, value in inner.items():
        yield from _lines(value, f"{path}.{key}" if path else key)


def toml_value(value: object) -> str:
    """One value in TOML's notation, whatever characters it holds."""
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
