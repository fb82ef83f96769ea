"""A reader of HTML that forgives nothing, to see what a browser would make of a page."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})
IN_PARAGRAPH = frozenset({"a", "code", "span", "time", "b", "i"})


class Markup(HTMLParser):
    """What a page holds; an AssertionError where its elements do not nest as HTML5 wants."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        assert page.startswith("<!DOCTYPE html>\n")
        self.feed(page)
        self.close()
        assert self._open == []

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    @property
    def links(self) -> list[str]:
        """Where its links lead."""
        return [attributes["href"] or "" for tag, attributes in self.elements if tag == "a"]

    @property
    def text(self) -> str:
        """What a person reads, with single spaces."""
        return " ".join(" ".join(text for _, text in self._texts).split())

    def inside(self, tag: str) -> str:
        """The text directly in elements of this name, as it stands."""
        return "".join(text for where, text in self._texts if where == tag)

    def meta(self, name: str) -> str | None:
        """The content of the `<meta>` with that `http-equiv`."""
        found = (given for tag, given in self.elements if tag == "meta" and given.get("http-equiv") == name)
        return next((given["content"] for given in found), None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names)
        assert not any(name.startswith("on") or name in {"style", "src"} for name in names)
        if set(self._open) & {"p", "pre", "h1", "dt", "dd", "li"}:
            assert tag in IN_PARAGRAPH, f"<{tag}> inside {self._open}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raise AssertionError(f"<{tag} {attrs}/> is not HTML")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        where = self._open[-1] if self._open else ""
        if where != "style":
            self._texts.append((where, data))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")
