"""When the configuration is read again: at once if somebody asks, after two looks that agree if it has changed."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from buildbot.bootstrap.source import Source
from buildbot.config import BadConfig, Files, load
from tests.config.files import ENVIRON, GOOD, rule

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(GOOD)
    return file


def source(file: Path) -> tuple[Source, Files]:
    """What follows a file, and what it looks by."""
    files = Files()
    load(file, ENVIRON, files=files)
    return Source(file, ENVIRON, files), files


def test_a_change_counts_when_two_looks_in_a_row_find_it(file: Path) -> None:
    one, files = source(file)
    assert not one.has_settled(files.look())
    assert not one.has_settled(files.look())
    file.write_text(GOOD + rule())
    assert not one.has_settled(files.look())
    assert one.has_settled(files.look())


def test_a_file_that_is_still_being_written_is_not_read(file: Path) -> None:
    one, files = source(file)
    for size in range(100, 400, 100):
        file.write_text((GOOD + rule())[:size])
        assert not one.has_settled(files.look())
    assert one.has_settled(files.look())


def test_a_change_that_is_taken_back_is_none(file: Path) -> None:
    one, files = source(file)
    file.write_text(GOOD + rule())
    assert not one.has_settled(files.look())
    file.write_text(GOOD)
    assert not one.has_settled(files.look())
    file.write_text(GOOD + rule())
    assert not one.has_settled(files.look())


async def test_what_was_read_last_is_watched_good_or_bad(file: Path) -> None:
    one, _ = source(file)
    change(file, "= what")
    while not await one.has_news():
        pass
    with pytest.raises(BadConfig):
        one.load()
    assert not await one.has_news()
    assert not await one.has_news(), "a bad version is read once"
    change(file, GOOD + rule())
    while not await one.has_news():
        pass
    assert len(one.load().rules) == 2


def change(file: Path, text: str) -> None:
    file.write_text(text)


async def test_who_asks_is_served_at_once_once_and_from_any_thread(file: Path) -> None:
    one, _ = source(file)
    one.ask()
    assert await one.has_news(), "asked before anybody listened"
    asking = threading.Thread(target=one.ask)
    asking.start()
    while not await one.has_news():
        pass
    asking.join()
    assert not await one.has_news()


def test_asking_when_the_bot_has_ended_harms_nobody(file: Path) -> None:
    one, _ = source(file)
    assert not asyncio.run(one.has_news())
    one.ask()
