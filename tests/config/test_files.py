"""What was read is what is watched: any other bytes are a change, however they came there, and nothing else is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from buildbot.config import BadConfig, Files, load
from tests.config.files import ENVIRON, forge

TOKEN = "ghp_of_a_file"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration and the secrets it names, mounted as Kubernetes does: links into a folder that is swapped."""
    for version, secret in (("v1", "first"), ("v2", "second")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "hook").write_text(secret)
    (tmp_path / "data").symlink_to("v1")
    (tmp_path / "hook").symlink_to("data/hook")
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "config.toml").write_text(forge(token='"file:token"', webhook_secrets='["file:hook", "file:later"]'))
    return tmp_path


def read(folder: Path) -> Files:
    files = Files()
    with pytest.raises(BadConfig, match="later"):
        load(folder / "config.toml", ENVIRON, files=files)
    return files


def swap(folder: Path) -> None:
    (folder / "next").symlink_to("v2")
    (folder / "next").replace(folder / "data")


def renamed_into_place(folder: Path) -> None:
    (folder / "new").write_text("ghp_of_another_file")
    (folder / "new").replace(folder / "token")


def folder_in_its_place(folder: Path) -> None:
    (folder / "token").unlink()
    (folder / "token").mkdir()


CHANGES: dict[str, Callable[[Path], object]] = {
    "the file itself": lambda folder: (folder / "config.toml").write_text(forge()),
    "written over": lambda folder: (folder / "token").write_text("ghp_of_somebody_else"),
    "renamed into place": renamed_into_place,
    "a link to another folder": swap,
    "there at last": lambda folder: (folder / "later").write_text("third"),
    "gone": lambda folder: (folder / "token").unlink(),
    "empty": lambda folder: (folder / "token").write_text(""),
    "a folder in its place": folder_in_its_place,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_every_way_to_other_bytes_is_a_change(folder: Path, change: Callable[[Path], object]) -> None:
    files = read(folder)
    assert files.look() == files.seen
    change(folder)
    assert files.look() != files.seen


def test_the_same_bytes_at_another_time_are_no_change(folder: Path) -> None:
    files = read(folder)
    (folder / "token").write_text(TOKEN)
    os.utime(folder / "config.toml", (1, 1))
    assert files.look() == files.seen


def test_a_secret_that_was_missing_is_watched_too(folder: Path) -> None:
    assert set(read(folder).seen) == {folder / name for name in ("config.toml", "hook", "later", "token")}


def test_a_file_that_is_no_toml_is_watched(tmp_path: Path) -> None:
    files, file = Files(), tmp_path / "config.toml"
    file.write_text("= what")
    with pytest.raises(BadConfig):
        load(file, ENVIRON, files=files)
    assert set(files.seen) == {file}


def test_of_a_file_that_changes_while_it_is_read_twice_the_first_counts(folder: Path) -> None:
    files = Files()
    files.read(folder / "token", 100)
    (folder / "token").write_text("other")
    files.read(folder / "token", 100)
    assert files.look() != files.seen


def test_a_pipe_is_read_and_not_watched() -> None:
    files, (reading, writing) = Files(), os.pipe()
    os.write(writing, b"told once")
    os.close(writing)
    try:
        assert files.read(Path(f"/dev/fd/{reading}"), 100) == b"told once"
    finally:
        os.close(reading)
    assert (files.seen, files.look()) == ({}, {})


def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(folder: Path) -> None:
    files = read(folder)
    (folder / "token").unlink()
    os.mkfifo(folder / "token")
    assert files.look() != files.seen
