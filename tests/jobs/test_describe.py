"""What a recipe's networks cost, told before anything is read."""

import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from meddiff.jobs import describe, job
from meddiff.jobs.describe import Work, cost, costs
from meddiff.jobs.progress import new_console
from meddiff.jobs.run_facts import training_seconds
from meddiff.pipelines import segment, train
from meddiff.recipe import NetworkRecipe, Recipe, SegmentRecipe
from meddiff.run import Run, RunFolder
from meddiff.training.fabric import build_fabric


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


def words_on_time(recipe, monkeypatch, *, seconds: float, gpu: bool = False) -> str:
    """What is printed on a machine that takes so many seconds for each image."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(describe, "seconds_of_an_image", lambda *_: seconds)
    console = new_console(width=300, record=True, file=io.StringIO())
    describe.tell_time(recipe, console)
    return console.export_text()


def test_a_long_training_without_a_gpu_says_beforehand_how_long(monkeypatch):
    small = replace(NetworkRecipe(), channels=(32, 32), attention_levels=0)
    standard = replace(Recipe(dataset="phantom"), network=small)
    images = standard.training.steps * standard.training.batch_size
    for seconds, said in ((30 * 86400 / images, "about 30 days"), (5 * 3600 / images, "about 5 hours"),
                          (3700 / images, "about 1 hour ")):  # fmt: skip
        assert said in words_on_time(standard, monkeypatch, seconds=seconds)
    assert words_on_time(standard, monkeypatch, seconds=3000 / images) == ""
    assert words_on_time(standard, monkeypatch, seconds=1.0, gpu=True) == ""
    several = replace(standard, training=replace(standard.training, accumulate=2))
    assert "about 60 days" in words_on_time(several, monkeypatch, seconds=30 * 86400 / images)


def test_the_time_is_that_of_all_networks_and_no_quick_run_is_asked(monkeypatch):
    recipe = SegmentRecipe(dataset="phantom")
    recipe = replace(recipe, baseline=replace(recipe.baseline, names=("unet",), channels=(8, 16)),
                     network=replace(recipe.network, channels=(8, 16)))  # fmt: skip
    images = recipe.training.steps * recipe.training.batch_size
    assert "about 20 days" in words_on_time(recipe, monkeypatch, seconds=10 * 86400 / images)
    quick = replace(recipe, training=replace(recipe.training, steps=10))
    assert words_on_time(quick, monkeypatch, seconds=1e9) == ""


def test_an_image_is_timed_forward_and_backward():
    network = nn.Conv2d(1, 1, 3)
    calls = []

    def call(net):
        calls.append(1)
        return net(torch.zeros(1, 1, 8, 8))

    assert describe.seconds_of_an_image(network, call, build_fabric(precision="32")) > 0
    assert len(calls) == 2
    assert network.weight.grad is not None


def test_a_plan_says_what_each_stage_takes(monkeypatch):
    """The minutes of a stage are its images times what an image took; a third of that where nothing is learned."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(
        describe, "seconds_of_an_image", lambda network, *_: 16 if isinstance(network, nn.Conv2d) else 1
    )
    monkeypatch.setattr(describe, "PIXELS_AT_ONCE", 1)
    small = replace(NetworkRecipe(), channels=(32, 32), attention_levels=0)
    recipe = replace(Recipe(dataset="phantom"), network=small)
    own = Work("own", learned=60 * 5, build=lambda: nn.Conv2d(3, 1, 1))
    learned, called = Work("unet", learned=60 * 7), Work("unet", called=180 * 4)
    stages = [("train", "a", [learned]), ("draw", "b", [called]), ("own", "c", [own]), ("report", "writing", [])]
    seen = planned(stages, recipe)
    assert [seen[name][-2:] for name in ("train", "draw")] == [["7", "min"], ["4", "min"]]
    assert seen["own"][-2:] == ["80", "min"]
    assert seen["report"][-1] == "writing"
    assert "in all 91 min" in " ".join(seen["in"])


def test_a_plan_of_seconds_says_no_minutes_and_times_nothing(monkeypatch):
    monkeypatch.setattr(describe, "networks", None)
    recipe = Recipe(dataset="phantom")
    recipe = replace(recipe, training=replace(recipe.training, steps=2))
    seen = planned([("train", "learning", [Work("unet", learned=128)])], recipe)
    assert seen["train"] == ["train", "learning"]
    assert "in" not in seen


def planned(stages, recipe) -> dict[str, list[str]]:
    """Words of each line of a plan, by the first of them."""
    console = new_console(width=200, record=True, file=io.StringIO())
    describe.tell_plan(stages, recipe, console)
    lines = [line.replace("│", " ").split() for line in console.export_text().splitlines()]
    return {line[0]: line for line in lines if line}


@pytest.mark.parametrize("kind", job.JOBS)
def test_every_training_is_in_the_plan(kind):
    """Whoever adds a stage that trains says what it asks."""
    run = Run(kind(dataset="phantom"), RunFolder(Path("nowhere")))
    trains = [one for one in job.JOBS[kind].stages if one.name in ("train", "baselines", "autoencoder")]
    learned = {work.network: work.learned for one in trains for work in one.asks(run)}
    images = describe.images_per_step(run.recipe)
    assert learned == {name: steps * images for name, _, _, steps in describe.networks(run.recipe)}


def test_a_run_says_it_before_its_first_stage_and_not_once_it_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "run_stages", lambda *_: None)
    monkeypatch.setattr(job, "tell_time", lambda recipe, console: console.print("so long"))
    recipe = Recipe(dataset="phantom", out=str(tmp_path / "run"))
    for until, record, said in (("train", {}, True), ("manifest", {}, False), ("report", {"train": {}}, False)):
        monkeypatch.setattr(RunFolder, "record", lambda self, record=record: record)
        console = new_console(record=True, file=io.StringIO())
        job.run(recipe, until, console)
        assert ("so long" in console.export_text()) is said


@pytest.mark.parametrize(
    ("main", "words"), [(train.main, ["--dataset", "phantom"]), (segment.main, ["train", "--dataset", "phantom"])]
)
def test_the_commands_print_it_and_do_nothing(main, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--describe"]) == 0
    assert "GFLOP per image" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_the_time_of_a_training_is_read_from_its_log(tmp_path):
    log = tmp_path / "log.csv"
    assert math.isnan(training_seconds(log, 4))
    log.write_text(
        "step,loss,gradient_norm,learning_rate,images_per_second\n10,1,1,1,4.0\n30,1,1,1,8.0\n", encoding="utf-8"
    )
    assert training_seconds(log, 4) == 10 * 4 / 4 + 20 * 4 / 8
