"""Python source laid out as ``ruff format`` does, for the few forms that a project has."""

from __future__ import annotations

import json
from dataclasses import dataclass

WIDTH = 110
INDENT = "    "


@dataclass(frozen=True)
class Call:
    """``head(parts…)``, or with brackets; ``always`` puts each part on a line of its own."""

    head: str
    parts: tuple[str | Call, ...]
    brackets: str = "()"
    always: bool = False
    notes: tuple[tuple[str, ...], ...] = ()
    """Comment lines above each part, when ``always``."""

    def flat(self) -> str:
        """All on one line."""
        inner = ", ".join(_flat(part) for part in self.parts)
        return f"{self.head}{self.brackets[0]}{inner}{self.brackets[1]}"


def _flat(node: str | Call) -> str:
    return node if isinstance(node, str) else node.flat()


def lines(node: str | Call, depth: int = 0, before: str = "", after: str = "") -> list[str]:
    """Write a node between two texts: on one line, its parts on one, or each on its own."""
    margin = INDENT * depth
    whole = f"{margin}{before}{_flat(node)}{after}"
    if isinstance(node, str) or not node.parts or (len(whole) <= WIDTH and not _forced(node)):
        return [whole]
    opening = f"{margin}{before}{node.head}{node.brackets[0]}"
    closing = f"{margin}{node.brackets[1]}{after}"
    together = INDENT * (depth + 1) + ", ".join(_flat(part) for part in node.parts)
    if len(together) <= WIDTH and node.brackets == "()" and not _forced(node):
        return [opening, together, closing]
    inner = []
    for place, part in enumerate(node.parts):
        notes = node.notes[place] if place < len(node.notes) else ()
        inner += [f"{INDENT * (depth + 1)}# {note}" for note in notes]
        inner += lines(part, depth + 1, "", ",")
    return [opening, *inner, closing]


def _forced(node: str | Call) -> bool:
    return isinstance(node, Call) and (node.always or any(_forced(part) for part in node.parts))


def text(value: str) -> str:
    """Write a text as Python, with the quotes that need fewer escapes, double ones if alike."""
    written = json.dumps(value, ensure_ascii=False)
    if value.count('"') > value.count("'"):
        return "'" + written[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
    return written


def wrapped(sentence: str, margin: str, width: int = WIDTH) -> list[str]:
    """Break a sentence into lines that each begin with ``margin``; what it quotes stays printable."""
    found, line = [], margin
    for word in clean(sentence).split(" "):
        if len(line) + len(word) + 1 > width and line != margin:
            found.append(line.rstrip())
            line = margin
        line += f"{word} "
    return [*found, line.rstrip()]


def clean(sentence: str) -> str:
    """Without line ends and control characters, which would end a comment."""
    return "".join(letter if letter.isprintable() else " " for letter in sentence)
