"""Directives that write the schema's tables from the code, so that the page cannot differ from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sphinx.util.docutils import SphinxDirective

from subsidence import schema

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


class SchemaKinds(SphinxDirective):
    """One section for each kind of Dataset."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(_kinds()), allow_section_headings=True)


class SchemaVariables(SphinxDirective):
    """One table of every variable."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(_variables()))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("schema-kinds", SchemaKinds)
    app.add_directive("schema-variables", SchemaVariables)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _kinds() -> Iterator[str]:
    for kind in schema.KINDS.values():
        yield from (f"## {kind.name}", "", kind.summary, "")
        rows = (
            (
                f"`{item.name}`",
                " or ".join(f"({', '.join(dims)})" for dims in item.dims),
                item.variable.units or "none",
                "coordinate" if item.coordinate else "variable",
                _needed(kind, item.name, required=item.required),
            )
            for item in kind.fields
        )
        yield from _table(("name", "dimensions", "unit", "stored as", "needed"), rows)
        if kind.attributes:
            yield from _table(("attribute", "meaning"), ((f"`{k}`", text) for k, text in kind.attributes.items()))


def _needed(kind: schema.Schema, name: str, *, required: bool) -> str:
    if required:
        return "yes"
    for group in kind.one_of:
        if name in group:
            others = [f"`{other}`" for other in group if other != name]
            return f"this or {' or '.join(others)}" if others else "yes"
    return ""


def _variables() -> Iterator[str]:
    rows = (
        (
            f"`{known.name}`",
            known.long_name,
            " or ".join((known.units or "none", *known.other_units)),
            known.range_words.replace("..", " .. ").strip(),
            known.comment,
        )
        for known in schema.VARIABLES.values()
    )
    yield from _table(("name", "meaning", "unit", "range", "sign and remarks"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield _row(head)
    yield _row("---" for _ in head)
    yield from map(_row, rows)
    yield ""


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
