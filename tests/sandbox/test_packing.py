"""Archives as the sandboxes pack them."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest

from buildbot.sandbox.git_repository import Commit
from buildbot.sandbox.gitlab import GitLab
from buildbot.sandbox.packing import CHUNK_BYTES, in_chunks, tar_gz, zipped


def a_commit() -> Commit:
    it = GitLab().add_repository("acme/api", files={"Dockerfile": "FROM x\n", "src/größe #1": "y"})
    return it.resolve("main")


@pytest.mark.parametrize(("top", "prefix"), [("api-1", "api-1/"), ("", "")])
def test_both_forms_hold_the_same_files_below_the_same_directory(top: str, prefix: str) -> None:
    commit = a_commit()
    names = [f"{prefix}Dockerfile", f"{prefix}src/größe #1"]
    with tarfile.open(fileobj=io.BytesIO(tar_gz(commit, top)), mode="r:gz") as packed:
        assert packed.getnames() == names
        assert packed.pax_headers["comment"] == commit.sha
        content = packed.extractfile(names[0])
        assert content is not None
        assert content.read() == b"FROM x\n"
    with zipfile.ZipFile(io.BytesIO(zipped(commit, top))) as archive:
        assert archive.namelist() == names
        assert archive.read(names[1]) == b"y"


def test_chunks_make_the_whole() -> None:
    whole = bytes(range(256)) * 1000
    chunks = list(in_chunks(whole))
    assert b"".join(chunks) == whole
    assert max(map(len, chunks)) == CHUNK_BYTES
