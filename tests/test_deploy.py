"""The files in deploy/ fit the program and each other: paths, ports, commands, exit codes, who may write where.

Nothing here starts a container or systemd, which a test run cannot expect to find. What can be checked without them is
what breaks silently: a file that is renamed here and still copied there, a port that two files must agree on, a
hardening line that is lost in a merge. The health check is run for real.
"""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer.main

from buildbot.cli import app, options, serve
from buildbot.config import shape
from buildbot.engine import lease_loop
from tests.documents import ROOT, blocks

DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SCRIPTS = set(PROJECT["project"]["scripts"])
COMMANDS = set(getattr(typer.main.get_command(app), "commands", {}))
SECONDS_TO_END = 10


# ── the container image ──────────────────────────────────────────────────────────────────────────────────────────────


def instructions() -> list[tuple[str, str]]:
    """(keyword, rest) of every instruction, continuation lines joined."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Containerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(keyword, " ".join(rest.split())) for keyword, rest in found]


def last_stage() -> dict[str, str]:
    every = instructions()
    start = max(number for number, (keyword, _) in enumerate(every) if keyword == "FROM")
    return dict(every[start:])


def environment() -> dict[str, str]:
    return dict(one.split("=", 1) for one in last_stage()["ENV"].split())


def test_the_image_is_made_in_two_stages_from_a_small_python_that_is_new_enough() -> None:
    every = instructions()
    assert [rest for keyword, rest in every if keyword == "FROM"] == ["${PYTHON} AS build", "${PYTHON}"]
    base = re.fullmatch(r"PYTHON=python:3\.(\d+)-slim", dict(every)["ARG"])
    assert base, "a conventional name without an address"
    assert int(base[1]) >= int(PROJECT["project"]["requires-python"].removeprefix(">=3."))


def test_the_image_does_not_run_as_root() -> None:
    user, group = map(int, last_stage()["USER"].split(":"))
    assert user > 0
    assert group > 0
    assert f"--owner={user} --group={group}" in last_stage()["RUN"]


def test_the_image_copies_only_what_is_there_and_in_its_build_context() -> None:
    admitted = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copies = [rest.split()[:-1] for keyword, rest in instructions() if keyword == "COPY" and "--from" not in rest]
    sources = [source.removeprefix("./") for copied in copies for source in copied]
    assert sorted(sources) == sorted(admitted)
    assert all((ROOT / source).exists() for source in sources)
    needed = {"pyproject.toml", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert needed | set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= set(sources)


def test_the_image_starts_the_console_script() -> None:
    stage = last_stage()
    (script,), (command,) = json.loads(stage["ENTRYPOINT"]), json.loads(stage["CMD"])
    assert script in SCRIPTS
    assert command in COMMANDS
    assert stage["STOPSIGNAL"] == "SIGTERM"
    assert environment()[_variable_of_the_configuration()].endswith(".toml")


def _variable_of_the_configuration() -> str:
    (command,) = [one for name, one in typer.main.get_command(app).commands.items() if name == "serve"]  # type: ignore[attr-defined]
    (variable,) = [parameter.envvar for parameter in command.params if "-c" in parameter.opts]
    return str(variable)


def health_check() -> list[str]:
    command = last_stage()["HEALTHCHECK"].partition("CMD ")[2]
    parsed = json.loads(command)
    assert isinstance(parsed, list)
    return parsed


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server on loopback that answers /readyz with this status, and anything else with 404; yields its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_passes_only_while_the_bot_is_ready(status: int, code: int) -> None:
    python, flag, program = health_check()
    assert python == "python"
    with answering(status) as port:
        asked = program.replace(f" {last_stage()['EXPOSE']},", f" {port},")
        assert asked != program
        environ = {"http_proxy": "http://127.0.0.1:9", "PATH": ""}
        assert subprocess.run([sys.executable, flag, asked], check=False, env=environ).returncode == code


def test_the_health_check_fails_where_nobody_listens() -> None:
    _, flag, program = health_check()
    with answering(200) as port:
        pass
    asked = program.replace(f" {last_stage()['EXPOSE']},", f" {port},")
    assert subprocess.run([sys.executable, flag, asked], check=False, capture_output=True).returncode == 1


# ── compose ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def compose() -> dict[str, list[str]]:
    """Every key of the file by its whole path ("services.buildbot.init"), with its value or the entries of its list.

    Reads the plain subset of YAML that the file is written in, and refuses anything else.
    """
    found: dict[str, list[str]] = {}
    path: list[str] = []
    for line in (DEPLOY / "compose.yaml").read_text().splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        shape_of_line = re.fullmatch(r"((?:  )*)(?:- (\S.*)|([a-z_-]+):(?: (\S.*))?)", line)
        assert shape_of_line, f"not plain YAML: {line!r}"
        indent, entry, key, value = shape_of_line.groups()
        depth = len(indent) // 2
        assert depth <= len(path), f"too deep: {line!r}"
        if entry is not None:
            found[".".join(path[:depth])].append(entry.strip('"'))
        else:
            path = [*path[:depth], key]
            assert ".".join(path) not in found, f"twice: {line!r}"
            found[".".join(path)] = [value.strip('"')] if value else []
    return found


def test_compose_builds_the_image_from_files_that_are_there() -> None:
    context = (DEPLOY / compose()["services.buildbot.build.context"][0]).resolve()
    assert context == ROOT
    assert (context / compose()["services.buildbot.build.dockerfile"][0]) == DEPLOY / "Containerfile"


def test_compose_takes_every_right_away_that_the_bot_does_not_need() -> None:
    bot = {key.removeprefix("services.buildbot."): value for key, value in compose().items()}
    assert bot["read_only"] == ["true"]
    assert bot["cap_drop"] == ["ALL"]
    assert bot["security_opt"] == ["no-new-privileges:true"]
    assert bot["tmpfs"] == ["/tmp"]  # noqa: S108  # the container's own
    assert "privileged" not in bot
    assert "user" not in bot, "the image's own user"


def test_compose_agrees_with_the_image_on_port_configuration_and_database() -> None:
    found = compose()
    (port,) = found["services.buildbot.ports"]
    assert port == f"127.0.0.1:8080:{last_stage()['EXPOSE']}", "published to this host only"
    volumes = (one.removesuffix(":ro").split(":") for one in found["services.buildbot.volumes"])
    mounts = {target: source for source, target in volumes}
    assert mounts[environment()["BUILDBOT_CONFIG"]] == "./config.toml"
    assert f"volumes.{mounts[last_stage()['WORKDIR']]}" in found
    assert last_stage()["WORKDIR"] in last_stage()["RUN"]


def test_compose_waits_longer_than_the_bot_takes_to_end() -> None:
    assert int(compose()["services.buildbot.stop_grace_period"][0].removesuffix("s")) > SECONDS_TO_END
    assert serve.GRACEFUL_SECONDS + lease_loop.GRACE_SECONDS < SECONDS_TO_END


# ── systemd ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def unit() -> dict[str, list[str]]:
    """The values of every key of the unit; a key may stand several times."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "quay-buildbot.service").read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, equals, value = line.partition("=")
            assert equals, f"no key: {line!r}"
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_starts_the_console_script() -> None:
    program, command, flag, file = unit()["ExecStart"][0].split()
    assert Path(program).name in SCRIPTS
    assert command in COMMANDS
    assert flag == "-c"
    assert Path(file).parent == Path(unit()["EnvironmentFile"][0]).parent


