"""Each benchmark runs, on a handful of items, and what it finds makes sense. No time is asserted.

Baseline (c) on sockets needs the `bench` extra and is left out where that is not installed; its logic is not.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.benchmarks import document, following
from tests.benchmarks.__main__ import BENCHMARKS
from tests.benchmarks.figures import quantile, turned
from tests.benchmarks.pushes import SECRET, Pushes, Scheme, request_of
from tests.benchmarks.scale import Scale
from tests.benchmarks.simulated import World, in_memory_bot, quay_buildbot
from tests.benchmarks.table import Table, Target


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_runs_and_gives_figures(name: str, tmp_path: Path) -> None:
    tables = BENCHMARKS[name](Scale(tmp_path, rounds=1, share=0.01, most_trials=1))
    assert tables
    for table in tables:
        assert all(math.isfinite(value) and value > 0 for value in table.figures.values()), table.title
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert table.title in table.markdown()


@pytest.mark.parametrize("contestant", [in_memory_bot, quay_buildbot], ids=lambda one: one.__name__)
def test_in_simulated_time_every_push_is_built_once_and_told_after_its_end(contestant: following.Contestant) -> None:
    scenario = following.cases(Scale(Path(), share=0.05))[0].scenario
    facts = World(scenario).run(contestant)
    assert facts.calls["requestRepoBuild"] == len(facts.requested) == len(scenario.times)
    assert len(following.lags_of(facts)) == len(scenario.times)
    assert min(following.lags_of(facts)) > 0


@pytest.mark.parametrize(("commits", "least", "most"), [(1, 8_000, 12_000), (12, 15_000, 25_000)])
def test_a_push_looks_like_one_of_githubs_and_is_signed(commits: int, least: int, most: int) -> None:
    pushes = Pushes(Scheme("smoke", 3, 2, commits))
    first, next_of_ref = pushes(1), pushes(7)
    assert least < len(first.body) < most
    assert (first.full_name, first.ref) == (next_of_ref.full_name, next_of_ref.ref)
    assert json.loads(next_of_ref.body)["before"] == first.sha
    assert SECRET.encode() not in request_of(first, "/webhook", "localhost", "1")


def test_a_quantile_is_a_sample_of_which_so_many_are_no_larger() -> None:
    assert [quantile([4.0, 1.0, 3.0, 2.0], share) for share in (0.0, 0.5, 0.99)] == [1.0, 2.0, 4.0]


def test_each_round_begins_with_another_program() -> None:
    assert [turned("abc", number)[0] for number in range(4)] == ["a", "b", "c", "a"]


@pytest.mark.parametrize(("value", "is_least", "is_met"), [(0.5, False, True), (0.7, False, False), (0.7, True, True)])
def test_a_target_is_met_on_its_own_side(value: float, is_least: bool, is_met: bool) -> None:
    assert Target("it", value, 0.6, is_least=is_least).is_met is is_met


def test_tables_replace_what_stood_between_their_markers_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    file.write_text("before\n<!-- bench: intake -->\nold\n<!-- end: intake -->\nafter\n")
    table = Table("Title", ["a"], [["1"]], {"a": 1.0})
    for _ in range(2):
        document.write({"intake": [table]}, "a machine", Scale(tmp_path), file)
    text = file.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.count("### Title") == 1


def test_the_document_has_a_place_for_every_benchmark() -> None:
    text = document.DOCUMENT.read_text()
    for name in BENCHMARKS:
        assert "new" in document.replaced(text, name, "new")
