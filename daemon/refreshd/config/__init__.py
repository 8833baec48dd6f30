"""Configuration: TOML, environment and secret files in; typed settings or every fault at once out."""

from refreshd.config.effective import effective, to_toml
from refreshd.config.faults import ConfigurationError, Fault
from refreshd.config.load import Loaded, load
from refreshd.config.settings import ClientSettings, Settings

__all__ = ["ClientSettings", "ConfigurationError", "Fault", "Loaded", "Settings", "effective", "load", "to_toml"]
