"""Diffusion models for medical images: every command under one name.

    meddiff augment --dataset isic                                # do synthetic images help a classifier?
    meddiff segment predict --input photo.jpg --output masks      # outline skin lesions, no training needed
    meddiff doctor                                                # what this machine has, and is missing
    meddiff completion bash >> ~/.bashrc                          # or zsh, fish

`meddiff COMMAND ...` is `python -m meddiff.pipelines.COMMAND ...`; `meddiff COMMAND --help` explains one.
"""

from __future__ import annotations

import difflib
import io
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from importlib import import_module
from types import ModuleType

from meddiff import __version__
from meddiff.command_line import answer
from meddiff.errors import InputError

COMMANDS = {
    "augment": "images -> synthetic images -> do they help a classifier? with a report",
    "translate": "train, evaluate, predict: images of known ones: sharper, without holes, in another sequence",
    "segment": "train, predict, evaluate, test: masks by diffusion, with their uncertainty",
    "detect": "train, evaluate, predict: what is not like healthy images, and where",
    "autoencode": "train, evaluate: images as small codes, in which augment draws at a fraction of the cost",
    "evaluate": "images, masks, augmentation, leaderboard: how good is what a model has made?",
    "edit": "fill holes, take hairs away, change the class of pictures with a generator of augment",
    "likelihood": "bits per dimension of images to a generator, noise level by noise level",
    "inspect": "look into a folder of pictures, volumes or DICOM; --audit finds what spoils a study",
    "train": "augment up to the trained denoiser",
    "synthesize": "augment up to the synthetic images",
    "classify": "augment up to the classifiers",
    "build_manifest": "a folder of images as a table to edit",
    "download": "public data sets, unpacked and checked",
    "serve": "a local page: send images and see their masks, or draw images by class and seed",
    "watch": "a local page that shows a run while it goes on: losses, samples, validation",
    "publish": "a run's weights as a folder that others load by name",
    "export": "nnunet, dicom: images and masks in the formats of other programs",
    "doctor": "what this machine has: versions, processor, GPU, disk, cache, extras",
    "runs": "the runs below a folder: what, when, how far, what came out",
    "cache": "how large the cache of prepared images is; clear what is old",
}
"""All commands, the most used first, each with what it does."""
OWN = {"doctor": "doctor", "runs": "list_runs", "cache": "cache"}
"""Files of those that the console alone has; all others are `python -m meddiff.pipelines.COMMAND` too."""
SCRIPTS = {
    "bash": """_meddiff() { COMPREPLY=($(meddiff completion words "${COMP_WORDS[@]:1:COMP_CWORD}")); }
complete -o default -F _meddiff meddiff""",
    "zsh": """#compdef meddiff
_meddiff() { compadd -- $(meddiff completion words "${(@)words[2,CURRENT]}") || _files; }
compdef _meddiff meddiff""",
    "fish": """complete -c meddiff -a '(meddiff completion words (commandline -opc)[2..-1] (commandline -ct))'""",
}
"""Lines that make a shell ask for words."""
_FLAG = re.compile(r"(?<!\S)--[a-z_][\w.]*")
_VERB = re.compile(r"^    python -m meddiff\.pipelines\.\w+ ([a-z_]+)\b", re.MULTILINE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(__doc__)
        width = max(map(len, COMMANDS))
        print("\n".join(f"  {name:<{width}}  {does}" for name, does in COMMANDS.items()))
        return 0
    if words[0] == "--version":
        print(f"meddiff {__version__}")
        return 0
    if words[0] == "completion":
        return answer(lambda: _complete(words[1:]))
    name = words[0].replace("-", "_")
    if name not in COMMANDS:
        return answer(lambda: _refuse(words[0]))
    return _module(name).main(words[1:])


def _module(name: str) -> ModuleType:
    return import_module(f"meddiff.console.{OWN[name]}" if name in OWN else f"meddiff.pipelines.{name}")


def _refuse(word: str) -> None:
    nearest = difflib.get_close_matches(word, COMMANDS, n=1)
    hint = f"the nearest is {nearest[0]}" if nearest else f"there are {', '.join(COMMANDS)}"
    raise InputError(f"meddiff {word}: there is no such command; {hint}")


def _complete(words: list[str]) -> None:
    """Print a shell's script, or the words that the last of those typed may become."""
    if words[:1] == ["words"]:
        print("\n".join(words_for(words[1:])))
    elif words and words[0] in SCRIPTS:
        print(SCRIPTS[words[0]])
    else:
        raise InputError(f"meddiff completion: name the shell, {', '.join(SCRIPTS)}; got {' '.join(words) or 'none'}")


def words_for(typed: Sequence[str]) -> list[str]:
    """List what the last of the words may become: a command, one of its verbs, or a flag; else nothing (a file).

    They are those that the command's own help shows, so that nothing is listed twice.

    Args:
        typed: the words behind ``meddiff``, the last of them begun or empty.
    """
    *before, begun = typed or [""]
    if not before:
        choices = [*COMMANDS, "completion", "--version", "--help"]
    elif before[0] not in COMMANDS:
        choices = ["bash", "zsh", "fish"] if before[0] == "completion" else []
    elif len(before) == 1 and (verbs := _VERB.findall(_help(before[:1]))):
        choices = list(dict.fromkeys(verbs))
    elif begun.startswith("-"):
        verb = [word for word in before[1:2] if not word.startswith("-")]
        choices = list(dict.fromkeys(_FLAG.findall(_help([before[0], *verb]))))
    else:
        choices = []
    return [word for word in choices if word.startswith(begun)]


def _help(words: Sequence[str]) -> str:
    """Return what a command prints of itself."""
    shown = io.StringIO()
    with redirect_stdout(shown), redirect_stderr(io.StringIO()), suppress(SystemExit):
        _module(words[0]).main([*words[1:], "--help", "all"])
    return shown.getvalue()
