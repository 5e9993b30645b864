"""Small changes of a Python module: what one wrong key or one forgotten line would make of it.

A change replaces one node of the syntax tree by another, in the text, so that all else stays as it is written.
Strings are left alone, as are annotations, assertions and what is raised: their meaning is for people. So are the
bounds of caches and of waiting, which no result depends on (``KEPT_OR_WAITED``).
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}

KEPT_OR_WAITED: Final = frozenset({"max_entries", "_max_entries", "_MEMORY", "_LONGEST_REMEMBERED", "_BUSY_TIMEOUT_MS"})
"""Names of what only says how much is remembered, or how long is waited, before the same result: left alone too."""

_DECLARATIONS: Final = frozenset({"annotation", "returns", "decorator_list", "type_params", "bases"})


class Mutant(msgspec.Struct, frozen=True):
    """A module with one change.

    Attributes:
        path: the module, relative to the tree.
        line: where the change begins, from 1.
        what: the kind of change.
        source: the module as it is.
        changed: the module with the change.
    """

    path: str
    line: int
    what: str
    source: str
    changed: str

    def report(self) -> str:
        """Where, what, and the lines before and after."""
        lines = difflib.ndiff(self.source.splitlines(), self.changed.splitlines())
        shown = [line for line in lines if line.startswith(("- ", "+ "))]
        return "\n".join([f"{self.path}:{self.line}: {self.what}", *(f"    {line}" for line in shown)])


def mutants_of(root: Path, module: Path) -> list[Mutant]:
    """Every mutant of ``root / module``, in the order of the text."""
    source = (root / module).read_text(encoding="utf-8")
    mutants = []
    for node, replacement, what in _changes(ast.parse(source)):
        changed = _replaced(source, node, replacement)
        if ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source)):
            mutants.append(Mutant(str(module), node.lineno, what, source, changed))
    return sorted(mutants, key=lambda mutant: mutant.line)


def _replaced(source: str, node: ast.expr | ast.stmt, replacement: ast.expr | ast.stmt) -> str:
    lines = source.encode().splitlines(keepends=True)
    text = ast.unparse(replacement)
    if isinstance(replacement, ast.expr):
        text = f"({text})"
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    return b"".join([*lines[:first], before, text.encode(), after, *lines[last + 1 :]]).decode()


def _changes(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, ast.expr | ast.stmt, str]]:
    """What to replace by what, and why it is wrong."""
    for node in _nodes(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            operator = _COMPARISONS[type(node.ops[0])]()
            yield node, ast.Compare(node.left, [operator], node.comparators), "another comparison"
        elif isinstance(node, ast.BoolOp):
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield node, ast.BoolOp(other, node.values), "and for or"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, node.operand, "not left out"
        elif isinstance(node, ast.Constant) and isinstance(node.value, int):
            value = not node.value if isinstance(node.value, bool) else node.value + 1
            yield node, ast.Constant(value), "another constant"
        elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            yield node, ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right), "another operator"
        elif isinstance(node, ast.IfExp):
            yield node, ast.IfExp(node.test, node.orelse, node.body), "branches swapped"
        elif isinstance(node, ast.If | ast.While):
            yield node.test, ast.UnaryOp(ast.Not(), node.test), "condition turned round"
        elif isinstance(node, ast.Return) and not _means_no(node.value):
            yield node, ast.Return(ast.Constant(None)), "nothing returned"
        elif isinstance(node, ast.stmt) and _can_be_left_out(node):
            yield node, ast.Pass(), "statement left out"


def _means_no(value: ast.expr | None) -> bool:
    """What nothing returned means too, to who asks whether; that False is True is a change of its own."""
    return value is None or (isinstance(value, ast.Constant) and (value.value is None or value.value is False))


def _can_be_left_out(node: ast.stmt) -> bool:
    """Statements without which the module still runs: a name that is never set would be no forgotten line."""
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    return isinstance(node, ast.AugAssign | ast.Delete | ast.Continue | ast.Break)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What can be changed, without annotations, assertions, errors, f-strings and main guards."""
    for child in _children(node):
        yield child
        yield from _nodes(child)


def _is_main_guard(node: ast.AST) -> bool:
    """What a module does when it is run, which its importers never see."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def _children(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Assert | ast.Raise | ast.JoinedStr | ast.ImportFrom | ast.Import) or _is_main_guard(node):
        return
    for name, value in ast.iter_fields(node):
        if name in _DECLARATIONS or (isinstance(node, ast.ClassDef) and name == "keywords"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_left_alone(child):
                yield child


def _name_of(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_left_alone(node: ast.AST) -> bool:
    """What says how much is kept or how long is waited, and what is said to type checkers."""
    if isinstance(node, ast.Call):
        return _name_of(node.func) == "TypeVar"
    if isinstance(node, ast.Compare):
        return any(_name_of(side) in KEPT_OR_WAITED for side in (node.left, *node.comparators))
    return (isinstance(node, ast.keyword) and node.arg in KEPT_OR_WAITED) or (
        isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id in KEPT_OR_WAITED
    )
