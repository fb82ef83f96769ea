"""Pushes as GitHub sends them, in any number, each different: a recorded payload with other refs, commits and files.

One commit makes a body of about 9 KB and twelve one of about 20 KB, as they do at GitHub. Everything follows from the
push's number, so two programs that are compared get the same bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent.parent / "forges" / "github" / "payloads" / "push-branch-plain.json"
SECRET = "a secret of the hook"
OWNER = "acme"
INSTALLATION = 4242
FOLDERS = ("src/server", "src/client/components", "docs/reference", "tests/integration", "deploy/charts/templates")
FILES_PER_COMMIT = 12
EPOCH = 1_800_000_000


@dataclass(frozen=True, slots=True)
class Scheme:
    """Which pushes there are: over how many repositories and branches of each, with how many commits.

    Push n goes to repository n modulo `repositories`; the branches of one repository take turns. `name` keeps the
    commits of several schemes apart.
    """

    name: str
    repositories: int
    branches: int
    commits: int


@dataclass(frozen=True, slots=True)
class Push:
    """One push: where, from which commit to which, and its body."""

    number: int
    full_name: str
    ref: str
    sha: str
    body: bytes


def sha_of(name: str, number: int) -> str:
    """A commit id that no other push has."""
    return hashlib.sha1(f"{name} {number}".encode(), usedforsecurity=False).hexdigest()


def repository_of(number: int) -> str:
    """The full name of a repository, at GitHub and at Quay alike."""
    return f"{OWNER}/service-{number:04d}"


class Pushes:
    """The pushes of a scheme by their numbers."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._recorded: dict[str, Any] = json.loads(RECORDED.read_text())

    def __call__(self, number: int) -> Push:
        """One push; those of one ref follow each other."""
        scheme = self._scheme
        repository, turn = number % scheme.repositories, number // scheme.repositories
        ref = f"refs/heads/topic-{turn % scheme.branches}"
        sha, full_name = sha_of(scheme.name, number), repository_of(repository)
        previous = number - scheme.repositories * scheme.branches
        before = sha_of(scheme.name, previous) if previous >= 0 else "0" * 40
        body = self._body(full_name, repository, ref, before, sha, number)
        return Push(number, full_name, ref, sha, json.dumps(body, separators=(",", ":")).encode())

    def _body(self, full_name: str, repository: int, ref: str, before: str, sha: str, number: int) -> dict[str, Any]:
        recorded = self._recorded
        commits = [self._commit(full_name, sha, number, one) for one in range(self._scheme.commits)]
        return {
            **recorded,
            "ref": ref,
            "before": before,
            "after": sha,
            "repository": self._repository(full_name, repository, number),
            "installation": {"id": INSTALLATION, "node_id": "MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9uNDI0Mg=="},
            "created": before.strip("0") == "",
            "compare": f"https://github.com/{full_name}/compare/{before[:12]}...{sha[:12]}",
            "commits": commits,
            "head_commit": commits[-1],
        }

    def _repository(self, full_name: str, repository: int, number: int) -> dict[str, Any]:
        was = self._recorded["repository"]
        moved = {key: _renamed(value, was["full_name"], full_name) for key, value in was.items()}
        name = full_name.partition("/")[2]
        return moved | {"id": 1000 + repository, "name": name, "pushed_at": EPOCH + number, "private": False}

    def _commit(self, full_name: str, sha: str, number: int, one: int) -> dict[str, Any]:
        is_last = one == self._scheme.commits - 1
        commit_id = sha if is_last else sha_of(f"{self._scheme.name} {number}", one)
        folder = FOLDERS[one % len(FOLDERS)]
        files = [f"{folder}/module_{number % 89}_{one}_{file}.py" for file in range(FILES_PER_COMMIT)]
        return {
            **self._recorded["head_commit"],
            "id": commit_id,
            "tree_id": sha_of("tree", number * 100 + one),
            "message": f"Change {folder}, step {one + 1}\n\nWhat was there before did not survive a restart.\n",
            "url": f"https://github.com/{full_name}/commit/{commit_id}",
            "added": files[:1],
            "modified": files[1:],
        }


def _renamed(value: Any, old: str, new: str) -> Any:
    return value.replace(old, new) if isinstance(value, str) else value


def request_of(push: Push, path: str, host: str, delivery: str) -> bytes:
    """The push as the bytes of one signed HTTP request."""
    signature = hmac.new(SECRET.encode(), push.body, "sha256").hexdigest()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: GitHub-Hookshot/5b2a1c3\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(push.body)}\r\n"
        f"X-GitHub-Event: push\r\nX-GitHub-Delivery: {delivery}\r\nX-GitHub-Hook-ID: 42\r\n"
        f"X-GitHub-Hook-Installation-Target-ID: 4242\r\nX-GitHub-Hook-Installation-Target-Type: integration\r\n"
        f"X-Hub-Signature-256: sha256={signature}\r\n\r\n"
    )
    return head.encode() + push.body


def requests_of(scheme: Scheme, count: int, path: str, host: str, first: int = 0) -> Iterator[bytes]:
    """The requests of pushes `first` and on."""
    pushes = Pushes(scheme)
    for number in range(first, first + count):
        yield request_of(pushes(number), path, host, f"{scheme.name}-{number}")
