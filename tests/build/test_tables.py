"""The table of alternatives: each says how a report calls it and what it rests on, and its name stands nowhere else."""

import ast
import re
from pathlib import Path

import pytest

from meddiff import build
from meddiff.build import Table, tables

PACKAGE = Path(__file__).parents[2] / "meddiff"
TABLES = {name: table for name, table in vars(tables).items() if isinstance(table, Table)}
CITED = {"SCHEDULES", "PREDICTIONS", "SAMPLERS", "TASKS", "NETWORKS", "MASK_NETWORKS", "BASELINES", "CLASSIFIERS"}
"""Tables of what somebody has published, each entry of which rests on a paper."""


def keys_of_the_literature() -> set[str]:
    (file,) = PACKAGE.rglob("literature.bib")
    return set(re.findall(r"^@\w+\{(\w+),", file.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize(("table", "name"), [(table, name) for table in TABLES for name in TABLES[table]])
def test_every_alternative_has_a_title_and_its_citations_stand_in_the_literature(table, name):
    entry = TABLES[table].entries[name]
    assert entry.title.strip(), f"{table}[{name!r}] has no title: say in its line how a report calls it"
    assert entry.citations or table not in CITED, f"{table}[{name!r}] names no paper: give the key of its BibTeX entry"
    missing = set(entry.citations) - keys_of_the_literature()
    assert not missing, f"{table}[{name!r}] cites {missing}, which literature.bib lacks: add the BibTeX entry"


def test_a_table_is_read_like_a_mapping():
    assert build.SAMPLERS["ddim"].__name__ == "ddim"
    assert "dmid" not in build.SAMPLERS
    assert dict(build.ARMS)["real"] == build.Arm(real=True)
    assert build.EXTRACTORS.entries["inception"].citations == ("szegedy2016", "heusel2017")


def test_an_arm_says_itself_what_it_trains_on():
    point = build.arm_entry("ratio_0.5")
    assert (point.thing.real, point.thing.synthetic, point.thing.ratio) == (True, True, 0.5)
    assert point.title == "Real + 0.5x synthetic"
    assert build.arm_entry("real_balanced").title == "Real, class-balanced"
    assert not build.arm("real").synthetic


PLAIN = {
    "bits",
    "real",
    "synthetic",
    "classifier",
    "mean",
    "x_0",
    "v",
    "linear",
    "generate",
    "segment",
    "strong",
    "score",
    "simple",
    "hole",
    "sequences",
    "mask",
    "pair",
    "none",
    "mirror",
    "square",
    "upright",
    "mild",
    "medium",
}
"""Names that are common words or symbols too: an occurrence says nothing."""


SPELLED: dict[str, set[str]] = {
    "build/mask_models.py": {"one_hot"},
    "diffusion/denoiser.py": {"edm", "eps"},
    "diffusion/prediction.py": {"edm", "eps", "velocity"},
    "ensemble/fusion.py": {"majority", "staple"},
    "evaluation/classifiers/scores.py": {"real_synthetic"},
    "jobs/generate/arms.py": {"real_classical"},
    "jobs/generate/filter.py": {"real_balanced_flips"},
    "jobs/generate/report.py": {"real_synthetic"},
    "networks/classifier.py": {"densenet121", "efficientnet_b0", "resnet18"},
    "networks/segmenter.py": {"dynunet", "segresnet", "unet"},
    "recipe/commands.py": {"untrained"},
    "recipe/generate.py": {"dpm_solver", "real_balanced", "real_classical", "real_synthetic", "resnet18", "unet"},
    "recipe/parts.py": {"cosine"},
    "recipe/translate.py": {"cosine", "ddim", "low_resolution"},
    "recipe/autoencode.py": {"cosine"},  # the decay of the learning rate
    "recipe/segment.py": {
        "cosine",
        "ddpm",
        "majority",
        "one_hot",
        "real_classical",
        "real_synthetic",
        "real_synthetic_classical",
        "staple",
        "twin_unet",
        "unet",
    },
    "reports/contrasts.py": {"real_synthetic"},
    "reports/images.py": {"inception"},
    "samplers/langevin.py": {"annealed_langevin"},
    "sources/published_weights.py": {"dinov2", "inception", "medicalnet"},
    "tasks/segment.py": {"one_hot"},
    "training/optimization.py": {"cosine"},
}
"""What is spelled outside the table all the same: defaults of recipes, and what has not been told another way yet. It
may only shrink."""


def spelled(file: Path) -> set[str]:
    """The names of the tables that a file has as string constants, its own left out."""
    names = {name for table in TABLES.values() for name in table} - PLAIN - {file.stem}
    return {
        node.value
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names
    }


def test_no_name_of_an_alternative_is_spelled_anywhere_else():
    found = {
        file.relative_to(PACKAGE).as_posix(): names
        for file in sorted(PACKAGE.rglob("*.py"))
        if "recipes" not in file.parts and file != Path(tables.__file__) and (names := spelled(file))
    }
    assert found == SPELLED
