"""A name says what it is: file names do not repeat, results are called by what they are, private names stay at home."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.house.source import Function, files, functions, none_of, trees

SUBJECTS = {"study", "masks", "images"}
"""The three subjects that go through all floors: on each they mean the same."""
VERBS = {
    "train", "synthesize", "classify", "segment", "generate", "evaluate", "predict", "report", "inspect", "publish",
    "edit", "likelihood", "translate", "detect", "export", "autoencode",
}  # fmt: skip
"""What a command does has its settings, its door and its work under one name."""
CONDITIONS = (
    "diffusion/",
    "samplers/",
    "networks/",
    "tasks/",
    "training/",
    "inference/",
    "build/",
    "quickstart",
    "trained",
    "evaluation/images/membership",
)
"""Where a part of a condition is told or untold: the word means nothing else, anywhere."""


def test_no_two_files_bear_one_name():
    places = defaultdict(list)
    for file in files():
        places[PurePosixPath(file).stem].append(file)
    repeated = {name for name, where in places.items() if len(where) > 1}
    none_of(repeated - SUBJECTS - VERBS - {"__init__"}, "names of two files")


def test_told_means_conditioned():
    told = {
        file for file, tree in trees().items() for word in spoken(tree) if re.search(r"(\b|_)(un)?told(\b|_)", word)
    }
    none_of({file for file in told if not file.startswith(CONDITIONS)}, "told means conditioned")


def spoken(tree: ast.Module) -> Iterator[str]:
    """Yields the names and the docstrings of a file; what users read is said as it serves them."""
    for node in ast.walk(tree):
        if isinstance(node, Function | ast.ClassDef | ast.Module):
            yield from (getattr(node, "name", ""), ast.get_docstring(node) or "")
        elif isinstance(node, ast.Name | ast.Attribute | ast.arg):
            yield next(getattr(node, kind) for kind in ("id", "attr", "arg") if hasattr(node, kind))


def test_no_result_is_called_found():
    stored = {
        one.file for one in functions() for node in ast.walk(one.node)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == "found"
    }  # fmt: skip
    none_of(stored, "a result is called by what it is, not `found`")


def test_no_private_name_leaves_its_file():
    taken = {
        f"{file}: {alias.name}" for file, tree in trees().items() for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("meddiff") for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    }  # fmt: skip
    none_of(taken, "private names imported")
