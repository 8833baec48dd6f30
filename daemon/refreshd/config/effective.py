"""The effective configuration for people: every key, defaults included, secrets redacted."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from refreshd.config.durations import format_duration
from refreshd.config.settings import Listen, Settings
from refreshd.domain.secret import Secret

_PASSWORD = re.compile(r"(\w+://[^/@:]*:)[^/@]*@")


def effective(settings: Settings) -> dict[str, Any]:
    """Plain values in the file's own words; keys without a value are left out."""
    values: dict[str, Any] = _table(settings)
    for name, client in settings.clients.items():
        values["clients"][name] |= _table(client.provider_profile)
    return values


def to_toml(values: Mapping[str, Any], place: str = "") -> str:
    """TOML that `tomllib` reads back."""
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    text = f"[{place}]\n" if place and plain else ""
    text += "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in plain.items())
    for key, value in values.items():
        if isinstance(value, Mapping):
            text += ("\n" if text else "") + to_toml(value, f"{place}.{key}" if place else key)
    return text


def _table(model: BaseModel) -> dict[str, Any]:
    fields = {name: _plain(name, getattr(model, name)) for name in type(model).model_fields}
    return {name: value for name, value in fields.items() if value is not None}


def _plain(name: str, value: Any) -> Any:  # noqa: PLR0911 - a case a type
    match value:
        case BaseModel():
            return _table(value)
        case Secret():
            return "***"
        case Listen():
            return f"[{value.host}]:{value.port}" if ":" in value.host else f"{value.host}:{value.port}"
        case timedelta():
            return format_duration(value)
        case Enum():
            return value.value
        case Path():
            return str(value)
        case dict():
            return {key: _plain(key, item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(name, item) for item in value]
        case str():
            return _PASSWORD.sub(r"\1***@", value)
        case float() if name == "spread":
            return f"{value * 100:g}%"
        case float() if name == "max_rate":
            return f"{value:g}/s"
        case _:
            return value
