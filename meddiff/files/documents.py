"""YAML and JSON of a run folder, which somebody else may have written: small, not deep, and no more than plain values.

A few lines of YAML whose anchors name each other stand for gigabytes, and brackets in brackets end a parser. No recipe
needs either.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from meddiff.errors import InputError

LARGEST_YAML_BYTES = 1 << 17
"""A recipe has a few kilobytes; the parser reads about 100 kB in a second."""
LARGEST_JSON_BYTES = 1 << 26
DEEPEST = 32
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML has it


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        InputError: it cannot be read, is no YAML, is larger or deeper than any recipe, or names settings by no texts.
    """
    loader = _LOADER(_text(path, LARGEST_YAML_BYTES))
    try:
        tree = loader.get_single_node()
        _refuse_odd_yaml(tree, path, set())
        return None if tree is None else _with_names(loader.construct_document(tree), path)
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, RecursionError) or "maximum nesting depth" in str(error):
            raise _too_deep(path) from error
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())[:300]}") from error


def _refuse_odd_yaml(node: Any, path: Path, seen: set[int], levels: int = 0) -> None:
    """Refuse a tree of YAML that is deep, or parts of which stand in several places."""
    if id(node) in seen:
        raise InputError(f"{path} is not YAML as recipes are: no anchors, which may stand for more than 10000 values")
    seen.add(id(node))
    if not isinstance(node, yaml.CollectionNode):
        return
    if levels == DEEPEST:
        raise _too_deep(path)
    pairs = isinstance(node, yaml.MappingNode)
    for part in (one for pair in node.value for one in pair) if pairs else node.value:
        _refuse_odd_yaml(part, path, seen, levels + 1)


def _too_deep(path: Path) -> InputError:
    return InputError(f"{path} is not YAML as recipes are: it has more than {DEEPEST} levels")


def _with_names(value: Any, path: Path) -> Any:
    """Return the value where all its keys are texts; YAML also knows numbers, dates and lists as keys."""
    if isinstance(value, dict):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise InputError(f"{path} is not YAML as recipes are: {str(odd[0])[:40]!r} is no name of a setting")
        for part in value.values():
            _with_names(part, path)
    return value


def read_json(path: Path, kind: type = dict) -> Any:
    """Read a JSON file that holds an object (or a list, where ``kind`` says so).

    Raises:
        InputError: it cannot be read, is no JSON, holds something else, or is larger or deeper than any of ours.
    """
    text = _text(path, LARGEST_JSON_BYTES)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: it is not JSON ({str(error)[:200]})") from error
    if not isinstance(value, kind):
        raise InputError(f"{path} is damaged: it holds {type(value).__name__}, not {kind.__name__}")
    return value


def _text(path: Path, largest: int) -> str:
    try:
        size = path.stat().st_size
        if size > largest:
            raise InputError(f"{path} has {size} bytes, which no file of its kind has: {largest} are read")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is damaged: byte {error.start} is not UTF-8 text") from error
