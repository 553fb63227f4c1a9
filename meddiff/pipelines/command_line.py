"""From ``argv`` to a Recipe: presets, recipe files, flags; and one way to end with a sentence instead of a traceback.

A recipe is put together from, each overriding the one before: the defaults of ``meddiff.recipe``, the recipe of
the data set (``pipelines/<command>/<dataset>.yaml``), the preset (``pipelines/presets/<preset>.yaml``), the file
given with ``--config``, and the flags. torch is not imported before the recipe stands, so ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import logging
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from meddiff import recipe as recipes
from meddiff import segment_recipe
from meddiff.errors import InputError
from meddiff.recipe import Recipe, flat
from meddiff.segment_recipe import SegmentRecipe

set_parsing_settings(docstring_parse_attribute_docstrings=True)
Kind = TypeVar("Kind", Recipe, SegmentRecipe)
Settings = TypeVar("Settings")
_MOST_VALUES = 10_000


@dataclass(frozen=True)
class Family(Generic[Kind]):
    """Commands that share a kind of recipe."""

    kind: type[Kind]
    check: Callable[[Kind], None]
    presets: str
    """Folder of the presets below the recipes."""
    datasets: str
    """Folder of the data sets' recipes."""
    preset_names: tuple[str, ...]


AUGMENT = Family(Recipe, recipes.check, "presets", "augment", ("quick", "standard", "full"))
SEGMENT = Family(SegmentRecipe, segment_recipe.check, "segment/presets", "segment", ("quick", "standard"))


