"""Secrets come from variables and files, and appear nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from buildbot.config import BadConfig, read
from tests.config.files import ENVIRON, GOOD, forge, good, mistakes, only_mistake

SECRET = "hunter2-hunter2"


def test_a_secret_comes_from_a_variable_or_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "hook").write_bytes("größe\r\n".encode())
    config = good(forge(token='"env:TOKEN"', webhook_secrets='["env:HOOK", "file:secrets/hook"]'), base=tmp_path)
    assert config.forges["github"].token == "ghp_token"
    assert config.forges["github"].webhook_secrets == (b"hook secret", "größe".encode())
    assert config.warnings == ()


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    assert good(forge(token=f'"file:{tmp_path / "token"}"')).forges["github"].token == SECRET


def test_a_secret_in_the_file_itself_works_with_a_warning() -> None:
    config = good(forge(token=f'"{SECRET}"'))
    assert config.forges["github"].token == SECRET
    [warning] = config.warnings
    assert (warning.line, warning.key) == (5, "forges.github.token")
    assert "env:NAME" in warning.what
    assert SECRET not in str(warning)


@pytest.mark.parametrize(
    ("written", "fragment"),
    [
        ("env:ABSENT", "the environment variable ABSENT is not set"),
        ("env:EMPTY", "the environment variable EMPTY is empty"),
        ("env:BYTES", "the environment variable BYTES is not UTF-8"),
        ("env:SPACE", "has a space"),
        ("env:", 'must be "env:NAME"'),
        ("env: TOKEN", "without a space"),
        ("ENV:TOKEN", "in lower case"),
        ("file:", "file:PATH"),
        ("$TOKEN", "looks like a variable of a shell"),
        ("${TOKEN}", "looks like a variable of a shell"),
        ("%TOKEN%", "looks like a variable of a shell"),
        ("", "is empty"),
        ("file:absent", 'absent" cannot be read: No such file'),
        ("file:.", "cannot be read: Is a directory"),
        ("file:empty", 'empty" is empty'),
        ("file:bytes", 'bytes" is not UTF-8'),
        ("file:large", 'large" is larger than 64 KiB'),
        ("file:a\\u0000b", "that is no file's name"),
    ],
)
def test_a_secret_that_cannot_be_had_is_a_mistake_that_names_it(tmp_path: Path, written: str, fragment: str) -> None:
    (tmp_path / "empty").write_bytes(b" \n")
    (tmp_path / "bytes").write_bytes(b"\xff")
    (tmp_path / "large").write_bytes(b"x" * (64 * 1024 + 1))
    environ = ENVIRON | {"EMPTY": " ", "BYTES": "\udcff", "SPACE": "a b"}
    mistake = only_mistake(forge(token=f'"{written}"'), environ, base=tmp_path)
    assert (mistake.line, mistake.key) == (5, "forges.github.token")
    assert fragment in mistake.what


def test_all_secrets_of_a_list_are_tried() -> None:
    found = mistakes(forge(token='"env:TOKEN"', webhook_secrets='["env:A", "$B", "env:HOOK", "env:C", 5]'))
    assert [mistake.key.partition("webhook_secrets")[2] for mistake in found] == ["[0]", "[1]", "[3]", "[4]"]


@pytest.mark.parametrize("pasted", ["ghp_16C7e42F292c6912E7710c838347Ae178B4a", "a" * 40, "github_pat_11AB"])
def test_a_token_pasted_behind_env_is_not_repeated(pasted: str) -> None:
    mistake = only_mistake(forge(token=f'"env:{pasted}"'))
    assert pasted not in str(mistake)
    assert "the environment variable named here is not set" in mistake.what


def test_no_secret_shows_in_the_configuration_or_in_its_mistakes(tmp_path: Path) -> None:
    key = _pem(rsa.generate_private_key(65537, 2048))
    (tmp_path / "key").write_text(key)
    environ = {"HOOK": f"hook-{SECRET}", "TOKEN": f"token-{SECRET}", "QUAY": f"quay-{SECRET}"}
    store = f'[store]\nurl = "postgresql://user:{SECRET}@db/x"\n'
    app = forge(app_id="1", private_key='"file:key"')
    for text in (store + GOOD, store + app):
        assert SECRET not in repr(config := good(text, environ, base=tmp_path))
        assert "PRIVATE KEY" not in repr(config)
    for spoilt in ("bad = 1", f'private_key = "{SECRET}"', f"token = ['{SECRET}']", f"webhook_secrets = '{SECRET}'"):
        with pytest.raises(BadConfig) as caught:
            read(store.replace("/x", "") + app + f"[forges.two]\n{spoilt}\n", environ, file="c", base=tmp_path)
        assert SECRET not in str(caught.value)


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, how).decode()


def test_a_github_app_has_an_id_and_an_rsa_key() -> None:
    key = _pem(rsa.generate_private_key(65537, 2048))
    for app_id in ("12345", '"12345"'):
        config = good(forge(app_id=app_id, private_key='"env:KEY"'), ENVIRON | {"KEY": key})
        assert (config.forges["github"].app_id, config.forges["github"].private_key) == ("12345", key)
        assert config.forges["github"].token is None


@pytest.mark.parametrize(
    ("key", "fragment"),
    [
        ("nonsense", "no private key in PEM form"),
        ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", "no private key in PEM form"),
        (_pem(ec.generate_private_key(ec.SECP256R1())), "is no RSA key"),
        (_pem(ec.generate_private_key(ec.SECP256R1()), b"password"), "has a password"),
    ],
)
def test_a_private_key_that_github_apps_cannot_use_is_a_mistake(key: str, fragment: str) -> None:
    mistake = only_mistake(forge(app_id="1", private_key='"env:KEY"'), ENVIRON | {"KEY": key})
    assert mistake.key == "forges.github.private_key"
    assert fragment in mistake.what
