"""Segment images by diffusion: train, predict with an ensemble and its uncertainty, evaluate beside a baseline.

    python -m meddiff.pipelines.segment train --dataset isic --data-root ~/HAM10000
    python -m meddiff.pipelines.segment evaluate --dataset isic --data-root ~/HAM10000    # trains first where need be
    python -m meddiff.pipelines.segment test --checkpoint runs/segment-isic-quick --data_root ~/PH2 --out runs/ph2
    python -m meddiff.pipelines.segment predict --checkpoint runs/segment-isic-quick --input PATH --output FOLDER

Without --data-root the built-in drawn images are used. evaluate writes report.html with 95% intervals; test judges the
run's networks, as they are, on other images; predict takes a picture, a volume (NIfTI, NRRD, MetaImage), a DICOM
series, or a folder of them. A finished stage is skipped; a killed run goes on where it was. Every setting is listed by
`segment VERB --help`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from meddiff.errors import InputError
from meddiff.pipelines.command_line import SEGMENT, answer, parse_recipe

UNTIL = {"train": "calibrate", "evaluate": "report"}
VERBS = [*UNTIL, "test", "predict"]


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    return answer(_work(words[0], words[1:]))


def _work(verb: str, words: list[str]) -> Callable[[], None]:
    def work() -> None:
        if verb not in VERBS:
            raise InputError(f"segment {verb!r}: the verbs are {', '.join(VERBS)}, as in segment train --dataset isic")
        if verb == "test":
            from meddiff.pipelines import other_images

            other_images.run(other_images.parse(words))
            return
        if verb == "predict":
            from meddiff.pipelines import predict

            predict.run(predict.parse(words))
            return
        recipe = parse_recipe(f"segment {verb}", __doc__ or "", words, SEGMENT)
        from meddiff.pipelines import segment_job  # torch and MONAI take seconds to import: not for --help

        segment_job.run(recipe, UNTIL[verb])

    return work


if __name__ == "__main__":
    raise SystemExit(main())