class HelpFormatter(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Keeps the lines of a command's description, which hold commands to copy."""


def recipes_folder() -> Path:
    """Where the recipe files lie: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parents[1]
    return package / "recipes" if (package / "recipes").is_dir() else package.parent / "pipelines"


def parse_recipe(command: str, description: str, argv: Sequence[str], family: Family[Kind]) -> Kind:
    """The recipe that the command line asks for.

    Raises:
        InputError: an unknown setting (named with the nearest real one), a value of the wrong type or range, a
            preset or recipe file that does not exist.
        SystemExit: after ``--help`` and ``--print_config``.
    """
    words = [_underscored(word) for word in argv]
    known = _known_names(family)
    _refuse_unknown_flags(words, known)
    given = _given_before_all(words, family)
    preset = _resolve_preset(given, family)
    parser = ArgumentParser(
        prog=f"python -m meddiff.pipelines.{command}",
        usage="%(prog)s [--dataset NAME] [--data_root FOLDER] [--preset NAME] [--out FOLDER] [--<setting> VALUE ...]",
        description=description,
        formatter_class=HelpFormatter,
        default_config_files=[str(file) for file in _recipe_files(family, given["dataset"], preset)],
        exit_on_error=False,
    )
    parser.add_class_arguments(family.kind)
    parser.add_argument("--config", action="config", help="A YAML recipe; --print_config prints one to edit.")
    try:
        settings = parser.instantiate(parser.parse_args(words))
    except ArgumentError as error:
        raise InputError(
            f"{_plainly(error)}; python -m meddiff.pipelines.{command} --help lists every setting"
        ) from error
    values: dict[str, Any] = {entry.name: getattr(settings, entry.name) for entry in fields(family.kind)}
    values["preset"] = preset
    recipe = family.kind(**values)
    family.check(recipe)
    return recipe


def parse_settings(kind: type[Settings], command: str, usage: str, description: str, argv: Sequence[str]) -> Settings:
    """The settings of a command that has a dataclass of its own instead of a recipe.

    Raises:
        InputError: an unknown setting, a missing one, or a value of the wrong type.
        SystemExit: after ``--help``.
    """
    parser = ArgumentParser(
        prog=f"python -m meddiff.pipelines.{command}",
        usage=f"%(prog)s {usage}",
        description=description,
        formatter_class=HelpFormatter,
        exit_on_error=False,
    )
    parser.add_class_arguments(kind)
    try:
        return kind(**parser.parse_args([_underscored(word) for word in argv]).as_dict())
    except ArgumentError as error:
        raise InputError(f"{_plainly(error)}; {command} --help lists every setting") from error


def _plainly(error: ArgumentError) -> str:
    """``Parser key "a.b": Expected a <class 'int'>. Got value: x`` -> ``a.b: expected int. Got value: x``."""
    text = " ".join(str(error).split())
    text = re.sub(r'^Parser key "([^"]+)":', r"\1:", text)
    text = re.sub(r"Expected an? <class '(\w+)'>\.", r"expected \1.", text)
    return re.sub(r"Expected an? typing\.Literal\[(.*?)\]\.", r"expected one of \1.", text)


def stage_command(command: str, description: str | None, *, until: str) -> Callable[..., int]:
    """The ``main(argv) -> exit code`` of a command that runs the stages of the main job up to ``until``."""

    def run(recipe: Recipe) -> None:
        from meddiff.pipelines import job  # torch and MONAI take seconds to import: not for --help

        job.run(recipe, until)

    def command_main(argv: Sequence[str] | None = None) -> int:
        return main(command, description or "", run, argv)

    return command_main


def main(command: str, description: str, run: Callable[[Recipe], None], argv: Sequence[str] | None) -> int:
    """Parse the recipe and run; returns the exit code."""
    return answer(lambda: run(parse_recipe(command, description, sys.argv[1:] if argv is None else argv, AUGMENT)))


def answer(work: Callable[[], None]) -> int:
    """Do the work of a command, and turn what a user can cure into one sentence and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        work()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _underscored(word: str) -> str:
    """``--data-root=my-folder`` -> ``--data_root=my-folder``."""
    name, equals, value = word.partition("=")
    return name.replace("-", "_").replace("__", "--", 1) + equals + value if word.startswith("--") else word


def _known_names(family: Family) -> set[str]:
    settings = flat(family.kind())
    return {*settings, *(name.partition(".")[0] for name in settings), "config", "print_config", "help"}


def _unknown(name: str, known: set[str], where: str) -> InputError:
    nearest = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"the nearest is {nearest[0]!r}" if nearest else "--help lists every setting"
    return InputError(f"unknown setting {name!r} in {where}; {hint}")


def _refuse_unknown_flags(words: Sequence[str], known: set[str]) -> None:
    for word in words:
        name = word.partition("=")[0].removeprefix("--")
        if word.startswith("--") and name not in known:
            raise _unknown(name, known, "the command line")


def _given_before_all(words: Sequence[str], family: Family) -> dict[str, str]:
    """The settings that decide which recipe files are read, looked up before the files can be."""
    given = {name: getattr(family.kind(), name) for name in ("dataset", "preset", "data_root", "manifest")}
    config = _option(words, "config")
    if config is not None:
        given |= {
            name: value for name, value in _read_config(Path(config), _known_names(family)).items() if name in given
        }
    return given | {name: value for name in given if (value := _option(words, name)) is not None}


def _option(words: Sequence[str], name: str) -> str | None:
    for position, word in enumerate(words):
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
        if word == f"--{name}" and position + 1 < len(words):
            return words[position + 1]
    return None


def _read_config(path: Path, known: set[str]) -> dict:
    """A recipe file as nested dicts, every key of which is a real setting."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the recipe {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"the recipe {path} is not YAML: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(content, dict):
        raise InputError(f"the recipe {path} holds {type(content).__name__}; it must hold 'setting: value' lines")
    _check_size(content, path)
    parts = {name.partition(".")[0] for name in known if "." in name}
    for name, value in content.items():
        if name in parts and not isinstance(value, dict):
            raise InputError(f"the recipe {path}: {name} must hold 'setting: value' lines, not {str(value)[:80]!r}")
        for key in [name, *(f"{name}.{part}" for part in value)] if isinstance(value, dict) else [name]:
            if key not in known:
                raise _unknown(key, known, str(path))
    return content


def _check_size(content: dict, path: Path) -> None:
    """Refuse a few aliases that stand for millions of values, or for themselves: all are spelled out later."""
    waiting: list[Any] = [content]
    for count in itertools.count():
        if not waiting:
            return
        if count > _MOST_VALUES:
            raise InputError(f"the recipe {path} holds more than {_MOST_VALUES} values; no recipe is that long")
        value = waiting.pop()
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, (list, set, tuple)) else ()


def _resolve_preset(given: dict[str, str], family: Family) -> str:
    if given["preset"] in family.preset_names:
        return given["preset"]
    if given["preset"] != "auto":
        raise InputError(f"--preset {given['preset']!r} is none of {', '.join(family.preset_names)}, auto")
    if not (given["data_root"] or given["manifest"]):
        return "quick"
    import torch

    return "standard" if torch.cuda.is_available() else "quick"


def _recipe_files(family: Family, dataset: str, preset: str) -> list[Path]:
    """Files of the checkout that apply. A data set without one is fine."""
    folder = recipes_folder()
    candidates = [folder / family.datasets / f"{dataset}.yaml", folder / family.presets / f"{preset}.yaml"]
    return [file for file in candidates if file.is_file()]
