"""Two CPU processes with gloo do one step together."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.times import LossAwareTimes
from meddiff.training.fabric import build_fabric, prepare
from tests.training import toy


def work(fabric, folder, by_losses):
    """What each process does; only files leave it."""
    torch.set_num_threads(1)
    how = {"T": 4, "times": LossAwareTimes(4)} if by_losses else {}
    run = toy.Run(fabric=fabric, batches=lambda step, micro: toy.batches(step, 10 * fabric.global_rank + micro), **how)
    steps = list(run.train(3, accumulate=2))
    if fabric.is_global_zero:  # one process draws samples from the average, the other does not wait for it
        averaged = prepare(Denoiser(run.ema.network, run.denoiser.schedule, run.denoiser.prediction), fabric)
        averaged(torch.zeros(1, 1, 8, 8), torch.tensor([4]), Condition())
    losses = {"losses": torch.stack([step.loss for step in steps])}
    save_file(run.tensors() | losses, folder / f"{fabric.global_rank}.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("by_losses", [False, True])
def test_two_processes_keep_the_same_weights_and_see_different_images(tmp_path, by_losses):
    fabric = build_fabric(devices=2, precision="32", accelerator="cpu")
    fabric.launch(work, tmp_path, by_losses)
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    losses = first.pop("losses"), second.pop("losses")
    assert all(torch.equal(first[key], second[key]) for key in first)
    if by_losses:
        assert first["losses.seen"].sum() == 2 * 3 * 2 * 16, "processes, steps, micro-batches, images"
    assert (losses[0] != losses[1]).all()
    alone = toy.Run(batches=toy.batches)
    for _ in alone.train(3, accumulate=2):
        pass
    assert not torch.equal(
        first["weights.body.conv_in.conv.weight"], alone.tensors()["weights.body.conv_in.conv.weight"]
    )
