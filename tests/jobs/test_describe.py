"""What a recipe's networks cost, told before anything is read."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from meddiff.jobs.describe import cost, costs
from meddiff.pipelines import segment, train
from meddiff.recipe import Recipe, SegmentRecipe


def test_the_work_of_a_convolution_is_counted_right():
    layer = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    one = cost(layer, lambda network: network(torch.zeros(1, 3, 16, 16)))
    forward = 2 * 8 * 3 * 9 * 16 * 16
    assert (one.weights, one.forward) == (8 * 3 * 9, forward)
    assert one.training == 2 * forward  # the image asks for no gradient


@pytest.mark.parametrize("name", ["unet", "edm2"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_twice_the_side_is_four_or_eight_times_the_work(name, dimensions):
    def forward(side):
        recipe = Recipe(dataset="phantom", dimensions=dimensions)
        network = replace(recipe.network, name=name, channels=(32, 32), attention_levels=0)
        recipe = replace(recipe, network=network, data=replace(recipe.data, image_size=side))
        recipe = replace(recipe, volume=replace(recipe.volume, patch_size=(side,) * 3))
        ((told, one, _),) = costs(recipe)
        assert told == name
        assert one.weights > 10_000
        return one.forward

    ratio = forward(64) / forward(32)
    assert 2**dimensions * 0.95 <= ratio <= 2**dimensions * (1.6 if name == "unet" else 1.05)  # its middle attends


@pytest.mark.parametrize("network", ["twin_unet", "medsegdiff_v1", "medsegdiff_v2", "unet"])
def test_every_network_of_masks_and_every_baseline_is_counted(network):
    recipe = SegmentRecipe(dataset="phantom")
    baselines = replace(recipe.baseline, names=("unet", "dynunet", "segresnet"), channels=(8, 16, 32))
    widths = (32, 32) if network == "unet" else (8, 16)
    recipe = replace(recipe, baseline=baselines, network=replace(recipe.network, name=network, channels=widths))
    counted = costs(replace(recipe, data=replace(recipe.data, image_size=32)))
    assert [name for name, _, _ in counted] == [network, "baseline unet", "baseline dynunet", "baseline segresnet"]
    assert all(2 * one.forward <= one.training <= 4 * one.forward for _, one, _ in counted)


@pytest.mark.parametrize(
    ("main", "words"), [(train.main, ["--dataset", "phantom"]), (segment.main, ["train", "--dataset", "phantom"])]
)
def test_the_commands_print_it_and_do_nothing(main, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--describe"]) == 0
    assert "GFLOP per image" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
