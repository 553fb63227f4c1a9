"""Score what any tool has made, with intervals, tests and a report.

    python -m meddiff.pipelines.evaluate images --real real/ --synthetic drawn/ --weights mobilenet.npz
    python -m meddiff.pipelines.evaluate images --real manifest.csv:test --synthetic drawn/ --train manifest.csv:train
    python -m meddiff.pipelines.evaluate images --real scans/ --synthetic drawn/ --features medicalnet
    python -m meddiff.pipelines.evaluate masks --truth masks/ --prediction nnunet_output/ --out evaluation
    python -m meddiff.pipelines.evaluate masks --truth masks/ --prediction ours/ --against theirs/ --classes 1=lesion
    python -m meddiff.pipelines.evaluate augmentation --run runs/mine --against runs/before
    python -m meddiff.pipelines.evaluate leaderboard runs/one runs/two --out leaderboard.csv
    python -m meddiff.pipelines.evaluate published --dice 0.924 --iou 0.851

``images`` compares two folders of pictures or of volumes (NIfTI, DICOM series ...), or manifests (which may name slices
of volumes), puts every distance beside what halves of the real images give against each other, counts copies of the
training images where those are given, and writes measures.csv, report.html, report.json and report.md. ``masks``
compares folders of PNG, TIFF, BMP, NIfTI, NRRD or MetaImage files, matched by name, and writes cases.csv, summary.csv,
report.html and report.json. ``published`` says whether a Dice and an IoU can be of the same masks.

``augmentation`` computes the study of an `augment` run anew from what its classifiers said (predictions.csv), writes
scores.csv, differences.csv, tests.csv, subgroups.csv, curve.csv and the report into the run folder, and compares it
case by case with another run on the same test images (against.csv, against_tests.csv). ``leaderboard`` makes one table
of several runs, a row per run and arm, and refuses runs whose test images differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from meddiff.pipelines.command_line import answer


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0 where it was done, 2 for a mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m meddiff.pipelines.evaluate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    _add_images(commands.add_parser("images", help="real and synthetic images", allow_abbrev=False))
    _add_masks(commands.add_parser("masks", help="two or three folders of masks", allow_abbrev=False))
    _add_augmentation(commands.add_parser("augmentation", help="the study of a run", allow_abbrev=False))
    _add_leaderboard(commands.add_parser("leaderboard", help="several runs in one table", allow_abbrev=False))
    _add_published(commands.add_parser("published", help="a Dice and an IoU from a paper", allow_abbrev=False))
    told = vars(parser.parse_args(argv))
    command = told.pop("command")
    work = {"images": _images, "masks": _masks, "augmentation": _augmentation, "leaderboard": _leaderboard,
            "published": _published}[command]  # fmt: skip
    return answer(lambda: work(**told))


def _add_images(parser: argparse.ArgumentParser) -> None:
    place = "FOLDER|CSV[:SPLIT]"
    parser.add_argument("--real", required=True, metavar=place, help="real images, best not those trained on")
    parser.add_argument("--synthetic", required=True, metavar=place, help="images that a model has drawn")
    parser.add_argument("--train", default="", metavar=place, help="images that it was trained on: copies are counted")
    parser.add_argument("--features", default="mobilenet", metavar="NAME",
                        help="mobilenet, inception, dinov2 or radimagenet, which see slices of volumes in three "
                             "planes; of volumes also medicalnet, or encoder3d: a TorchScript file")  # fmt: skip
    parser.add_argument("--weights", default="", metavar="FILE",
                        help="of the extractor; inception, dinov2 and medicalnet are downloaded without")  # fmt: skip
    parser.add_argument("--lpips", default="", metavar="FOLDER|download",
                        help="of alexnet-owt-7be5be79.pth and alex.pth: adds LPIPS of pairs")  # fmt: skip
    parser.add_argument("--groups", default="", metavar="REGEX",
                        help="what of a real image's name is its patient; else as the manifest says")  # fmt: skip
    parser.add_argument("--labels", default="", metavar="REGEX",
                        help="what of a name is its label, to judge labels too; else as the manifest says")  # fmt: skip
    parser.add_argument("--size", type=int, default=0, metavar="PIXELS",
                        help="side that all images are brought to; else the shortest of all, at most 256; 64 voxels "
                             "for volumes")  # fmt: skip
    parser.add_argument("--fit", choices=("crop", "pad", "stretch"), default="",
                        help="oblong images (crop; pad for volumes)")  # fmt: skip
    parser.add_argument("--splits", type=int, default=10, help="of the real images in halves (10)")
    parser.add_argument("--copy-rate", type=float, default=0.05, metavar="SHARE",
                        help="of held-out real images that the threshold takes for copies (0.05)")  # fmt: skip
    parser.add_argument("--batch-size", type=int, default=32, help="images at a time in the extractor (32)")
    parser.add_argument("--on-bad-file", choices=("stop", "skip"), default="stop", help="unreadable images (stop)")
    parser.add_argument("--out", default="evaluation", metavar="FOLDER", help="where the results go (evaluation)")
    parser.add_argument("--cache", default="", metavar="FOLDER", help="of pixels and features (~/.cache/meddiff)")
    parser.add_argument("--seed", type=int, default=0, help="of splits, pairs and the gallery (0)")


def _add_masks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--truth", required=True, metavar="FOLDER", help="the masks that are taken as right")
    parser.add_argument("--prediction", required=True, metavar="FOLDER", help="the masks to score")
    parser.add_argument("--against", default="", metavar="FOLDER", help="those of another model, as its baseline")
    parser.add_argument("--classes", default="", metavar="1=lesion,2=...",
                        help="what the values mean; without it every value of the truths is a class")  # fmt: skip
    parser.add_argument("--spacing-mm", default="", metavar="A,B[,C]",
                        help="distance of pixels along the array's axes, for files that do not tell it")  # fmt: skip
    parser.add_argument("--tolerance-mm", type=float, default=2.0, help="of the normalized surface distance (2)")
    parser.add_argument("--tolerance-px", type=float, default=2.0, help="the same where no spacing is known (2)")
    parser.add_argument("--on-missing", choices=("fail", "skip"), default="fail",
                        help="a truth without a prediction scores the worst (fail), or is left out")  # fmt: skip
    parser.add_argument("--patient", default="", metavar="REGEX",
                        help="what of a case's name is its patient; without it each case is one")  # fmt: skip
    parser.add_argument("--ignore-geometry", action="store_true", help="do not compare where volumes lie")
    parser.add_argument("--images", default="", metavar="FOLDER", help="pictures or volumes for the gallery")
    parser.add_argument("--raters", default="", metavar="FOLDER,...",
                        help="masks of other raters: adds the energy distance of the members (or the one mask) to "
                             "them")  # fmt: skip
    parser.add_argument("--out", default="evaluation", metavar="FOLDER", help="where the results go (evaluation)")
    parser.add_argument("--names", default="", metavar="A[,B]", help="what to call the models; folder names without")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap (2000)")


def _add_augmentation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", required=True, dest="folder", metavar="FOLDER", help="a run folder of augment")
    parser.add_argument("--against", default="", metavar="FOLDER", help="another run on the same test images")
    parser.add_argument("--tables-only", action="store_true",
                        help="leave the report as it is: for a run whose images lie elsewhere")  # fmt: skip


def _add_leaderboard(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders of augment")
    parser.add_argument("--out", default="leaderboard.csv", metavar="CSV", help="the table (leaderboard.csv)")


def _add_published(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dice", type=float, required=True, help="mean Dice as a share")
    parser.add_argument("--iou", type=float, required=True, help="mean IoU as a share")
    parser.add_argument("--decimals", type=int, default=None, help="to which both were rounded; as typed without it")


def _images(**told: Any) -> None:
    from meddiff.pipelines.evaluate_images import EvaluateImages, run  # torch takes seconds: not for --help

    run(EvaluateImages(**told))


def _masks(**told: Any) -> None:
    from meddiff.pipelines.evaluate_masks import EvaluateMasks, run  # pandas and scipy take a second: not for --help

    run(EvaluateMasks(**told))


def _augmentation(**told: Any) -> None:
    from meddiff.pipelines.evaluate_augmentation import run

    run(**told)


def _leaderboard(**told: Any) -> None:
    from meddiff.pipelines.evaluate_leaderboard import run

    run(**told)


def _published(dice: float, iou: float, decimals: int | None) -> None:
    from meddiff.evaluation.masks import jensen_check

    found = jensen_check(dice, iou, decimals=decimals)
    print(found or f"Dice {dice:g} and IoU {iou:g} can be of the same masks.")


if __name__ == "__main__":
    raise SystemExit(main())
