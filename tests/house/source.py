"""The package as the guards read it: each file parsed once, its functions and classes with where they stand."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[2] / "meddiff"
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Definition(NamedTuple):
    """A function or class: where it stands, and what it is."""

    file: str
    name: str
    node: ast.AST

    def __str__(self):
        return f"{self.file}::{self.name}"

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") and not part.endswith("__") for part in self.name.split("."))


@cache
def files() -> dict[str, str]:
    """Text of each file by its place in the package."""
    python = sorted(file for file in PACKAGE.rglob("*.py") if "recipes" not in file.parts)
    return {file.relative_to(PACKAGE).as_posix(): file.read_text(encoding="utf-8") for file in python}


@cache
def trees() -> dict[str, ast.Module]:
    return {file: ast.parse(text) for file, text in files().items()}


@cache
def definitions() -> tuple[Definition, ...]:
    """All functions and classes, those inside others too, named as in ``Class.method``."""
    return tuple(Definition(file, name, node) for file, tree in trees().items() for name, node in _inside(tree))


def functions() -> list[Definition]:
    return [one for one in definitions() if isinstance(one.node, Function)]


def _inside(node: ast.AST, before: str = "") -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            yield before + child.name, child
            yield from _inside(child, f"{before}{child.name}.")
        else:
            yield from _inside(child, before)


def names(text: str) -> set[str]:
    """Returns the names in a text, apart by blanks."""
    return set(text.split())


def none_of(broken: set[str], rule: str) -> None:
    """Fails for what breaks a rule."""
    assert not broken, f"{rule}: {sorted(broken)}"
