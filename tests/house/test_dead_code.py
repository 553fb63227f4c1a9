"""What nothing uses is not there: tests alone are no use. And nothing is written twice."""

import ast
import json
import re
from collections import Counter, defaultdict

from tests.house.source import PACKAGE, Definition, Function, definitions, functions, none_of, trees

ROOT = PACKAGE.parent
OF_OTHERS = {"forward", "decode", "filter", "emit"}
"""Called by PyTorch, pydicom and logging."""


def words_outside() -> Counter:
    """Counts the words of notebooks, benchmarks, scripts and the README, in which public names are used."""
    notebooks = [
        "".join(line for cell in json.loads(file.read_text())["cells"] for line in cell["source"])
        for file in (ROOT / "notebooks").glob("*.ipynb")
    ]
    scripts = [file.read_text() for name in ("benchmarks", "pipelines") for file in (ROOT / name).rglob("*.py")]
    return Counter(re.findall(r"\w+", "\n".join([*notebooks, *scripts, (ROOT / "README.md").read_text()])))


def words_inside() -> Counter:
    """Counts the names used in the package; a definition and an import alone are no use."""
    count = Counter()
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                count[node.id] += 1
            elif isinstance(node, ast.Attribute):
                count[node.attr] += 1
            elif isinstance(node, ast.alias) and (node.asname or file.endswith("__init__.py")):
                count[node.name] += 1
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                count[node.value] += 1
    return count


def public_names() -> list[Definition]:
    """Functions, classes and methods that another file could use."""
    nested = {id(inner) for one in functions() for inner in ast.walk(one.node) if inner is not one.node}
    return [
        one for one in definitions() if one.is_public and not one.name.endswith("__") and id(one.node) not in nested
    ]


def test_every_public_name_is_used():
    used = words_inside() + words_outside()
    unused = {str(one) for one in public_names() if not used[last(one)] and last(one) not in OF_OTHERS}
    none_of(unused, "nothing but tests uses them")


def last(one: Definition) -> str:
    return one.name.rsplit(".", 1)[-1]


def test_no_function_is_written_twice():
    bodies = defaultdict(list)
    for one in functions():
        if len(shape := body_of(one.node)) > 250:
            bodies[shape].append(str(one))
    none_of({name for names in bodies.values() if len(names) > 1 for name in names}, "written twice")


def body_of(function: Function) -> str:
    """Returns what a function does, whatever its own variables are called."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    own = {word.arg for word in ast.walk(function.args) if isinstance(word, ast.arg)}
    own |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    order = {name: f"v{number}" for number, name in enumerate(sorted(own, key=ast.unparse(function).index))}
    return re.sub(r"id='(\w+)'", lambda hit: f"id='{order.get(hit[1], hit[1])}'", " ".join(map(ast.dump, body)))
