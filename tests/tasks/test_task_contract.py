"""Every task keeps the contract of a task, and says which rows it can use."""

from dataclasses import replace

import pytest
import torch

from meddiff import build
from meddiff.batches.batch import Batch
from meddiff.manifest.row import blank_row
from meddiff.tasks.segment import one_hot
from tests.contracts import check_task

IMAGE = torch.rand(4, 3, 6, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
MASK = torch.randint(0, 3, (4, 1, 6, 5), generator=torch.Generator().manual_seed(1))
BATCH = Batch(image=IMAGE, label=torch.tensor([0, 1, 1, 0]), mask=MASK, index=torch.arange(4))
TRUTHS = {
    "generate": IMAGE, "segment": one_hot(MASK[:, 0], 3),
    "pair": torch.cat([IMAGE, (MASK & 1) * 2.0 - 1, (MASK >> 1) * 2.0 - 1], 1), "low_resolution": IMAGE, "hole": IMAGE,
    "mask": IMAGE, "sequences": IMAGE[:, 1:],
}  # fmt: skip
MADE = {
    "pair": {"channels": 3, "num_classes": 3}, "generate": {"channels": 3}, "segment": {"num_classes": 3, "scale": 0.5},
    "low_resolution": {"channels": 3, "factor": 2, "axes": (0,)}, "hole": {"channels": 3},
    "mask": {"channels": 3, "num_classes": 3}, "sequences": {"given": (0,), "chosen": (1, 2)},
}  # fmt: skip


@pytest.mark.parametrize("name", build.TASKS)
def test_every_task_keeps_the_contract(name):
    check_task(build.TASKS[name](**MADE[name]), BATCH, TRUTHS[name])


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [("generate", "label", "nevus"), ("segment", "mask_path", "m.png"), ("mask", "mask_path", "m.png")],
)
def test_a_row_without_what_a_task_learns_is_not_usable(name, column, value, tmp_path):
    task, row = build.TASKS[name](**MADE[name]), blank_row("a", "a.png", tmp_path)
    assert f"no {column.removesuffix('_path')}" in task.usable(row)
    assert task.usable(replace(row, **{column: value})) is None
