"""Secrets: where the configuration says they are, fetched whenever it is read.

`env:NAME` is an environment variable, `file:PATH` a file (relative to the configuration's folder, as container
platforms mount them), anything else the secret itself, which works and is warned about. No secret is ever part of
a message; what is named is the variable or the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildbot.config.files import Files
from buildbot.config.mistakes import Place, Report, shown

_TOKEN = re.compile(r"gh[a-z]_|github_pat_")

LARGEST_FILE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Secrets:
    """The places secrets may come from. `wanted` False: nothing is fetched and nothing missed."""

    environ: Mapping[str, str]
    base: Path
    report: Report
    files: Files
    wanted: bool = True

    def read(self, place: Place, written: str) -> str | None:
        """The secret that a value stands for; None, with a mistake noted, where it cannot be had."""
        if not self.wanted:
            return None
        try:
            return self._fetch(place, written)
        except ValueError as error:
            self.report.mistake(place, str(error))
            return None

    def read_if_there(self, place: Place, written: str) -> str | None:
        """The same for what is of use even to those who want no secrets: "" where they cannot have it."""
        if self.wanted:
            return self.read(place, written)
        try:
            return self._fetch(place, written)
        except ValueError as error:
            self.report.warn(place, str(error))
            return ""

    def private_key(self, place: Place, written: str) -> str | None:
        """The same for a GitHub App's key, which has to be an RSA key in PEM form without a password."""
        secret = self.read(place, written)
        if secret is not None and (wrong := _wrong_with_key(secret)):
            self.report.mistake(place, wrong)
            return None
        return secret

    def token(self, place: Place, written: str) -> str | None:
        """The same for a token, which has to fit into one line of a request's header."""
        secret = self.read(place, written)
        if secret is not None and not re.fullmatch(r"[!-~]+", secret):
            self.report.mistake(place, "the token has a space, a line break or a letter outside ASCII in it")
            return None
        return secret

    def _fetch(self, place: Place, written: str) -> str:
        kind, _, name = written.partition(":")
        if kind == "env":
            return self._variable(name)
        if kind == "file":
            return self._file(self.base / name)
        self.report.warn(place, 'the secret itself stands in the file; safer is "env:NAME" or "file:PATH"')
        return written

    def _variable(self, name: str) -> str:
        value, variable = self.environ.get(name), f"the environment variable{_shown_name(name)}"
        if value is None:
            raise ValueError(f"{variable} is not set")
        if not value.strip():
            raise ValueError(f"{variable} is empty")
        if any("\ud800" <= letter <= "\udfff" for letter in value):  # how the system's bytes that are no text arrive
            raise ValueError(f"{variable} is not UTF-8")
        return value

    def _file(self, path: Path) -> str:
        where = f"the file {shown(str(path))}"
        try:
            content = self.files.read(path, LARGEST_FILE)
        except OSError as error:
            raise ValueError(f"{where} cannot be read: {error.strerror or error}") from None
        except ValueError:
            raise ValueError(f"{where} cannot be read: that is no file's name") from None
        return _text(content, where)


def _shown_name(name: str) -> str:
    # Somebody who pastes the token itself behind "env:" must not read it in a log.
    looks_like_a_name = re.fullmatch(r"[A-Z_][A-Z0-9_]{0,99}|[A-Za-z_][A-Za-z0-9_]{0,29}", name)
    return f" {name}" if looks_like_a_name and not _TOKEN.match(name) else " named here"


def _wrong_with_key(pem: str) -> str | None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        return "the private key has a password; store it without one, as GitHub hands it out"
    except (ValueError, UnsupportedAlgorithm):
        return "that is no private key in PEM form, which starts with -----BEGIN RSA PRIVATE KEY-----"
    return None if isinstance(key, RSAPrivateKey) else "the private key is no RSA key; GitHub Apps have RSA keys"


def _text(content: bytes, where: str) -> str:
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{where} is larger than {LARGEST_FILE // 1024} KiB; that is no secret")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{where} is not UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise ValueError(f"{where} is empty")
    return text
