"""Which of the goals for a GPU a table met.

python benchmarks/gpu_goals.py FOLDER        # where benchmarks/gpu_all.sh left table.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def best(rows: list[dict], *, ours: bool) -> float:
    """Return the most images per second of our rows, or of the peers'."""
    return max((row["per_second"] for row in rows if row["ours"] is ours), default=0.0)


def goals(table: dict[str, list[dict]]) -> list[tuple[str, float, float]]:
    """Return each goal, what was reached and what was asked for; 0 is reached where nothing was measured."""
    training, large = table.get("training", []), table.get("training_256", [])
    peers = best(training, ours=False)
    masks = max((1 / row["wall_s"] for row in table.get("segmentation", []) if row["ours"]), default=0.0)
    members = max((row["per_second"] for row in table.get("ensemble", []) if row["ours"]), default=0.0)
    return [
        ("training, batch 64: images/s", best(training, ours=True), 3300.0),
        ("training, batch 256: images/s", best(large, ours=True), 4400.0),
        ("training, batch 64: times the best peer", best(training, ours=True) / peers if peers else 0.0, 2.5),
        ("sampling at 5 steps of 25: images/s x 5/25", best(table.get("sampling", []), ours=True) / 5, 1000.0),
        ("segmentation: training steps/s", masks, 20.0),
        ("segmentation: cases/s with 25 members", members, 60.0),
    ]


def main() -> int:
    """Print one line for each goal."""
    file = Path(sys.argv[1]) / "table.json"
    if not file.is_file():
        print(f"no goal can be judged: there is no {file}")
        return 1
    table = json.loads(file.read_text())
    print(f"on {table['machine']['device']}, size {table['machine']['size']}")
    for name, reached, wanted in goals(table):
        verdict = "not measured" if not reached else "met" if reached >= wanted else "missed"
        print(f"{verdict:12} {name:48} {reached:10.1f} of {wanted:g}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
