"""Score what any tool has made, with intervals, tests and a report.

    python -m meddiff.pipelines.evaluate images --real real/ --synthetic drawn/ --train seen/
    python -m meddiff.pipelines.evaluate images --real manifest.csv:test --synthetic drawn/ --train manifest.csv:train
    python -m meddiff.pipelines.evaluate images --real scans/ --synthetic drawn/ --features medicalnet
    python -m meddiff.pipelines.evaluate masks --truth masks/ --prediction nnunet_output/ --out evaluation
    python -m meddiff.pipelines.evaluate masks --truth masks/ --prediction ours/ --against theirs/ --classes 1=lesion
    python -m meddiff.pipelines.evaluate augmentation --run runs/mine --against runs/before
    python -m meddiff.pipelines.evaluate leaderboard runs/one runs/two --out leaderboard.csv
    python -m meddiff.pipelines.evaluate reader_study --real manifest.csv:test --synthetic drawn/ --out study
    python -m meddiff.pipelines.evaluate readers answers_AB.csv answers_CD.csv --key study/key.csv
    python -m meddiff.pipelines.evaluate published --dice 0.924 --iou 0.851

``images`` compares two folders of pictures or of volumes (NIfTI, DICOM series ...), or manifests (which may name slices
of volumes), puts every distance beside what halves of the real images give against each other, counts copies of the
training images where those are given, and writes measures.csv, report.html, report.json and report.md. ``masks``
compares folders of PNG, TIFF, BMP, NIfTI, NRRD or MetaImage files, matched by name, and writes cases.csv, summary.csv,
report.html and report.json. ``reader_study`` makes one page that works offline, on which people say of each image
whether it is real, and ``readers`` scores their answers. ``published`` says
whether a Dice and an IoU can be of the same masks.

``augmentation`` computes the study of an `augment` run anew from what its classifiers said (predictions.csv), writes
scores.csv, differences.csv, tests.csv, subgroups.csv, curve.csv and the report into the run folder, and compares it
case by case with another run on the same test images (against.csv, against_tests.csv). ``leaderboard`` makes one table
of several runs, a row per run and arm, and refuses runs whose test images differ.
"""

from __future__ import annotations

from typing import TypeVar

from meddiff.command_line import parse_settings, verbs_command
from meddiff.recipe.commands import (
    EvaluateAugmentation,
    EvaluateImages,
    EvaluateMasks,
    Leaderboard,
    Published,
    ReaderScores,
    ReaderStudy,
)

Settings = TypeVar("Settings")


def images(words: list[str]) -> None:
    """Judge synthetic images against real ones."""
    settings = _parsed(EvaluateImages, "images", "--real PLACE --synthetic PLACE", words)
    from meddiff.jobs.evaluate.images import run  # torch takes seconds: not for --help

    run(settings)


def masks(words: list[str]) -> None:
    """Return score two or three folders of masks."""
    settings = _parsed(EvaluateMasks, "masks", "--truth FOLDER --prediction FOLDER", words)
    from meddiff.jobs.evaluate.masks import run  # pandas and scipy take a second: not for --help

    run(settings)


def augmentation(words: list[str]) -> None:
    """Make the tables of the study of a run."""
    settings = _parsed(EvaluateAugmentation, "augmentation", "--run FOLDER", words)
    from meddiff.jobs.evaluate.study import run

    run(settings)


def leaderboard(words: list[str]) -> None:
    """Put several runs into one table."""
    settings = _parsed(Leaderboard, "leaderboard", "RUN ...", words)
    from meddiff.jobs.evaluate.leaderboard import run

    run(settings)


def reader_study(words: list[str]) -> None:
    """Make the page of a blinded reader study."""
    settings = _parsed(ReaderStudy, "reader_study", "--real PLACE --synthetic PLACE", words)
    from meddiff.jobs.evaluate.reader_study import make

    make(settings)


def readers(words: list[str]) -> None:
    """Score the readers of a study."""
    settings = _parsed(ReaderScores, "readers", "ANSWERS.csv ... --key KEY.csv", words)
    from meddiff.jobs.evaluate.reader_study import score

    score(settings)


def published(words: list[str]) -> None:
    """Say whether a Dice and an IoU from a paper fit together."""
    settings = _parsed(Published, "published", "--dice SHARE --iou SHARE", words)
    from meddiff.evaluation.masks.cases import jensen_check

    problem = jensen_check(settings.dice, settings.iou, decimals=settings.decimals)
    print(problem or f"Dice {settings.dice:g} and IoU {settings.iou:g} can be of the same masks.")


def _parsed(kind: type[Settings], verb: str, usage: str, words: list[str]) -> Settings:
    return parse_settings(kind, f"evaluate {verb}", f"{usage} [--<setting> VALUE ...]", __doc__ or "", words)


main = verbs_command(
    "evaluate",
    __doc__,
    {"images": images, "masks": masks, "augmentation": augmentation, "leaderboard": leaderboard,
     "reader_study": reader_study, "readers": readers, "published": published},
    example="evaluate masks --truth FOLDER --prediction FOLDER",
)  # fmt: skip

if __name__ == "__main__":
    raise SystemExit(main())
