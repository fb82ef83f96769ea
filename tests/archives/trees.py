"""Trees as hypothesis makes them: any names that Linux allows, nesting, links, modes, sizes at the block's edges."""

from __future__ import annotations

import os

from hypothesis import strategies as st

from tests.archives.tars import Thing, directory, file, hard_link, symlink

SIZES = (0, 1, 511, 512, 513, 4096, 65_535, 65_537, 200_000)

odd_bytes = st.binary(min_size=1, max_size=12).map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_"))
long_names = st.integers(90, 250).map(lambda length: "n" * length)
names = st.one_of(
    st.sampled_from(["a", "b", "Dockerfile", "src", "prüfung", "日本", " ", "-rf", "a\nb", "..."]),
    odd_bytes.map(os.fsdecode),
    long_names,
).filter(lambda name: name not in {".", ".."})
contents = st.builds(lambda seed, size: (seed * size)[:size], st.binary(min_size=1, max_size=8), st.sampled_from(SIZES))
targets = st.one_of(names, st.sampled_from(["/etc/passwd", "../../x", "a/./b", "t" * 300]))
trees: st.SearchStrategy[object] = st.recursive(
    st.dictionaries(names, st.one_of(contents, targets), max_size=4),
    lambda inner: st.dictionaries(names, st.one_of(inner, contents, targets), max_size=4),
    max_leaves=12,
)
file_modes = st.sampled_from([0o600, 0o644, 0o664, 0o755, 0o775, 0o4755])
directory_modes = st.sampled_from([0o700, 0o755, 0o775, 0o1777])


@st.composite
def things(draw: st.DrawFn) -> list[Thing]:
    """A tree as the entries of an archive, each directory ahead of what is in it, with a few hard links behind."""
    made: list[Thing] = []
    _walk(draw, "", draw(trees), made)
    files = [thing.name for thing in made if thing.content]
    linked = draw(st.lists(st.sampled_from(files), max_size=2, unique=True)) if files else []
    made += [hard_link(f"{'l' * 120}{n}", name) for n, name in enumerate(linked)]
    return made


def _walk(draw: st.DrawFn, above: str, tree: object, made: list[Thing]) -> None:
    assert isinstance(tree, dict)
    for name, node in tree.items():
        path = f"{above}{name}"
        if isinstance(node, bytes):
            made.append(file(path, node, draw(file_modes)))
        elif isinstance(node, str):
            made.append(symlink(path, node))
        else:
            made.append(directory(path, draw(directory_modes)))
            _walk(draw, f"{path}/", node, made)
