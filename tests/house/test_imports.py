"""What benchmarks, scripts, docs, notebooks and the package itself import of it is there, inside functions too.

Nothing runs most of the benchmarks in the tests: a function that is renamed would be missed the next time that somebody
wants a figure.
"""

import ast
import json
from importlib import import_module
from importlib.util import find_spec

import pytest

from tests.house.source import PACKAGE

ROOT = PACKAGE.parent


def parsed() -> dict[str, ast.Module]:
    """Syntax of each script and file of the package, and of the code of each notebook."""
    places = [ROOT / name for name in ("benchmarks", "docs", "pipelines", "meddiff")]
    scripts = {file: file.read_text(encoding="utf-8") for place in places for file in place.rglob("*.py")}
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        scripts[notebook] = "\n".join(line for line in code.splitlines() if not line.lstrip().startswith(("%", "!")))
    return {file.relative_to(ROOT).as_posix(): ast.parse(text) for file, text in scripts.items()}


FILES = parsed()


def is_there(module: str, name: str) -> bool:
    return hasattr(import_module(module), name) or is_module(module, name)


def is_module(module: str, name: str) -> bool:
    """Tells whether a folder of the package has a module of that name."""
    return hasattr(import_module(module), "__path__") and find_spec(f"{module}.{name}") is not None


def missing(tree: ast.Module) -> set[str]:
    """Names that a file takes from modules of the package, by import or behind a dot, and that are not there."""
    absent, modules = set(), dict[str, str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "meddiff":
            absent |= {f"{node.module}.{one.name}" for one in node.names if not is_there(node.module, one.name)}
            inside = [one for one in node.names if is_module(node.module, one.name)]
            modules |= {one.asname or one.name: f"{node.module}.{one.name}" for one in inside}
    for node in ast.walk(tree):
        is_name = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if is_name and node.value.id in modules and not assigned(tree, node.value.id):
            module = modules[node.value.id]
            absent |= set() if is_there(module, node.attr) else {f"{module}.{node.attr}"}
    return absent


def assigned(tree: ast.Module, name: str) -> bool:
    """Tells whether a name is something else too: a variable or a parameter."""
    return any(
        (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store))
        or (isinstance(node, ast.arg) and node.arg == name)
        for node in ast.walk(tree)
    )


@pytest.mark.parametrize("place", sorted({file.partition("/")[0] for file in FILES}))
def test_what_is_imported_is_there(place):
    absent = {file: names for file, tree in FILES.items() if file.startswith(f"{place}/") and (names := missing(tree))}
    assert not absent


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("from meddiff.errors import InputError, Nothing", {"meddiff.errors.Nothing"}),
        ("def f():\n    from meddiff.jobs.segment import nothing", {"meddiff.jobs.segment.nothing"}),
        ("from meddiff.build import models\nmodels.nothing()", {"meddiff.build.models.nothing"}),
        ("from meddiff.build import models\nmodels.new_model", set()),
        ("from meddiff.build import models\ndef f(models): models.nothing", set()),
        ("import numpy\nnumpy.nothing", set()),
    ],
)
def test_what_is_missing_is_seen(text, absent):
    assert missing(ast.parse(text)) == absent
