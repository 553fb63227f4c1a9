"""Imports run downhill, and what only one place may do is done in one place."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "meddiff"
LAYERS = {
    "errors": 0, "seeds": 0,
    "diffusion": 1, "data": 1, "metrics": 1, "ensemble": 1, "recipe": 1,
    "networks": 2, "samplers": 2, "tasks": 2, "sources": 2, "evaluation": 2, "run_folder": 2, "pictures": 2,
    "tiling": 2, "decision": 2,
    "assembly": 3, "inference": 3, "segmentation": 3, "training": 3,
    "reports": 3,
    "pipelines": 4,
}  # fmt: skip
BESIDE = {
    "assembly": {"training", "inference"},
    "segmentation": {"assembly", "training", "inference"},
}
"""Who may import whom on the same layer."""
PURE = ("diffusion", "samplers", "metrics", "ensemble")
IMPURE = {"monai", "pandas", "matplotlib"}
READERS = {"nibabel", "SimpleITK", "pydicom", "highdicom"}


def modules() -> list[Path]:
    return sorted(file for file in PACKAGE.rglob("*.py") if "recipes" not in file.parts)


def part_of(file: Path) -> str:
    """The part of the package that a file belongs to: ``diffusion`` for ``diffusion/loss.py``."""
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(file: Path) -> set[str]:
    """Full names of the modules that a file imports, also inside functions."""
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


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_run_downhill(file):
    part = part_of(file)
    if part == "__init__":
        return
    assert part in LAYERS, f"{part} has no layer: add it to the table in ARCHITECTURE.md and here"
    uphill = {other for other in ours(file) if other != part and LAYERS[other] >= LAYERS[part]}
    assert not uphill - BESIDE.get(part, set()), f"{part} (layer {LAYERS[part]}) imports {uphill}"


@pytest.mark.parametrize("file", [file for file in modules() if part_of(file) in PURE], ids=lambda file: file.name)
def test_the_pure_parts_know_neither_files_nor_tables(file):
    roots = {name.split(".")[0] for name in imports(file)}
    assert not roots & IMPURE
    assert "data" not in ours(file)


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_what_one_place_does_no_other_does(file):
    names, where = imports(file), file.relative_to(PACKAGE).as_posix()
    if not where.startswith("data/image_io/"):
        algorithms = {"SimpleITK"} if where == "ensemble/fusion.py" else set()  # STAPLE of arrays, no file is read
        assert not {name.split(".")[0] for name in names} & READERS - algorithms
    if part_of(file) != "networks":
        assert not any(name.startswith("monai.networks") for name in names)
    if part_of(file) != "pipelines":
        calls = [node.func.id for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
                 if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]  # fmt: skip
        assert "print" not in calls
        assert "sys.argv" not in file.read_text(encoding="utf-8")


def test_nobody_imports_the_pipelines():
    for file in modules():
        if part_of(file) != "pipelines":
            assert "pipelines" not in ours(file), file


def test_there_is_no_drawer_of_odds_and_ends():
    names = {file.stem for file in modules()}
    assert not names & {"utils", "util", "common", "helpers", "base", "core", "misc"}
