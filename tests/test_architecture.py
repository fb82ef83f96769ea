"""Who may import what. The table of design's layout as a test, because a table in prose rots."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "buildbot"
PARTS = (
    "cli",
    "bootstrap",
    "web",
    "engine",
    "forges",
    "registry",
    "store",
    "config",
    "archives",
    "ports",
    "telemetry",
    "domain",
)
ALLOWED: dict[str, frozenset[str]] = {
    "cli": frozenset({*PARTS, "sandbox"}),
    "__main__": frozenset({"cli"}),
    "bootstrap": frozenset(PARTS) - {"cli"},
    "web": frozenset({"web", "engine", "archives", "ports", "telemetry", "domain"}),
    "engine": frozenset({"engine", "archives", "ports", "telemetry", "domain"}),
    "forges": frozenset({"forges", "ports", "telemetry", "domain"}),
    "registry": frozenset({"registry", "ports", "telemetry", "domain"}),
    "store": frozenset({"store", "ports", "telemetry", "domain"}),
    "config": frozenset({"config", "domain"}),
    "archives": frozenset({"archives", "domain"}),
    "ports": frozenset({"domain"}),
    "telemetry": frozenset({"domain"}),
    "domain": frozenset({"domain"}),
    "sandbox": frozenset({"sandbox"}),
}
NOT_IN_THE_DOMAIN = frozenset({"os", "time", "asyncio", "logging", "random", "secrets", "socket", "pathlib", "io"})
FORBIDDEN_NAMES = ("manager", "handler", "helper", "mixin", "utils", "service", "processor")
FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(file: Path) -> str:
    """The part of the package that a file belongs to: a folder, or a file of its own."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(file: Path) -> list[str]:
    """Every module that a file imports, anywhere in it."""
    names = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_part_may(file: Path) -> None:
    part = part_of(file)
    if part == "__init__":
        return
    used = {name.split(".")[1] for name in imported(file) if name.startswith("buildbot.")}
    assert used <= ALLOWED[part], f"{part} must not import {sorted(used - ALLOWED[part])}"


def test_every_part_of_the_package_has_its_line_in_the_table() -> None:
    assert {part_of(file) for file in FILES} - {"__init__"} == set(ALLOWED)


@pytest.mark.parametrize(
    "file", [file for file in FILES if part_of(file) == "domain"], ids=lambda file: str(file.relative_to(PACKAGE))
)
def test_the_domain_knows_the_standard_library_alone_and_neither_clock_nor_io(file: Path) -> None:
    import sys

    modules = {name.split(".")[0] for name in imported(file)} - {"buildbot"}
    assert modules <= sys.stdlib_module_names
    assert not modules & NOT_IN_THE_DOMAIN


def test_forges_and_registries_never_import_each_other() -> None:
    for file in FILES:
        if part_of(file) in {"forges", "registry", "store"}:
            others = {"forges", "registry", "store"} - {part_of(file)}
            assert not {name.split(".")[1] for name in imported(file) if name.startswith("buildbot.")} & others


def test_only_the_command_line_imports_the_sandbox() -> None:
    users = {part_of(file) for file in FILES for name in imported(file) if name.startswith("buildbot.sandbox")}
    assert users <= {"cli", "sandbox"}


def test_names_say_what_a_thing_is_rather_than_that_it_is_one() -> None:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                assert not any(word in node.name.lower() for word in FORBIDDEN_NAMES), f"{file}: {node.name}"


def test_every_module_argues_what_it_is_for() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for file in FILES
        if file.read_text().strip() and not ast.get_docstring(ast.parse(file.read_text()))
    ]
    assert silent == []
