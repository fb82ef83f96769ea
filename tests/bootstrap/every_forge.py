"""A configuration with a forge of every kind."""

from __future__ import annotations

from pathlib import Path

from buildbot.config import Config, ForgeKind, read
from tests.config.files import ENVIRON, REGISTRY, SERVER

FORGE = """
[forges.{kind}]
kind = "{kind}"
url = "https://{kind}.example.com"
api_url = "https://{kind}.example.com/api"
webhook_secrets = ["env:HOOK"]
token = "env:TOKEN"
"""
RULE = """
[[rules]]
name = "api"
source = "github:acme/api"
branches = ["main"]
repository = "acme/api"
"""


def config(folder: Path, store: str = "", **environ: str) -> Config:
    """It; `store` is its table of that name, `environ` what is other than usual in the environment."""
    forges = "".join(FORGE.format(kind=kind) for kind in ForgeKind)
    return read(SERVER + store + forges + REGISTRY + RULE, ENVIRON | environ, base=folder)
