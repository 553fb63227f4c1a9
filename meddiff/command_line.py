"""From ``argv`` to settings, for every command; and one way to end with a sentence instead of a traceback.

A flag is ``--name value`` or ``--name=value``, with dashes or underscores; one that is true or false needs no word
behind it, and ``--output`` is another name of ``--out``. A recipe is put together from, each overriding the one before:
the defaults of ``meddiff.recipe``, the recipe of the data set (``pipelines/<command>/<dataset>.yaml``), the preset
(``pipelines/presets/<preset>.yaml``), the files given with ``--config``, and the flags. torch is not imported before
the settings stand, so ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import difflib
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from signal import SIGINT
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_origin

import yaml
from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from meddiff.errors import InputError
from meddiff.files.bad import exists
from meddiff.files.documents import read_yaml
from meddiff.files.printable import printable
from meddiff.files.writing import output_folder
from meddiff.manifest.row import on_disk
from meddiff.recipe import AnyRecipe, AutoencodeRecipe, DetectRecipe, Recipe, SegmentRecipe, TranslateRecipe, check
from meddiff.recipe.commands import Inputs
from meddiff.recipe.values import hints, without_idle

if TYPE_CHECKING:
    from meddiff.training.processes.launchers import Started

set_parsing_settings(docstring_parse_attribute_docstrings=True)
Kind = TypeVar("Kind", bound=AnyRecipe)
Settings = TypeVar("Settings")
SHOWS = ("help", "print_config")
"""Flags that show something instead of setting it."""
EVERYTHING = "all"
"""Word behind --help that shows every setting, where it shows a few without."""
_LISTED = f"--help {EVERYTHING} lists every setting"
ALIASES = {"out": "output", "output": "out"}
"""Names that mean the same, where a command has one of them."""
SIGPIPE = 13
"""Number of the signal; Windows has none of this name."""
Words = list[tuple[str, str]]
"""``[("training.steps", "7"), ...]``: what was typed, flag by flag."""


@dataclass(frozen=True)
class Family(Generic[Kind]):
    """Commands that share a kind of recipe."""

    kind: type[Kind]
    presets: str
    """Folder of the presets below the recipes."""
    datasets: str
    """Folder of the data sets' recipes."""
    preset_names: tuple[str, ...]


DESCRIBE = "--describe"
"""Flag of the commands that train: say what the networks cost, and do nothing."""
AUGMENT = Family(Recipe, "presets", "augment", ("quick", "standard", "full"))
AUTOENCODE = Family(AutoencodeRecipe, "autoencode/presets", "autoencode", ("quick", "standard"))
DETECT = Family(DetectRecipe, "detect/presets", "detect", ("quick", "standard"))
SEGMENT = Family(SegmentRecipe, "segment/presets", "segment", ("quick", "standard"))
TRANSLATE = Family(TranslateRecipe, "translate/presets", "translate", ("quick", "standard"))


