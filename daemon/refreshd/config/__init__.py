"""Configuration: a TOML file, the environment and secret files become `Settings`, or all their faults at once."""

from refreshd.config.effective import effective, to_toml, toml_value
from refreshd.config.faults import ConfigurationError, Fault
from refreshd.config.keys import CLIENT_NAME
from refreshd.config.load import Loaded, load
from refreshd.config.settings import ClientSettings, ProviderProfile, Settings

__all__ = [
    "CLIENT_NAME",
    "ClientSettings",
    "ConfigurationError",
    "Fault",
    "Loaded",
    "ProviderProfile",
    "Settings",
    "effective",
    "load",
    "to_toml",
    "toml_value",
]
