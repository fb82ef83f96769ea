"""What `buildbot serve` imports, since it keeps that in memory for as long as it runs: nothing that it may never need.

Python itself tells (`-v`) what the real program has imported until it ended.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.cli.world import ENVIRON, Place

NOWHERE = "http://127.0.0.1:9"
PATIENCE_SECONDS = 60
HEAVY = {
    "alembic": "brings an old schema up to date",
    "cryptography": "reads the key of a GitHub App",
    "jwt": "signs for a GitHub App",
    "jinja2": "renders pages",
    "psycopg": "speaks to PostgreSQL",
    "rich": "draws in a terminal",
    "pygments": "colours in a terminal",
    "buildbot.sandbox": "is the demo's",
}
OF_THE_COMMAND = {"buildbot.cli", *(f"buildbot.cli.{name}" for name in ("commands", "lean", "options", "serve"))}


@pytest.fixture
def local(tmp_path: Path) -> Place:
    """A configuration whose forge and registry are nowhere."""
    return listening(Place(tmp_path, NOWHERE, NOWHERE).write())


def listening(place: Place) -> Place:
    """The same, on any free port."""
    text = place.file.read_text()
    place.file.write_text(text.replace("[server]\n", '[server]\nlisten = "127.0.0.1:0"\n'))
    return place


def imported(place: Place, *paths: str, **environ: str) -> frozenset[str]:
    """Every module that the program has imported when it has been ready, has answered these, and has ended."""
    with subprocess.Popen(
        [sys.executable, "-v", "-m", "buildbot", "serve"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | ENVIRON | {"BUILDBOT_CONFIG": str(place.file)} | environ,
    ) as process:
        assert process.stderr is not None
        told: list[str] = []
        try:
            url = f"http://127.0.0.1:{_port(process.stderr, told)}"
            assert httpx.get(f"{url}/readyz", timeout=PATIENCE_SECONDS).json()["status"] == "ready"
            for path in paths:
                httpx.get(url + path, timeout=PATIENCE_SECONDS)
        finally:
            process.terminate()
        told += process.stderr
    assert process.returncode == 0, "".join(told)
    return frozenset(re.findall(r"^import '([\w.]+)' #", "".join(told), re.MULTILINE))


def _port(lines: Iterator[str], told: list[str]) -> int:
    for line in lines:
        told.append(line)
        if line.startswith("{") and (said := json.loads(line))["event"] == "listening":
            return int(said["port"])
    raise AssertionError("".join(told))


def within(package: str, modules: frozenset[str]) -> set[str]:
    """Those of a package."""
    return {name for name in modules if name == package or name.startswith(f"{package}.")}


def test_with_a_token_and_sqlite_nothing_is_imported_that_only_others_need(local: Place) -> None:
    modules = imported(local)
    assert {package: within(package, modules) for package in HEAVY} == {package: set() for package in HEAVY}
    assert within("buildbot.cli", modules) == OF_THE_COMMAND
    assert within("buildbot.web", modules)


def test_what_renders_pages_is_imported_with_the_first_of_them(local: Place) -> None:
    assert within("jinja2", imported(local, "/builds/unknown"))


def test_what_reads_an_apps_key_is_imported_where_there_is_one(local: Place) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    text = local.file.read_text()
    local.file.write_text(text.replace('token = "env:TOKEN"', 'app_id = 1\nprivate_key = "env:KEY"'))
    assert within("cryptography", imported(local, KEY=pem))
