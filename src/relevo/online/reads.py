"""What each feature of a tree depends on: the request's fields that are read for it, through joins too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from relevo.online.tree import Tree


class Reads(NamedTuple):
    """Names of the request's fields."""

    features: tuple[frozenset[str], ...]
    """What each feature is computed from. A feature of one field has the same value in every request with that
    field's value."""
    joins: tuple[frozenset[str], ...]
    """What each join's key is computed from, which may fail."""


def reads(tree: Tree) -> Reads:
    """Follow every node down to the request's columns; a joined column depends on its join's key."""
    found: list[frozenset[str]] = []
    for node in tree.nodes:
        fields = frozenset[str]().union(*(found[argument] for argument in node.arguments))
        if node.kind == "column":
            assert isinstance(node.value, int)
            fields = frozenset((tree.request[node.value][0],))
        elif node.kind == "joined":
            fields = fields.union(*(found[key] for key in tree.joins[node.join][1]))
        found.append(fields)
    joins = tuple(frozenset[str]().union(*(found[key] for key in on)) for _, on in tree.joins)
    return Reads(tuple(found[index] for _, _, index in tree.features), joins)


def looks_up(tree: Tree) -> dict[str, frozenset[str]]:
    """The look-ups that each feature depends on, by their names."""
    found: list[frozenset[str]] = []
    for node in tree.nodes:
        names = frozenset[str]().union(*(found[argument] for argument in node.arguments))
        if node.kind == "joined":
            table, keys = tree.joins[node.join]
            names = names.union(*(found[key] for key in keys), {tree.lookups[table].name})
        found.append(names)
    return {name: found[index] for name, _, index in tree.features}
