"""The figures of a segmentation run (`segment evaluate` or `segment test`) as text to be kept.

python benchmarks/segmentation_run.py RUN > benchmarks/results/NAME.txt
"""

import json
import sys
from pathlib import Path

import pandas as pd

AREAS = {"": "aurc", "at best": "aurc_best", "at random": "aurc_random"}


def span(line: dict, digits: int = 4, sign: str = "") -> str:
    """``[low, high]``."""
    return f"[{line['low']:{sign}.{digits}f}, {line['high']:{sign}.{digits}f}]"


def main(run: Path) -> None:
    """Print Dice with its interval, failures, calibration and failure detection of every model, then differences."""
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    cases = pd.read_csv(run / "cases.csv", dtype={"case": str, "patient": str}, keep_default_na=False)
    print(report["headline"], end="\n\n")
    for (class_name, model), own in cases.groupby(["class_name", "model"], sort=False):
        line = next(
            line for line in report["summary"]
            if (line["metric"], line["class_name"], line["model"]) == ("dice", class_name, model)
        )  # fmt: skip
        print(f"{model}, {class_name}: n = {len(own)} of {own['patient'].nunique()} patients or lesions")
        print(f"    Dice {line['mean']:.4f} {span(line)}, median {line['median']:.4f}, IoU {own['iou'].mean():.4f}")
        under, nll, brier = (own["dice"] < 0.8).mean(), own["nll"].mean(), own["brier"].mean()
        print(f"    under 0.8: {under:.1%}; NLL {nll:.4f}, Brier {brier:.4f}")
    print()
    for line in report["calibration_errors"]:
        print(f"{line['model']}: expected calibration error {line['ece']:.4f}, class-wise {line['classwise_ece']:.4f}")
    for line in report["uncertainty"]:
        print(f"{line['model']}: AUROC of 'Dice < 0.8' by uncertainty {line['auroc']:.3f} {span(line, 3)}")
        areas = (f"{what} {line[key]:.4f}".strip() for what, key in AREAS.items())
        print(f"    area under the risk-coverage curve {', '.join(areas)}")
    print()
    for line in report["differences"]:
        what = f"{line['model']} minus {line['against']}, {line['class_name']}, {line['metric']}"
        print(f"{what}: {line['difference']:+.4f} {span(line, 4, '+')}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
