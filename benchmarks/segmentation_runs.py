"""One model of several segmentation runs on the same test cases: its Dice in each, and its gain over the first run.

python benchmarks/segmentation_runs.py NAME=RUN NAME=RUN ... [--model diffusion]
"""

import argparse
from pathlib import Path

import pandas as pd

from meddiff.evaluation.masks.summary import paired_mask_differences, summary


def cases_of(runs: dict[str, Path], model: str) -> pd.DataFrame:
    """The rows of one model, which is called by its run's name."""
    tables = [pd.read_csv(run / "cases.csv", keep_default_na=False).assign(run=name) for name, run in runs.items()]
    cases = pd.concat(tables, ignore_index=True)
    return cases.loc[cases["model"] == model].assign(model=lambda rows: rows["run"])


def span(line: dict, sign: str = "") -> str:
    """``[low, high]``."""
    return f"[{line['low']:{sign}.4f}, {line['high']:{sign}.4f}]"


def main(runs: dict[str, Path], model: str) -> None:
    """Print both tables."""
    cases = cases_of(runs, model)
    for line in summary(cases).to_dict("records"):
        if line["metric"] == "dice":
            what = f"{line['model']}, {line['class_name'] or 'mean of the classes'}"
            print(f"{what}: Dice {line['mean']:.4f} {span(line)}, median {line['median']:.4f}, n = {line['n_cases']}")
    print()
    first, *others = runs
    for line in paired_mask_differences(cases, others, first).to_dict("records"):
        what = f"{line['model']} minus {first}, {line['class_name'] or 'mean of the classes'}"
        print(f"{what}: {line['difference']:+.4f} {span(line, '+')}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--model", default="diffusion")
    settings = parser.parse_args()
    pairs = [told.partition("=") for told in settings.runs]
    main({name: Path(run) for name, _, run in pairs}, settings.model)
