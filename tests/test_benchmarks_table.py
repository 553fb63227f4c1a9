"""The table of benchmarks: what a ratio means, which goals are met; no time is asserted but of cases that sleep."""

import time

import pytest
import torch
from gpu_goals import goals

from benchmarks.table.measure import Case, measured
from benchmarks.table.ours import drawing_cases
from benchmarks.table.peers import why_not
from benchmarks.table.topics import TOPICS


def busy(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_every_case_takes_its_turn_first_and_is_compared_with_the_first():
    order = []

    def case(name, seconds):
        def run():
            order.append(name)
            busy(seconds)

        return Case(name, run, 4, flops=1e6)

    rows = measured([case("a", 0.005), case("b", 0.05)], 4, torch.device("cpu"), peak=1e9)
    assert order == [*"ab", *"ab", *"ba", *"ab", *"ba"]
    assert rows[0].times_first == 1
    assert rows[1].times_first > 3  # ten times the work, whatever else the machine does
    assert all(0 < row.share_of_peak < 1 for row in rows)


def test_what_is_not_installed_is_left_out_with_a_sentence():
    assert why_not("torch") == ""
    assert "is left out: No module named 'no_such_package'" in why_not("no_such_package")


def test_a_goal_is_met_missed_or_not_measured():
    def row(per_second, *, ours):
        return {"per_second": per_second, "wall_s": 1 / per_second, "ours": ours}

    table = {"training": [row(4000, ours=True), row(1000, ours=False)], "ensemble": [row(30, ours=True)]}
    reached = {name: (got, wanted) for name, got, wanted in goals(table)}
    assert reached["training, batch 64: images/s"] == (4000, 3300)
    assert reached["training, batch 64: times the best peer"] == (4, 2.5)
    assert reached["segmentation: cases/s with 25 members"] == (30, 60)
    assert reached["training, batch 256: images/s"][0] == 0  # not measured


def test_every_topic_says_what_it_is():
    assert all((topic.__doc__ or "").strip() for topic in TOPICS.values())


@pytest.mark.parametrize("count", [10**3, 10**5])
def test_a_batch_is_drawn_by_as_many_numbers_whatever_the_data_set(count, monkeypatch):
    import numpy as np

    draw = drawing_cases((count,), 64)[count]
    monkeypatch.setattr(np, "unique", None)  # nothing looks through all labels at a step
    positions = draw()
    assert len(positions) == 64
    assert positions.max() < count
