"""Imports run downhill and in no circle, and what only one place may do is done in one place."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "meddiff"
LAYERS = {
    "errors": 0, "seeds": 0,
    "files": 1, "recipe": 1, "diffusion": 1, "metrics": 1, "ensemble": 1,
    "manifest": 2, "samplers": 2, "networks": 2,
    "formats": 3, "run": 3,
    "images": 4, "sources": 4,
    "cache": 5, "audit": 5,
    "batches": 6, "evaluation": 6,
    "tasks": 7, "reports": 7,
    "training": 8, "inference": 8,
    "build": 9,
    "hub": 10,
    "trained": 11, "quickstart": 11,
    "jobs": 12,
    "command_line": 13, "exports": 13,
    "pipelines": 14,
    "console": 15,
}  # fmt: skip
"""The layer of each folder and each file of the package: it imports lower ones, or its own folder."""
EXCEPTIONS = {}
"""File: parts of the package on its own layer or above that it still imports. Lines leave this table; none come."""
PURE = ("diffusion", "samplers", "metrics", "ensemble")
IMPURE = {"monai", "pandas", "matplotlib"}
READERS = {"nibabel", "SimpleITK", "pydicom", "highdicom"}
ALGORITHMS = {"ensemble/fusion.py": {"SimpleITK"}, "images/intensity.py": {"SimpleITK"}}
"""STAPLE and N4 of arrays: no file is read."""
DOORS = ("command_line", "pipelines", "console", "__main__")
"""What users start: it alone prints, and nothing else of the package knows it."""
READS_ARGV = "jobs/run_facts.py"
"""Notes in environment.json with which command a run was made."""


def modules() -> list[Path]:
    return sorted(file for file in PACKAGE.rglob("*.py") if "recipes" not in file.parts)


def place(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def part_of(file: Path) -> str:
    """The part of the package that a file belongs to: ``diffusion`` for ``diffusion/loss.py``."""
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def name_of(file: Path) -> str:
    """The name that a file is imported by: ``meddiff.diffusion.loss``."""
    return ".".join(("meddiff", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def imports(file: Path) -> set[str]:
    """Full names of the modules that a file imports, also inside functions and for annotations."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return found


def ours(file: Path) -> set[str]:
    """The parts of the package that a file imports."""
    return {name.split(".")[1] for name in imports(file) if name.startswith("meddiff.")} & set(LAYERS)


def uphill(file: Path) -> set[str]:
    """The parts on the file's own layer or above that it imports, its own folder left out."""
    part = part_of(file)
    return {other for other in ours(file) if other != part and LAYERS[other] >= LAYERS[part]}


def modules_imported() -> dict[str, set[str]]:
    """Each module's imports of other modules of the package, exceptions left out."""
    known = {name_of(file): file for file in modules()}
    edges = {}
    for name, file in known.items():
        skipped = {f"meddiff.{part}" for part in EXCEPTIONS.get(place(file), ())}
        edges[name] = {
            other
            for other in (imports(file) & set(known)) - {"meddiff"}
            if not any(other == part or other.startswith(f"{part}.") for part in skipped)
            and not any(longer.startswith(f"{other}.") for longer in imports(file) & set(known))
        }
    return edges


@pytest.mark.parametrize("file", modules(), ids=place)
def test_imports_run_downhill(file):
    part = part_of(file)
    if part in ("__init__", "__main__"):  # the package's own doors
        return
    assert part in LAYERS, f"{part} has no layer: add it to the table in ARCHITECTURE.md and here"
    against = uphill(file) - EXCEPTIONS.get(place(file), set())
    assert not against, f"{part} (layer {LAYERS[part]}) imports {against}"


def test_no_module_imports_itself_by_way_of_others():
    left = modules_imported()
    while free := {name for name, others in left.items() if not others & set(left)}:
        left = {name: others for name, others in left.items() if name not in free}
    assert not left, {name: sorted(others & set(left)) for name, others in left.items()}


@pytest.mark.parametrize("where", EXCEPTIONS)
def test_every_exception_is_still_needed(where):
    unneeded = EXCEPTIONS[where] - uphill(PACKAGE / where)
    assert not unneeded, f"{where} no longer imports {unneeded}: take it out of EXCEPTIONS"


@pytest.mark.parametrize("file", [file for file in modules() if part_of(file) in PURE], ids=place)
def test_the_pure_parts_know_neither_files_nor_tables(file):
    roots = {name.split(".")[0] for name in imports(file)}
    assert not roots & IMPURE
    assert ours(file) <= {"errors", "seeds", *PURE}


@pytest.mark.parametrize("file", modules(), ids=place)
def test_what_one_place_does_no_other_does(file):
    names, where = imports(file), place(file)
    if part_of(file) != "formats":
        assert not {name.split(".")[0] for name in names} & READERS - ALGORITHMS.get(where, set())
    if part_of(file) != "networks":
        assert not any(name.startswith("monai.networks") for name in names)
    if part_of(file) not in DOORS:
        calls = [node.func.id for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
                 if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]  # fmt: skip
        assert "print" not in calls
        assert where == READS_ARGV or "sys.argv" not in file.read_text(encoding="utf-8")


def test_nobody_imports_the_doors():
    for file in modules():
        if part_of(file) not in DOORS:
            assert not set(DOORS) & ours(file) - EXCEPTIONS.get(place(file), set()), file


def test_there_is_no_drawer_of_odds_and_ends():
    names = {file.stem for file in modules()}
    assert not names & {"utils", "util", "common", "helpers", "base", "core", "misc"}


def test_the_heart_of_the_map_is_there():
    map_of_it = (PACKAGE.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    lines = map_of_it.split("## The heart, in reading order", 1)[1].split("```")[1].strip().splitlines()
    names = [name for line in lines for name in line.split("   ")[0].split()]
    assert f"\n{len(names)} of the files below" in map_of_it
    assert not [name for name in names if not (PACKAGE / f"{name}.py").is_file()]