HARDENING = {
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "PrivateUsers": "yes",
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectControlGroups": "yes",
    "ProtectProc": "invisible",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "SystemCallArchitectures": "native",
    "UMask": "0077",
}


@pytest.mark.parametrize("key", HARDENING)
def test_the_unit_takes_away_what_the_bot_does_not_need(key: str) -> None:
    assert unit()[key] == [HARDENING[key]]


def test_the_unit_admits_only_the_system_calls_of_a_service() -> None:
    first, *taken_away = unit()["SystemCallFilter"]
    assert first == "@system-service"
    assert all(one.startswith("~") for one in taken_away)


def test_reloading_the_unit_has_the_configuration_read_again() -> None:
    assert unit()["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_the_unit_does_not_start_again_what_only_a_person_can_mend() -> None:
    assert unit()["Restart"] == ["on-failure"]
    assert unit()["RestartPreventExitStatus"] == [str(options.WRONG)]


def test_the_unit_waits_longer_than_the_bot_takes_to_end() -> None:
    assert int(unit()["TimeoutStopSec"][0]) > SECONDS_TO_END


# ── what both are told ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_databases_of_the_deployment_guide_lie_where_the_bot_may_write() -> None:
    container, systemd = [tomllib.loads(block) for block in blocks(DEPLOY / "README.md", "toml")]
    for document, folder in (
        (container, last_stage()["WORKDIR"]),
        (systemd, f"/var/lib/{unit()['StateDirectory'][0]}"),
    ):
        assert Path(document["store"]["url"].removeprefix("sqlite:///")).parent == Path(folder)
    assert container["server"]["listen"] == f"0.0.0.0:{last_stage()['EXPOSE']}"
    assert "listen" in shape.ServerTable.model_fields


def test_the_example_of_the_environment_asks_for_every_secret_of_the_example_configuration_and_holds_none() -> None:
    configuration = tomllib.loads((ROOT / "config.example.toml").read_text())
    wanted = set(re.findall(r"env:(\w+)", json.dumps(configuration)))
    lines = (DEPLOY / "buildbot.env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert given == dict.fromkeys(wanted, "")


def test_no_secret_of_a_deployment_can_be_committed_by_accident() -> None:
    assert "/config.toml" in (ROOT / ".gitignore").read_text().splitlines()
    ignored = (DEPLOY / ".gitignore").read_text().splitlines()
    assert {f"/{unit()['EnvironmentFile'][0].rpartition('/')[2]}", "/config.toml"} <= set(ignored)
    assert compose()["services.buildbot.env_file"][0] == "buildbot.env"


# ── the wheel ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_wheel_holds_the_whole_package_with_templates_migrations_and_types() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["buildbot"]}, "no exceptions: hatch then takes every file that git does not ignore"
    files = {str(file.relative_to(ROOT)) for file in (ROOT / "buildbot").rglob("*") if file.is_file()}
    assert "buildbot/py.typed" in files
    assert any(fnmatch.fnmatch(file, "buildbot/web/templates/*.html") for file in files)
    assert any(fnmatch.fnmatch(file, "buildbot/store/migrations/versions/v*.py") for file in files)
    ignored = [pattern for pattern in (ROOT / ".gitignore").read_text().split() if not pattern.endswith("/")]
    assert not [file for file in files if any(fnmatch.fnmatch(Path(file).name, pattern) for pattern in ignored)]
