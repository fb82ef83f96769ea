"""The configuration: one TOML file, read at start and whenever it changes, checked as a whole before it is used.

`load` gives a `Config` in which every reference is known to exist and every pattern and template to make sense, or
raises `BadConfig` with all mistakes at once, each with its line and what to do about it. No other module reads the
environment or the file.
"""

from buildbot.config.files import Digests, Files
from buildbot.config.mistakes import BadConfig, Mistake
from buildbot.config.model import Config, ForgeConfig, ForgeKind, RegistryConfig, RegistryKind, Server, StoreConfig
from buildbot.config.reading import load, read
from buildbot.config.schema import schema

__all__ = [
    "BadConfig",
    "Config",
    "Digests",
    "Files",
    "ForgeConfig",
    "ForgeKind",
    "Mistake",
    "RegistryConfig",
    "RegistryKind",
    "Server",
    "StoreConfig",
    "load",
    "read",
    "schema",
]
