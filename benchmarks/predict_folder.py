"""A folder of pictures by `segment predict`: images one by one against several to a network call, in one process.

OMP_NUM_THREADS=1 python benchmarks/predict_folder.py --input FOLDER --rounds 3
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from meddiff.inference import segmenters
from meddiff.pipelines import segment


def main() -> None:
    """Print cases per processor second of both, and the median of the paired ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    most = segmenters.MOST_AT_ONCE
    rates: dict[int, list[float]] = {1: [], most: []}
    with tempfile.TemporaryDirectory() as name:
        cases_per_s(given.input, Path(name) / "first", most)  # what is imported and tried once
        for number in range(given.rounds):
            for at_once in (1, most) if number % 2 else (most, 1):
                rates[at_once].append(cases_per_s(given.input, Path(name) / f"{number}-{at_once}", at_once))
    ratios = [many / one for one, many in zip(rates[1], rates[most], strict=True)]
    for at_once, some in rates.items():
        print(f"at most {at_once} to a call: {statistics.median(some):.1f} cases per CPU s")
    print(f"ratio, median of {given.rounds} rounds: {statistics.median(ratios):.2f}")


def cases_per_s(folder: str, out: Path, at_once: int) -> float:
    """Segment a folder, so many images to a call at most; returns cases per processor second."""
    segmenters.MOST_AT_ONCE = at_once
    began = time.process_time()
    assert segment.main(["predict", "--input", folder, "--output", str(out), "--save_overlays", "false"]) == 0
    seconds = time.process_time() - began
    return len(list(out.glob("*_mask.png"))) / seconds


if __name__ == "__main__":
    main()
