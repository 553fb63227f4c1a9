"""Builds the documentation, to be read without network: `python docs/build.py`, then open build/docs/html/index.html.

Pages are the Markdown files of the repository and its notebooks, in their own places, so that a link that works on the
forge works here; and what is made of the code at that moment: every setting (reference/settings), every public name
(reference/python), every figure that was measured (results). `--execute` runs the notebooks too, which takes minutes.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import MISSING, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import meddiff
from meddiff.console import main as console
from meddiff.recipe import KINDS, Range, commands, exports, generators
from meddiff.recipe.detect import Detect
from meddiff.recipe.values import hints

ROOT = Path(__file__).parents[1]
PAGES = ("*.md", "docs/*.md", "notebooks/*.ipynb", "meddiff/weights/*/README.md")
"""Files that are pages as they are."""
REPOSITORY = "https://github.com/meddiff/meddiff/blob/main/"


def gather(source: Path) -> None:
    """Copy and make all pages into a folder."""
    for pattern in PAGES:
        for file in ROOT.glob(pattern):
            place = source / file.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    readme = source / "README.md"  # its badges are pictures of the web
    readme.write_text(without_badges(readme.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copyfile(ROOT / "docs" / "conf.py", source / "conf.py")
    made = {"reference/settings": settings(), "reference/commands": helps(), "reference/python": names()}
    made |= {f"results/{file.stem}": measured(file) for file in results()}
    made["results/index"] = index_of_results()
    made["index"] = front()
    for name, text in made.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / f"{name}.md").write_text(text, encoding="utf-8")


def front() -> str:
    """Return the first page: its words are the README's, its list is that of all pages."""
    notebooks = [f"notebooks/{file.stem}" for file in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    parts = {
        "Start": ["docs/start", "Overview <README>"],
        "How to": ["docs/how_to", "docs/many_devices", "docs/dicom"],
        "Explain": ["docs/explain", "ARCHITECTURE", *notebooks],
        "Reference": ["reference/commands", "reference/settings", "reference/python"],
        "Results": ["results/index"],
        "Limits": ["docs/limits", "CONTRIBUTING", "CHANGELOG"],
    }
    trees = [f"```{{toctree}}\n:caption: {name}\n:maxdepth: 1\n\n{listed(pages)}\n```" for name, pages in parts.items()]
    readme = without_badges((ROOT / "README.md").read_text(encoding="utf-8"))
    first = readme.partition("\n## ")[0].partition("\n\n")[2]
    return f"# meddiff\n\n{first.strip()}\n\nBegin with [three minutes](docs/start.md).\n\n" + "\n\n".join(trees) + "\n"


def without_badges(text: str) -> str:
    """Return a page without the lines that are pictures with a link."""
    return "\n".join(line for line in text.split("\n") if not line.startswith("[!["))


def listed(pages: list[str]) -> str:
    """Return one page a line."""
    return "\n".join(pages)


def documented(kind: type) -> dict[str, str]:
    """Return the sentence under each setting of a dataclass, those that it inherits too."""
    told: dict[str, str] = {}
    for one in reversed(kind.__mro__[:-1]):
        body = ast.parse(inspect.getsource(one)).body[0].body  # type: ignore[attr-defined]
        for entry, text in pairwise(body):
            if isinstance(entry, ast.AnnAssign) and isinstance(text, ast.Expr):
                told[ast.unparse(entry.target)] = " ".join(ast.literal_eval(text.value).split())
    return told


def rows_of(kind: type, before: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield name, what is allowed, default and sentence of every setting, those of its parts too."""
    allowed, said = hints(kind), documented(kind)
    for entry in fields(kind):
        default: Any = entry.default if entry.default_factory is MISSING else entry.default_factory()
        if is_dataclass(default):
            yield from rows_of(type(default), f"{entry.name}.")
        else:
            usual = "required" if default is MISSING else f"`{shown(default)}`"
            yield f"`{before}{entry.name}`", in_words(allowed[entry.name]), usual, said.get(entry.name, "")


def shown(value: Any) -> str:
    """Write a value as it is typed."""
    return value if isinstance(value, str) and value else json.dumps(value)


def in_words(hint: Any) -> str:
    """Say what a setting takes."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        limits = next((one for one in inside[1:] if isinstance(one, Range)), None)
        return in_words(inside[0]) + (f", {number(limits.low)} to {number(limits.high)}" if limits else "")
    if origin is Literal:
        return " or ".join(f"`{shown(one)}`" for one in inside)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(in_words(one) for one in inside))
    if origin is tuple:
        several = "some of" if Ellipsis in inside else f"{len(inside)} of"
        return f"{several}: {in_words(inside[0])}"
    words = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}
    return words.get(hint, getattr(hint, "__name__", str(hint)))