class HelpFormatter(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Keeps the lines of a command's description, which hold commands to copy."""


def recipes_folder() -> Path:
    """Find the recipe files: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parent
    return package / "recipes" if (package / "recipes").is_dir() else package.parent / "pipelines"


def parse_recipe(command: str, description: str, argv: Sequence[str], family: Family[Kind]) -> Kind:
    """Parse the recipe that the command line asks for.

    Raises:
        InputError: an unknown setting (named with the nearest real one), a value of the wrong type or range, a
            preset or recipe file that does not exist.
        SystemExit: after ``--help`` and ``--print_config``.
    """
    typed = _words(argv, family.kind)
    words = [word for name, file in typed if name == "config" for word in _read_config(Path(file), family.kind)]
    words += [word for word in typed if word[0] != "config"]
    default, given = family.kind(), dict(words)
    preset = _resolve_preset(given, family)
    parser = _parser(
        family.kind, command, "[--dataset NAME] [--data_root FOLDER] [--preset NAME] [--out FOLDER] "
        "[--<setting> VALUE ...]", description, everything=dict(typed).get("help") == EVERYTHING
    )  # fmt: skip
    parser.add_argument("--config", action="config", help="A YAML recipe; --print_config prints one to edit.")
    for file in _recipe_files(family, given.get("dataset", default.dataset), preset):
        parser.set_defaults(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    recipe = replace(_parsed(parser, family.kind, words), preset=preset)
    check(recipe)
    return recipe


def parse_settings(kind: type[Settings], command: str, usage: str, description: str, argv: Sequence[str]) -> Settings:
    """Parse the settings of a command that has a dataclass of its own instead of a recipe.

    Raises:
        InputError: an unknown setting, a missing one, or a value of the wrong type or range.
        SystemExit: after ``--help``.
    """
    words = _words(argv, kind)
    parser = _parser(kind, command, usage, description, everything=dict(words).get("help") == EVERYTHING)
    required = [entry.name for entry in fields(kind) if entry.default is MISSING]  # type: ignore[arg-type]
    missing = [name for name in required if name not in dict(words)]
    if missing and "help" not in dict(words):
        raise InputError(f"settings that are required: {', '.join(missing)}; {parser.prog} {_LISTED}")
    settings = _parsed(parser, kind, words)
    check(settings)
    return settings


def refuse_wrong_places(settings: Inputs) -> None:
    """Find mistakes that can be seen before torch is imported, which takes seconds.

    Raises:
        InputError: the input is not there, or the output cannot be written.
    """
    if settings.on_bad_file not in ("skip", "stop"):
        raise InputError(f"--on_bad_file {settings.on_bad_file!r} is neither skip nor stop")
    if not exists(on_disk(Path(settings.input).expanduser())):
        raise InputError(f"--input {settings.input}: there is no such file or folder. Correct the path.")
    output_folder(settings.output, [settings.input], option="--output")


def settings_command(
    kind: type[Settings], command: str, usage: str, description: str | None, run: Callable[[Settings], object]
) -> Callable[..., int]:
    """Return the ``main(argv) -> exit code`` of a command that has a dataclass of settings and does one thing."""

    def work(words: Sequence[str]) -> None:
        run(parse_settings(kind, command, usage, description or "", words))

    def command_main(argv: Sequence[str] | None = None) -> int:
        """Run the command; returns the exit code."""
        return answer(lambda: work(sys.argv[1:] if argv is None else argv))

    return command_main


def stage_command(
    command: str, description: str | None, *, until: str, describes: bool = False
) -> Callable[..., int]:  # fmt: skip
    """Return the ``main(argv) -> exit code`` of a command that runs the stages of the main job up to ``until``.

    With ``describes`` it knows the flag --describe, which prints what the recipe's networks cost and does no more.
    """

    def run(recipe: Recipe) -> None:
        from meddiff.jobs import job  # torch and MONAI take seconds to import: not for --help

        job.run(recipe, until)

    def command_main(argv: Sequence[str] | None = None) -> int:
        words = sys.argv[1:] if argv is None else argv
        return answer(lambda: do_recipe(command, description or "", words, AUGMENT, run, describes=describes))

    return command_main


def do_recipe(
    command: str, description: str, argv: Sequence[str], family: Family[Kind], run: Callable[[Kind], object], *,
    describes: bool = False,
) -> None:  # fmt: skip
    """Parse a recipe and run it; a command that ``describes`` prints what its networks cost instead, if asked to."""
    plain = [word for word in argv if not (describes and word == DESCRIBE)]
    recipe = parse_recipe(command, description, plain, family)
    if len(plain) == len(argv):
        run(recipe)
        return
    from meddiff.jobs import progress
    from meddiff.jobs.describe import describe

    describe(recipe, progress.new_console())


def verbs_command(
    command: str, description: str | None, verbs: Mapping[str, Callable[[list[str]], object]], *, example: str
) -> Callable[..., int]:
    """Return the ``main(argv) -> exit code`` of a command whose first word says what is done with the others."""

    def work(words: list[str]) -> None:
        if words[0] not in verbs:
            raise InputError(f"{command} {words[0]!r}: the verbs are {', '.join(verbs)}, as in {example}")
        verbs[words[0]](words[1:])

    def command_main(argv: Sequence[str] | None = None) -> int:
        """Run the command; returns the exit code."""
        words = list(sys.argv[1:] if argv is None else argv)
        if not words or words[0] in ("-h", "--help"):
            print(description)
            return 0
        return answer(lambda: work(words))

    return command_main


def answer(work: Callable[[], int | None]) -> int:
    """Do a command's work; what a user can cure is one sentence, and exit code 2.

    Where a launcher (torchrun, `fabric run`, srun) has started several processes, the first does it and shares out what
    it can. Stopped by a signal the exit code is 128 + its number, as a shell has it, and 141 where nobody reads the
    output any more (``| head``).
    """
    from meddiff.training.processes.launchers import started
    from meddiff.training.processes.signals import heeded, stop

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        with heeded(stop):
            code = (work() if (place := started()) is None else _of_several(place, work)) or 0
        sys.stdout.flush()
        return code
    except InputError as error:
        return _sentence(f"error: {error}", 2)
    except KeyboardInterrupt as stopped:
        return _sentence("\nstopped; the same command goes on from here", 128 + getattr(stopped, "number", SIGINT))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python flushes once more, and complains
        return 128 + SIGPIPE
    except (OSError, MemoryError, RuntimeError) as error:
        from meddiff.files.writing import in_words

        if (sentence := in_words(error)) is None:
            raise
        return _sentence(f"error: {sentence}", 2)


def _of_several(place: Started, work: Callable[[], int | None]) -> int:
    """Do a command's work as one of several processes; returns the exit code."""
    from meddiff.training.processes.together import joined

    return joined(place, work)


def _sentence(text: str, code: int) -> int:
    """Print the last words of a command, where anybody listens; return its exit code."""
    with suppress(OSError):
        print(printable(text), file=sys.stderr)
    return code


def _parser(kind: type, command: str, usage: str, description: str, *, everything: bool) -> ArgumentParser:
    """Build what explains the settings and knows their types; all of them, or those that people touch first."""
    started_as = "meddiff " if Path(sys.argv[0]).name == "meddiff" else "python -m meddiff.pipelines."
    parser = ArgumentParser(
        prog=started_as + command,
        usage=f"%(prog)s {usage}",
        description=description,
        formatter_class=HelpFormatter,
        exit_on_error=False,
    )
    parser.add_class_arguments(kind)
    first = getattr(kind, "FIRST", ())
    if first and not everything:
        parser.epilog = f"{len(hints(kind)) - len(first)} more settings: --help {EVERYTHING}"
        for action in parser._actions:
            if action.dest not in (*first, "help"):
                action.help = argparse.SUPPRESS
    return parser


def _parsed(parser: ArgumentParser, kind: type[Settings], words: Words) -> Settings:
    plain = [
        f"--{name}" if name == "help" or (name in SHOWS and not value) else f"--{name}={value}" for name, value in words
    ]
    try:
        settings = parser.instantiate(parser.parse_args(plain))
    except ArgumentError as error:
        raise InputError(f"{_plainly(error)}; {parser.prog} {_LISTED}") from error
    return kind(**{name: getattr(settings, name) for name in {name.partition(".")[0] for name in hints(kind)}})


def _plainly(error: ArgumentError) -> str:
    """Return ``Parser key "a.b": Expected a <class 'int'>. Got value: x`` -> ``a.b: expected int. Got value: x``."""
    text = " ".join(str(error).split())
    text = re.sub(r'^Parser key "([^"]+)":', r"\1:", text)
    text = re.sub(r"Expected an? <class '(\w+)'>\.", r"expected \1.", text)
    return re.sub(r"Expected an? typing\.Literal\[(.*?)\]\.", r"expected one of \1.", text)


def _words(argv: Sequence[str], kind: type) -> Words:
    """Read what was typed, flag by flag, under the settings' own names.

    Raises:
        InputError: a flag that there is not, or one without its value.
    """
    known, words, alone, left = _known_names(kind), [], [], list(argv)
    while left:
        word = left.pop(0)
        typed, equals, value = word.partition("=")
        if word in ("-h", "--help"):
            return [("help", EVERYTHING if left[:1] == [EVERYTHING] else "")]
        if not typed.startswith("--"):
            alone.append(word)
            continue
        name = _own_name(typed.removeprefix("--"), known)
        if name not in known:
            raise _unknown(name, kind, "the command line")
        if not equals and name not in SHOWS:
            value = _value_of(typed, _answers(name, kind), left)
        words.append((name, value))
    return [*_positional(alone, kind), *words]


def _positional(alone: list[str], kind: type) -> Words:
    """Return the words that stand behind no flag, as the setting that takes them."""
    name = getattr(kind, "POSITIONAL", None)
    many = name is not None and get_origin(hints(kind)[name]) is tuple
    if alone and (name is None or (len(alone) > 1 and not many)):
        raise InputError(f"{alone[-1]!r} belongs to no setting: write --setting value")
    return [(name, json.dumps(alone) if many else alone[0])] if name and alone else []


def _own_name(name: str, known: Collection[str]) -> str:
    """Return a setting's own name, for one that was written with dashes or has another."""
    name = name.replace("-", "_")
    return name if name in known else ALIASES.get(name, name)


def _answers(name: str, kind: type) -> tuple[str, ...]:
    """List the words that a switch takes; of no other setting. A folder may well be called no."""
    if (hint := hints(kind).get(name)) not in (bool, bool | None):
        return ()
    own = () if hint is bool else ("null",)
    return ("true", "false", *own) if hasattr(kind, "POSITIONAL") else ("true", "false", "yes", "no", *own)


def _value_of(flag: str, answers: tuple[str, ...], left: list[str]) -> str:
    """Return the word behind a flag, taken from those that are left; a switch without one of its answers is true."""
    if answers and not (left and left[0].lower() in answers):
        return "true"
    if not left or left[0].startswith("--"):
        raise InputError(f"{flag} needs a value behind it")
    return left.pop(0)


def _known_names(kind: type) -> set[str]:
    return {*hints(kind), *_parts(kind), "config", "print_config"}


def _parts(kind: type) -> set[str]:
    return {name.partition(".")[0] for name in hints(kind) if "." in name}


def _unknown(name: str, kind: type, where: str) -> InputError:
    if name in (idle := getattr(kind, "IDLE", {})):
        return InputError(f"unknown setting {name!r} in {where}; {idle[name]}")
    nearest = difflib.get_close_matches(name, _known_names(kind), n=1, cutoff=0.5)
    hint = f"the nearest is {nearest[0]!r}" if nearest else _LISTED
    return InputError(f"unknown setting {name!r} in {where}; {hint}")


def _read_config(path: Path, kind: type) -> Words:
    """Read a recipe file as if it had been typed, every key of which is a real setting."""
    try:
        content = read_yaml(path)
    except InputError as error:
        raise InputError(f"the recipe {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"the recipe {path} holds {type(content).__name__}; it must hold 'setting: value' lines")
    words, parts, known = [], _parts(kind), _known_names(kind)
    content = {_own_name(str(name), known): value for name, value in content.items()}
    for name, value in without_idle(kind, content).items():
        if name in parts and not isinstance(value, dict):
            raise InputError(f"the recipe {path}: {name} must hold 'setting: value' lines, not {str(value)[:80]!r}")
        part = {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
        words += [(key, _as_typed(key, one, path)) for key, one in part.items()]
    for key, _ in words:
        if key not in hints(kind):
            raise _unknown(key, kind, str(path))
    return words


def _as_typed(name: str, value: Any, path: Path) -> str:
    """Return a value as one writes it behind a flag.

    Aliases of YAML, a few of which stand for millions, are refused.
    """
    many = value if isinstance(value, list) else []
    if isinstance(value, dict | set) or any(isinstance(one, list | dict | set) for one in many):
        raise InputError(f"the recipe {path}: {name} holds lists within lists, which may stand for more than 10000 "
                         "values; a setting is one value, or one list of values")  # fmt: skip
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _resolve_preset(given: Mapping[str, str], family: Family) -> str:
    preset = given.get("preset", "auto")
    if preset in family.preset_names:
        return preset
    if preset != "auto":
        raise InputError(f"--preset {preset!r} is none of {', '.join(family.preset_names)}, auto")
    if not (given.get("data_root") or given.get("manifest")):
        return "quick"
    import torch

    return "standard" if torch.cuda.is_available() else "quick"


def _recipe_files(family: Family, dataset: str, preset: str) -> list[Path]:
    """Return files of the checkout that apply. A data set without one is fine."""
    folder = recipes_folder()
    candidates = [folder / family.datasets / f"{dataset}.yaml", folder / family.presets / f"{preset}.yaml"]
    return [file for file in candidates if file.is_file()]
