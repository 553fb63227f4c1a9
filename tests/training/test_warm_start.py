"""A network that begins with another's weights keeps what the two share, to the bit, and says what is new."""

from dataclasses import replace

import pytest
import torch

from meddiff import build
from meddiff.batches.image_attributes import learned_from
from meddiff.errors import InputError
from meddiff.recipe import DiffusionRecipe, NetworkRecipe, Recipe
from meddiff.training.facts import Facts
from meddiff.training.inherited.warm_start import begin_with, check_alike
from tests.contracts import wake

ATTRIBUTES = learned_from(["age_years"], [{"age_years": 20.0}, {"age_years": 60.0}])


def model(*, name="unet", classes=("a", "b", "c"), channels=1, seed=0, attributes=None, **diffusion):
    settings = NetworkRecipe(name=name, channels=(16, 32), residual_blocks=1, attention_levels=1, head_channels=16)
    recipe = Recipe(seed=seed, network=settings, diffusion=DiffusionRecipe(**diffusion))
    return build.new_model(recipe, build.DIFFUSION, channels, classes, *([attributes] if attributes else []))


def begun(source, target):
    wake(source.network)
    stored = {name: tensor.clone() for name, tensor in source.network.state_dict().items()}
    return begin_with(target.network, stored, source.facts, target.facts), stored, target.network.state_dict()


@pytest.mark.parametrize("name", build.NETWORKS)
def test_of_the_same_set_up_every_weight_is_kept_to_the_bit(name):
    shares, stored, own = begun(model(name=name), model(name=name, seed=1))
    assert all(torch.equal(own[key], tensor) for key, tensor in stored.items())
    assert [share.where for share in shares] == ["kept: all else", "kept: class: a, b, c"]


@pytest.mark.parametrize("name", build.NETWORKS)
def test_classes_go_by_their_names(name):
    target = model(name=name, classes=("c", "d"), seed=1)
    fresh = {key: tensor.clone() for key, tensor in target.network.state_dict().items()}
    shares, stored, own = begun(model(name=name), target)
    table, axis, first = target.network.LABELS
    there, here, new = (tensors[table].movedim(axis, 0) for tensors in (stored, own, fresh))
    assert torch.equal(here[:first], there[:first]), "what stands for no class is kept"
    assert torch.equal(here[first], there[first + 2])
    assert torch.equal(here[first + 1], new[first + 1])
    rest = [key for key in stored if key != table]
    assert all(torch.equal(own[key], stored[key]) for key in rest)
    assert {share.where for share in shares} >= {"kept: class: c", "new: class: d"}


def test_other_channels_and_attributes_are_new_with_their_reason():
    target = model(channels=3, attributes=ATTRIBUTES, seed=1)
    shares, _, _ = begun(model(), target)
    why = {share.where.removeprefix("new: "): share.why for share in shares if share.where.startswith("new: ")}
    assert why["body.conv_in.conv.weight"] == "[16, 1, 3, 3] there, [16, 3, 3, 3] here"
    assert why["body.class_embedding.attributes.weight"] == "missing there"
    assert sum(share.numbers for share in shares) == sum(one.numel() for one in target.network.state_dict().values())
    other = learned_from(["age_years"], [{"age_years": 0.0}, {"age_years": 90.0}])
    shares, _, _ = begun(model(attributes=other), model(attributes=ATTRIBUTES, seed=1))
    assert [share.why for share in shares if share.where.startswith("new: ")] == ["other attributes"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "edm2"}, "network.name edm2 .here unet."),
        ({"prediction": "eps"}, "diffusion.prediction eps .here v."),
        ({"schedule": "linear"}, "diffusion.schedule linear .here cosine."),
        ({"timesteps": 100}, "diffusion.timesteps 100 .here 1000."),
    ],
)
def test_weights_of_another_network_are_refused(change, sentence):
    with pytest.raises(InputError, match=sentence):
        check_alike(model(**change).facts, model().facts, "runs/a")
    check_alike(model(classes=("z",), channels=3, attributes=ATTRIBUTES).facts, model().facts, "runs/a")


def test_facts_name_the_weights_only_where_there_are_any():
    plain = model().facts
    assert "fine_tuned_from" not in plain.to_dict()
    tuned = replace(plain, fine_tuned_from="abc")
    assert Facts.from_dict(tuned.to_dict()) == tuned
    assert Facts.from_dict(plain.to_dict()).fine_tuned_from == ""


def test_nothing_that_fits_is_refused():
    target = model(seed=1)
    with pytest.raises(InputError, match="not a single weight"):
        begin_with(target.network, {}, model().facts, target.facts)
