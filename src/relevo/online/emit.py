"""Write a checked tree as the source of one Python function of plain locals.

Each feature is one expression. Nulls, CASE and COALESCE are conditional expressions, so only what DuckDB
would evaluate is evaluated; a sub-expression used more than once becomes a local first, unless it stands
in a branch only and may fail. Text in the source comes from the operator table, from ``repr`` of checked
constants, and from numbered locals: never from a package's names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from relevo.online.operators import LAZY, OPERATORS
from relevo.online.runtime import pattern
from relevo.online.tree import LONGEST_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from relevo.online.tree import Node, Tree

LARGEST_SOURCE = 4_000_000
DEEPEST_EXPRESSION = 12
_FLIPPED = {"less_double": "(not {1} <= {0})", "at_most_double": "(not {1} < {0})"}
_PLAIN = {"equal_double": "({0} == {1})", "less_double": "({0} < {1})", "at_most_double": "({0} <= {1})",
          "differ_double": "({0} != {1})", "distinct_double": "({0} != {1})"}  # fmt: skip


class SourceTooLargeError(ValueError):
    """The expressions share too much inside branches to be written out, or their constants make too long texts."""


def _grown(kind: str, given: list[object]) -> int:
    """How many characters an operator that lengthens texts is about to make."""
    texts = [value for value in given if isinstance(value, str)]
    if kind == "replace" and len(texts) == len(given):
        text, old, new = texts
        return len(text) + (text.count(old) * (len(new) - len(old)) if old else 0)
    return sum(map(len, texts)) if kind in ("append", "concat") else 0


class Emitter:
    """Writes the function; ``constants`` are the objects its source refers to as k0, k1 and so on."""

    def __init__(self, tree: Tree, evaluate: Callable[[str, list[object]], object]) -> None:
        self.lines: list[str] = []
        self.constants: list[object] = []
        self._tree = tree
        self._evaluate = evaluate
        self._locals: dict[int, str] = {}
        self._values: dict[int, object] = {
            i: n.value for i, n in enumerate(tree.nodes) if n.kind == "constant"
        }
        self._depths: dict[int, int] = {}
        self._temporaries = 0
        self._written = 0
        self._uses, self._safe = self._survey()
        self._fixed: list[bool] = []
        for node in tree.nodes:
            leaf = node.kind in ("column", "joined")
            self._fixed.append(not leaf and all(self._fixed[argument] for argument in node.arguments))

    def _survey(self) -> tuple[list[int], list[bool]]:
        """How often each node is used, and whether it may be evaluated before anything that uses it."""
        nodes = self._tree.nodes
        uses = [0] * len(nodes)
        eager = [False] * len(nodes)
        roots = [node for _, on in self._tree.joins for node in on] + [
            node for _, _, node in self._tree.features
        ]
        for root in roots:
            uses[root] += 1
            eager[root] = True
        for index in range(len(nodes) - 1, -1, -1):
            if not uses[index]:
                continue
            node = nodes[index]
            for position, argument in enumerate(node.arguments):
                uses[argument] += 1
                eager[argument] |= eager[index] and (position == 0 or node.kind not in LAZY)
        return uses, [eager[index] or not node.raises for index, node in enumerate(nodes)]

    def source(self) -> str:
        """Write ``def features(request, lookups)``, which sets ``at`` to the feature it is working on."""
        for slot, (_, type_) in enumerate(self._tree.request):
            self._column(slot, type_)
        for join in range(len(self._tree.joins)):
            self._join(join)
        results = []
        for number, (_, _, index) in enumerate(self._tree.features):
            start = len(self.lines)
            code = self._code(index)
            if code.isidentifier():
                results.append(code)
            else:
                self._line(f"f{number} = {code}")
                self._locals.setdefault(index, f"f{number}")
                results.append(f"f{number}")
            if len(self.lines) > start:
                self.lines.insert(start, f"at = {number}")
        answer = ", ".join(results)
        return "\n".join(
            [
                "def features(request, lookups):",
                "    at = -1",
                "    try:",
                *(f"        {line}" for line in self.lines),
                f"        return ({answer},)",
                "    except FAILURES as failure:",
                "        raise explain(at, failure) from failure",
            ]
        )

    def _line(self, line: str) -> None:
        self._count(len(line))
        self.lines.append(line)

    def _count(self, characters: int) -> None:
        self._written += characters
        if self._written > LARGEST_SOURCE:
            raise SourceTooLargeError

    def _column(self, slot: int, type_: str) -> None:
        nodes = enumerate(self._tree.nodes)
        index = next((i for i, n in nodes if n.kind == "column" and n.value == slot and self._uses[i]), None)
        if index is None:
            return
        self._locals[index] = f"c{slot}"
        self._line(f"c{slot} = request[{self._constant(self._tree.request[slot][0])}]")
        if type_ == "integer":
            self._line(
                f"if c{slot} is not None and not -9223372036854775808 <= c{slot} <= 9223372036854775807:"
            )
            self._line("    overflow()")

    def _constant(self, value: object) -> str:
        self.constants.append(value)
        return f"k{len(self.constants) - 1}"

    def _fresh(self) -> str:
        self._temporaries += 1
        return f"t{self._temporaries}"

    def _code(self, index: int) -> str:
        """Give an expression for the node, first writing the lines it needs."""
        if index in self._locals:
            return self._locals[index]
        node = self._tree.nodes[index]
        if node.kind == "constant":
            return self._literal(node)
        if node.kind == "joined":
            code = self._from_lookup(node)
        else:
            code = self._operation(node, [self._code(argument) for argument in node.arguments])
            if self._fixed[index]:
                self._locals[index] = self._fold(index, code)
                return self._locals[index]
        depth = 1 + max((self._depths.get(argument, 0) for argument in node.arguments), default=0)
        hoisted = self._safe[index] and (self._uses[index] > 1 or depth > DEEPEST_EXPRESSION)
        self._depths[index] = 0 if hoisted else depth
        if len(code) > LARGEST_SOURCE:
            raise SourceTooLargeError
        if hoisted and not code.isidentifier():
            self._line(f"s{index} = {code}")
            self._locals[index] = code = f"s{index}"
        return code

    def _fold(self, index: int, code: str) -> str:
        """Calculate what has no column in it once; what fails there fails at every row, as in DuckDB.

        A text that comes of it is bounded as a constant is, and all of them count as if written out.
        """
        node = self._tree.nodes[index]
        if _grown(node.kind, [self._values.get(argument) for argument in node.arguments]) > LONGEST_TEXT:
            raise SourceTooLargeError
        try:
            value = self._evaluate(code, self.constants)
        except (ArithmeticError, ValueError, NameError):
            self._line(f"s{index} = {code}")
            return f"s{index}"
        if isinstance(value, str):
            self._count(len(value))
            if len(value) > LONGEST_TEXT:
                raise SourceTooLargeError
        self._values[index] = value
        return "None" if value is None else self._constant(value)

    def _literal(self, node: Node) -> str:
        if node.value is None or isinstance(node.value, bool):
            return repr(node.value)
        if isinstance(node.value, str):
            return self._constant(node.value)
        return f"({node.value!r})"

    def _join(self, join: int) -> None:
        """Look the row up first, whether or not a feature uses it: its key may fail, as in DuckDB."""
        lookup, on = self._tree.joins[join]
        parts = [self._atom(self._code(part)) for part in on]
        missing = " or ".join(f"{part} is None" for part in parts)
        rows = self._constant(self._tree.lookups[lookup].name)
        self._line(f"y{join} = {parts[0] if len(parts) == 1 else '(' + ', '.join(parts) + ')'}")
        self._line(f"r{join} = None if {missing} else lookups[{rows}].get(y{join})")

    def _from_lookup(self, node: Node) -> str:
        key = self._tree.lookups[self._tree.joins[node.join][0]].key
        slot = int(str(node.value))
        if slot >= len(key):
            value = f"r{node.join}[{slot - len(key)}]"
        else:
            value = f"y{node.join}" if len(key) == 1 else f"y{node.join}[{slot}]"
        return f"(None if r{node.join} is None else {value})"

    def _atom(self, code: str) -> str:
        """Put an expression into a local of its own, on a line of its own."""
        if code.isidentifier():
            return code
        name = self._fresh()
        self._line(f"{name} = {code}")
        return name

    # --- operations ----------------------------------------------------------------------------------

    def _operation(self, node: Node, codes: list[str]) -> str:
        given = [self._tree.nodes[argument] for argument in node.arguments]
        rule = self._rules.get(node.kind)
        if rule is not None:
            return rule(self, node, codes, given)
        return self._strict(self._template(node, given), codes, given)

    def _case(self, _node: Node, codes: list[str], _given: list[Node]) -> str:
        branches = zip(codes[:-1:2], codes[1::2], strict=True)
        return "(" + "".join(f"{then} if {when} else " for when, then in branches) + codes[-1] + ")"

    def _is(self, node: Node, codes: list[str], given: list[Node]) -> str:
        wanted = {"is_null": None, "is_true": True, "is_false": False}[node.kind]
        if given[0].kind == "constant":
            return repr(given[0].value is wanted)
        return f"({codes[0]} is {wanted})"

    def _extreme(self, node: Node, codes: list[str], _given: list[Node]) -> str:
        return f"{node.kind}({', '.join(codes)})"

    def _in(self, _node: Node, codes: list[str], given: list[Node]) -> str:
        options = self._constant(frozenset(option.value for option in given[1:]))
        return self._strict(f"({{0}} in {options})", codes[:1], given[:1])

    def _template(self, node: Node, given: list[Node]) -> str:
        """Choose the Python of an operator, simpler where a constant allows it."""
        if node.kind in _PLAIN and given[1].kind == "constant":
            return _PLAIN[node.kind]
        if node.kind in _FLIPPED and given[0].kind == "constant":
            return _FLIPPED[node.kind]
        if node.kind == "divide" and given[1].kind == "constant" and given[1].value:
            return "({0} / {1})"
        if (
            node.kind in ("like", "like_escape")
            and given[1].kind == "constant"
            and given[1].value is not None
        ):
            return self._like(*(str(part.value) for part in given[1:]))
        return OPERATORS[node.kind].python

    def _like(self, form: str, escape: str = "") -> str:
        bare = form.strip("%")
        if escape or "%" in bare or "_" in bare or not bare:
            return f"like({{0}}, {self._constant(pattern(form, escape))})"
        constant = self._constant(bare)
        start, end = form.startswith("%"), form.endswith("%")
        if start and end:
            return f"({constant} in {{0}})"
        if start or end:
            return f"{{0}}.{'endswith' if start else 'startswith'}({constant})"
        return f"({{0}} == {constant})"

    def _strict(self, template: str, codes: list[str], given: list[Node]) -> str:
        """Null when any argument is; all arguments are evaluated first, as they may fail."""
        atoms: list[str] = []
        tests: list[str] = []
        gap = " or "
        for position, (code, node) in enumerate(zip(codes, given, strict=True)):
            if node.kind == "constant" and node.value is not None:
                atoms.append(code)
                continue
            if code.isidentifier():
                atoms.append(code)
                if node.may_be_null:
                    tests.append(f"({code} is None)")
                continue
            if not node.may_be_null and not node.raises and template.count(f"{{{position}}}") == 1:
                atoms.append(code)
                continue
            atoms.append(self._fresh())
            tests.append(f"(({atoms[-1]} := {code}) is None)")
            if node.raises and len(tests) > 1:
                gap = " | "
        filled = self._fill(template, atoms)
        return f"(None if {gap.join(tests)} else {filled})" if tests else filled

    def _fill(self, template: str, atoms: list[str]) -> str:
        if "{t}" in template:
            template = template.replace("{t}", self._fresh())
        for position, atom in enumerate(atoms):
            template = template.replace(f"{{{position}}}", atom)
        return template

    def _coalesce(self, _node: Node, codes: list[str], given: list[Node]) -> str:
        written = ""
        for code, node in zip(codes[:-1], given[:-1], strict=True):
            if not node.may_be_null:
                return f"({written}{code})"
            name = code if code.isidentifier() else self._fresh()
            test = code if code.isidentifier() else f"({name} := {code})"
            written += f"{name} if {test} is not None else "
        return f"({written}{codes[-1]})"

    def _connect(self, node: Node, codes: list[str], given: list[Node]) -> str:
        """AND stops at the first false, OR at the first true; null when a null leaves it open."""
        decisive = node.kind in ("and", "and_then")
        eager = node.kind in ("and", "or") and any(argument.raises for argument in given[1:])
        if not eager and not any(argument.may_be_null for argument in given):
            return "(" + (" and " if decisive else " or ").join(codes) + ")"
        atoms = [code if code.isidentifier() else self._fresh() for code in codes]
        tests = [
            f"({atom if atom == code else f'({atom} := {code})'} is {decisive is False})"
            for atom, code in zip(atoms, codes, strict=True)
        ]
        first = (" | " if eager else " or ").join(tests)
        nulls = " or ".join(
            f"{atom} is None" for atom, arg in zip(atoms, given, strict=True) if arg.may_be_null
        )
        rest = f"None if {nulls} else {decisive}" if nulls else f"{decisive}"
        return f"({not decisive} if {first} else {rest})"

    def _concat(self, _node: Node, codes: list[str], given: list[Node]) -> str:
        parts = [
            code if not node.may_be_null else self._or_empty(code)
            for code, node in zip(codes, given, strict=True)
        ]
        return "(" + " + ".join(parts) + ")"

    def _or_empty(self, code: str) -> str:
        name = code if code.isidentifier() else self._fresh()
        test = code if code.isidentifier() else f"({name} := {code})"
        return f"('' if {test} is None else {name})"

    def _distinct(self, node: Node, codes: list[str], given: list[Node]) -> str:
        left, right = (code if code.isidentifier() else self._fresh() for code in codes)
        bound = [
            f"({name} := {code})" if name != code else name
            for name, code in zip((left, right), codes, strict=True)
        ]
        tests = [f"({test} is None)" for test in bound]
        filled = self._fill(self._template(node, given), [left, right])
        return f"({left} is not {right} if {tests[0]} | {tests[1]} else {filled})"

    _rules: ClassVar[dict[str, Callable[[Emitter, Node, list[str], list[Node]], str]]] = {
        "case": _case,
        "coalesce": _coalesce,
        "and": _connect,
        "or": _connect,
        "and_then": _connect,
        "or_else": _connect,
        "concat": _concat,
        "is_null": _is,
        "is_true": _is,
        "is_false": _is,
        "in": _in,
        "greatest": _extreme,
        "least": _extreme,
        "distinct": _distinct,
        "distinct_double": _distinct,
    }
