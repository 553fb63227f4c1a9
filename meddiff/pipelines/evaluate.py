"""Score what any tool has made, with intervals, tests and a report.

    python -m meddiff.pipelines.evaluate masks --truth masks/ --prediction nnunet_output/ --out evaluation
    python -m meddiff.pipelines.evaluate masks --truth masks/ --prediction ours/ --against theirs/ --classes 1=lesion
    python -m meddiff.pipelines.evaluate published --dice 0.924 --iou 0.851

``masks`` compares folders of PNG, TIFF, BMP, NIfTI, NRRD or MetaImage files, matched by name, and writes cases.csv,
summary.csv, report.html and report.json. ``published`` says whether a Dice and an IoU can be of the same masks.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from meddiff.pipelines.command_line import answer


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0 where it was done, 2 for a mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m meddiff.pipelines.evaluate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    _add_masks(commands.add_parser("masks", help="two or three folders of masks", allow_abbrev=False))
    _add_published(commands.add_parser("published", help="a Dice and an IoU from a paper", allow_abbrev=False))
    told = vars(parser.parse_args(argv))
    command = told.pop("command")
    return answer(lambda: _masks(told) if command == "masks" else _published(**told))


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
    parser.add_argument("--out", default="evaluation", metavar="FOLDER", help="where the results go (evaluation)")
    parser.add_argument("--names", default="", metavar="A[,B]", help="what to call the models; folder names without")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap (2000)")


def _add_published(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dice", type=float, required=True, help="mean Dice as a share")
    parser.add_argument("--iou", type=float, required=True, help="mean IoU as a share")
    parser.add_argument("--decimals", type=int, default=None, help="to which both were rounded; as typed without it")


def _masks(told: dict) -> None:
    from meddiff.pipelines.evaluate_masks import EvaluateMasks, run  # pandas and scipy take a second: not for --help

    run(EvaluateMasks(**told))


def _published(dice: float, iou: float, decimals: int | None) -> None:
    from meddiff.evaluation.masks import jensen_check

    found = jensen_check(dice, iou, decimals=decimals)
    print(found or f"Dice {dice:g} and IoU {iou:g} can be of the same masks.")


if __name__ == "__main__":
    raise SystemExit(main())
