"""What grows with the number of images, counted in calls: no more per image of many than of few."""

import sys
from contextlib import contextmanager

import numpy as np
import pytest

from meddiff.batches import order as orders
from meddiff.batches.order import Order
from meddiff.evaluation.images import measures
from meddiff.manifest.split import assign_splits
from meddiff.manifest.table import read_manifest
from meddiff.metrics.images import diversity


@contextmanager
def counted_calls():
    """Count the calls of Python functions meanwhile, in a list of one number."""
    calls = [0]

    def count(_frame, event: str, _argument: object) -> None:
        calls[0] += event == "call"

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def calls_of(work) -> int:
    work()  # what is imported or worked out once
    with counted_calls() as calls:
        work()
    return calls[0]


def manifest_of(folder, count: int):
    lines = [f"r{n},x,p{n // 3},images/{n % 10}/{n}.png,{'abc'[n // 3 % 3]},real" for n in range(count)]
    path = folder / f"{count}.csv"
    path.write_text("\n".join(["row_id,dataset,patient_id,image_path,label,source", *lines, ""]))
    return path


def test_a_row_of_a_manifest_costs_the_same_among_many_and_little(tmp_path):
    """A million rows are read and split in a minute: 39 calls a row; where each made several paths it was 154."""
    few, many = manifest_of(tmp_path, 300), manifest_of(tmp_path, 1200)
    read = [calls_of(lambda path=path: read_manifest(path, check_files=False)) for path in (few, many)]
    assert (read[1] - read[0]) / 900 < 30
    rows = [read_manifest(path, check_files=False) for path in (few, many)]
    split = [calls_of(lambda some=some: assign_splits(some)) for some in rows]
    assert (split[1] - split[0]) / 900 < 25


@pytest.mark.parametrize("class_balance", [0.0, 0.5])
def test_a_batch_costs_the_same_of_few_images_and_of_many(class_balance, monkeypatch):
    monkeypatch.setattr(np, "unique", lambda *_, **__: pytest.fail("all labels were looked through for one batch"))
    labels = {count: np.arange(count) % 3 for count in (1_000, 100_000)}
    edges = {count: np.cumsum(np.full(count, 1 / count)) for count in labels}
    monkeypatch.setattr(orders, "_edges", lambda kinds, _: edges[len(kinds)])
    made = {count: Order(kinds, class_balance=class_balance) for count, kinds in labels.items()}
    calls = [calls_of(lambda one=one: one.positions(7, batch_size=8, seed=3)) for one in made.values()]
    assert calls[0] == calls[1]


def test_pairs_that_are_compared_are_as_many_of_few_images_as_of_many(monkeypatch):
    compared = []
    monkeypatch.setattr(
        diversity, "structural_similarity",
        lambda first, second, **_: compared.append(len(first)) or np.zeros(len(first)),
    )  # fmt: skip
    for count in (20, 2000):
        compared.clear()
        images = np.zeros((count, 1, 16, 16), np.float32)
        diversity.similarity_of_pairs(images, np.random.default_rng(0), data_range=2.0, pairs=measures.PAIRS)
        assert sum(compared) == measures.PAIRS
        assert max(compared) <= diversity.AT_ONCE