def number(value: float) -> str:
    """Write the end of a range."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def cell(text: str) -> str:
    """Return text that neither ends a column nor looks like HTML."""
    return text.replace("|", "/").replace("<", "&lt;") if "`" not in text else text.replace("|", "/")


def settings() -> str:
    """Return the page of every setting of every command."""
    of_commands = [one for module in (commands, generators, exports) for one in vars(module).values()
                   if is_dataclass(one) and one.__module__ == module.__name__ and hasattr(one, "__doc__")]  # type: ignore[union-attr]  # fmt: skip
    parts = ["# Every setting", "A flag is `--name value`; in a file (`--config`) parts are nested. Made of the code."]
    for kind in (*KINDS, *of_commands, Detect):
        title = f"Runs of {kind.MADE_BY}" if kind in KINDS else f"`{kind.__name__}`"  # type: ignore[union-attr]
        lines = ["| setting | takes | default | what it does |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(map(cell, row))} |" for row in rows_of(kind)]  # type: ignore[arg-type]
        parts += [f"## {title}", (inspect.getdoc(kind) or "").partition("\n")[0], "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def helps() -> str:
    """Return the page of the commands: what each prints of itself."""
    parts = ["# Every command", "`meddiff COMMAND --help` prints this, and `--help all` every setting."]
    for name, does in console.COMMANDS.items():
        text = io.StringIO()
        with redirect_stdout(text), suppress(SystemExit):
            console.main([name, "--help"])
        parts += [f"## meddiff {name}", does[0].upper() + does[1:] + ".", f"```text\n{text.getvalue().rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def names() -> str:
    """Return the page of every public name."""
    parts = ["# Every public name", "Imported from `meddiff` itself, when first used."]
    for name, module in meddiff._PUBLIC.items():
        value = getattr(meddiff, name)
        kind = "autoclass" if isinstance(value, type) else "autofunction"
        members = "\n   :members:\n" if isinstance(value, type) else "\n"
        parts += [f"## {name}", f"```{{eval-rst}}\n.. {kind}:: {module}.{name}{members}```"]
    return "\n\n".join(parts) + "\n"


def results() -> list[Path]:
    """List the files of figures that were measured."""
    return sorted((ROOT / "benchmarks" / "results").glob("*.txt"))


def title_of(file: Path) -> str:
    """Return the first line of a file of results."""
    lines = file.read_text(encoding="utf-8").strip().splitlines()
    return f"{file.stem}: {lines[0].strip().rstrip('.:')}"


def measured(file: Path) -> str:
    """Return the page of a file of results, as it is."""
    text = file.read_text(encoding="utf-8").strip()
    head = f"# {file.stem.replace('_', ' ')}\n\nAs it stands in `benchmarks/results/{file.name}`."
    return f"{head}\n\n```text\n{text}\n```\n"


def index_of_results() -> str:
    """Return the page that lists all results."""
    lines = [f"- [{title_of(file)}]({file.stem}.md)" for file in results()]
    tree = "```{toctree}\n:hidden:\n\n" + listed([file.stem for file in results()]) + "\n```"
    head = "# Results\n\nEvery figure with the command that made it; `benchmarks/` makes them again."
    return f"{head}\n\n" + "\n".join(lines) + f"\n\n{tree}\n"


def main() -> int:
    """Build the pages; returns the exit code of Sphinx, which is not 0 where a link leads nowhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--execute", action="store_true", help="run the notebooks and show what they print and draw")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "docs", help="folder of the pages")
    asked = parser.parse_args()
    source = asked.out / "source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    gather(source)
    how = ["-D", "nb_execution_mode=force"] if asked.execute else []
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going", *how]
    return subprocess.run([*command, str(source), str(asked.out / "html")], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
