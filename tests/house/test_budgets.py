"""Files, classes, functions and signatures stay as short as a reader can hold in mind."""

import ast
from collections import Counter
from pathlib import PurePosixPath

import pytest

from tests.house.source import Function, definitions, files, functions, none_of

LINES = {"file": 450, "class": 120, "function": 45}
PARAMETERS = 8
FILES_IN_A_FOLDER = 14


def lines(node: ast.AST) -> int:
    return node.end_lineno - node.lineno + 1


def parameters(node: Function) -> int:
    """Number of parameters; an object's own self is none."""
    words = node.args
    named = [
        word.arg for word in (*words.posonlyargs, *words.args, *words.kwonlyargs, words.vararg, words.kwarg) if word
    ]
    return len(named) - (named[:1] in (["self"], ["cls"]))


def test_no_file_class_or_function_is_too_long():
    kinds = {"class": ast.ClassDef, "function": Function}
    long = {file for file, text in files().items() if len(text.splitlines()) > LINES["file"]}
    long |= {str(one) for kind, of in kinds.items() for one in definitions()
             if isinstance(one.node, of) and lines(one.node) > LINES[kind]}  # fmt: skip
    none_of(long, f"longer than {LINES}")


def test_no_function_takes_too_many_parameters():
    many = {str(one) for one in functions() if parameters(one.node) > PARAMETERS and not is_network(one.file, one.name)}
    none_of(many, f"more than {PARAMETERS} parameters: some of them travel together")


def is_network(file: str, name: str) -> bool:
    """Tells whether these parameters are the definition of a network."""
    return file.startswith("networks/") and name.endswith("__init__")


def test_no_folder_is_too_full():
    counted = [file for file, text in files().items() if not file.endswith("__init__.py") and not is_door(file, text)]
    count = Counter(str(PurePosixPath(file).parent) for file in counted)
    none_of({folder for folder, number in count.items() if number > FILES_IN_A_FOLDER}, "too many files")


def is_door(file: str, text: str) -> bool:
    """Tells whether a file is what `python -m meddiff.pipelines.VERB` runs: there are as many as commands."""
    return file.startswith("pipelines/") and 'if __name__ == "__main__":' in text


@pytest.mark.parametrize(("signature", "number"), [("a, b", 2), ("self, a, *rest, b=1, **more", 4), ("a, /, cls", 2)])
def test_parameters_are_counted(signature, number):
    assert parameters(ast.parse(f"def f({signature}): ...").body[0]) == number
