"""A page, parsed: elements with their attributes, texts, and the content of scripts and styles."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "input", "wbr"}


@dataclass
class Node:
    """An element of a page."""

    tag: str
    attributes: dict[str, str | None]
    children: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text below, in order."""
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    @property
    def classes(self) -> list[str]:
        return (self.attributes.get("class") or "").split()

    def all(self, tag: str = "", **attributes: str) -> list[Node]:
        """All elements below with this tag and these attributes (`class_` is one of several)."""
        wanted_class = attributes.pop("class_", None)
        return [
            node
            for node in self.walk()
            if tag in {"", node.tag}
            and (wanted_class is None or wanted_class in node.classes)
            and all(node.attributes.get(k.replace("_", "-")) == v for k, v in attributes.items())
        ]

    def walk(self) -> list[Node]:
        """All elements below, in order."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                found += [child, *child.walk()]
        return found


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("document", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        assert len(node.attributes) == len(attrs), f"an attribute twice: {attrs}"
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"<{self.open[-1].tag}> is closed by </{tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment in the page: {data!r}")


def parse(page: str) -> Node:
    """Parse a page strictly: every element is closed, no attribute is given twice."""
    builder = _Builder()
    builder.feed(page)
    builder.close()
    assert builder.open == [builder.root], "an element is not closed"
    return builder.root
