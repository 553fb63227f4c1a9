"""What is uploaded is whole: wheel and sdist hold what is read at run time, and name all that is imported."""

import ast
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from install_size import DRIVERS, PROJECT, declared, installed
from packaging.utils import canonicalize_name

import meddiff
from meddiff import __version__
from meddiff.sources.phantom.files import write
from meddiff.sources.phantom.people import rows
from tests.house.source import trees

ROOT = PROJECT.parent
UNIMPORTED = {"einops", "pylibjpeg", "pylibjpeg-openjpeg", "pyjpegls", "python-gdcm"}
"""Of networks of MONAI, and what pydicom finds by itself."""
NOT_OF_USERS = {"test", "dev", "docs", "benchmark"}
"""Extras of those who work on the package: nothing in it imports what only they install."""


def project() -> dict:
    return tomllib.loads(PROJECT.read_text())["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with wheel and sdist, as they are uploaded."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the package, is not installed: pip install 'meddiff[test]'")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def target(built, tmp_path_factory) -> Path:
    """A folder into which the wheel alone was installed."""
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True)
    return folder


def files_below(folder: Path) -> set[str]:
    files = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(ROOT).as_posix() for file in files}


def test_the_wheel_holds_the_package_and_its_recipes(built):
    (wheel,) = built.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    recipes = {name.replace("pipelines/", "meddiff/recipes/", 1) for name in files_below(ROOT / "pipelines")}
    assert files_below(ROOT / "meddiff") | recipes | {"meddiff/recipes/data_manifest.csv"} <= inside
    assert "meddiff/py.typed" in inside
    others = {name for name in inside if not name.startswith(("meddiff/", f"meddiff-{__version__}.dist-info/"))}
    assert others == set()


def test_the_sdist_holds_what_the_tests_read(built):
    """Whoever packages it for a distribution runs them from there."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    folders = [
        files_below(ROOT / name) for name in ("meddiff", "pipelines", "tests", "notebooks", "benchmarks", "docs")
    ]
    single = {"README.md", "LICENSE", "constraints.txt", "data_manifest.csv", "CITATION.cff", ".ci/run"}
    assert set().union(single, *folders) <= inside


def installed_command(target: Path, place: Path, *words: object) -> str:
    """What the installed command prints, run in a folder that knows nothing of this checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTHONPATH": str(target), "XDG_CACHE_HOME": str(place / "cache")}
    command = [sys.executable, str(target / "bin" / "meddiff"), *map(str, words)]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_command_finds_its_recipes(target, tmp_path):
    assert installed_command(target, tmp_path, "--version") == f"meddiff {__version__}\n"
    printed = yaml.safe_load(installed_command(target, tmp_path, "augment", "--dataset", "isic", "--print_config"))
    recipe = yaml.safe_load((ROOT / "pipelines" / "augment" / "isic.yaml").read_text())
    quick = yaml.safe_load((ROOT / "pipelines" / "presets" / "quick.yaml").read_text())
    name, value = next((name, value) for name, value in quick["training"].items())
    assert printed["dataset"] == recipe["dataset"] == "isic"
    assert printed["training"][name] == value


def test_the_installed_command_finds_its_weights_and_templates(target, tmp_path):
    write(rows("dermoscopy", seed=0, count=2), tmp_path / "drawn")
    (picture, *_) = sorted((tmp_path / "drawn").rglob("*.png"))
    installed_command(target, tmp_path, "segment", "predict", "--input", picture, "--output", "masks", "--members", 1)
    assert [file.name for file in (tmp_path / "masks").glob("*_mask.png")] == [f"{picture.stem}_mask.png"]
    installed_command(target, tmp_path, "evaluate", "masks", "--truth", "masks", "--prediction", "masks", "--out", "e")
    assert "<svg" in (tmp_path / "e" / "report.html").read_text()


def imported() -> dict[str, bool]:
    """Other people's modules that the package imports: true where importing meddiff's own module takes them."""
    modules = dict[str, bool]()
    for tree in trees().values():
        inside = {id(node) for outer in tree.body if not is_import(outer) for node in ast.walk(outer)}
        for node in filter(is_import, ast.walk(tree)):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"meddiff"}:
                modules[name] = modules.get(name, False) or id(node) not in inside
    return modules


def is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def packages_of(modules: set[str], known: Mapping[str, list[str]]) -> set[str]:
    return {canonicalize_name(package) for module in modules for package in known.get(module, [module])[:1]}


def test_all_that_is_imported_is_asked_for_and_nothing_else():
    plain = {canonicalize_name(one.name) for one in declared()}
    modules, known = imported(), packages_distributions()
    always = packages_of({name for name, at_once in modules.items() if at_once}, known)
    assert always <= plain
    extras = {
        canonicalize_name(one.name)
        for extra in project()["optional-dependencies"]
        if extra not in NOT_OF_USERS
        for one in declared(extra)
    }
    assert packages_of(set(modules), known) <= plain | extras
    assert plain - packages_of(set(modules), known) == UNIMPORTED


def test_a_plain_install_stays_small():
    """`python benchmarks/install_size.py` prints what each package takes."""
    assert len(declared()) <= 29
    others = {name for name in installed() if not DRIVERS.match(name)}
    assert {"torch", "numpy", "fsspec", "sympy"} <= others
    assert len(others) <= 72


def test_the_public_names_are_typed():
    """A type checker, as strict as it can be, knows what each is; py.typed lets it look."""
    text = (ROOT / "tests" / "public_api.py").read_text()
    assert [name for name in meddiff.__all__ if not re.search(rf"\b{name}\b", text)] == []
    if find_spec("pyright") is None:
        pytest.skip("pyright, which checks types, is not installed: pip install 'meddiff[dev]'")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "tests/public_api.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_one_version_is_stated():
    assert project()["dynamic"] == ["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__


def test_python_versions_are_stated_once():
    named = [one.rpartition(" ")[2] for one in project()["classifiers"] if "Python :: 3." in one]
    assert f">={named[0]}" == project()["requires-python"]
    assert named == [f"3.{minor}" for minor in range(11, 11 + len(named))]
