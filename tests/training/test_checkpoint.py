import hashlib
import json
import resource
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from meddiff.errors import InputError
from meddiff.training import checkpoint
from meddiff.training.facts import Facts
from tests.training import toy


@pytest.fixture(scope="module")
def run():
    trained = toy.Run()
    for _ in trained.train(2):
        pass
    return trained


def test_what_is_saved_is_what_is_loaded(run, tmp_path):
    path = checkpoint.save(tmp_path, 2, run.state, facts=toy.facts(), final=True)
    stored = checkpoint.read(path)
    assert (stored.step, stored.final, stored.facts) == (2, True, Facts.from_dict(toy.facts().to_dict()))
    assert sorted(file.name for file in path.iterdir()) == [
        "checkpoint.json",
        "ema.safetensors",
        "optimizer.safetensors",
        "weights.safetensors",
    ]
    other = toy.Run()
    assert checkpoint.resume(stored, other.state) == 2
    assert all(torch.equal(value, other.tensors()[key]) for key, value in run.tensors().items())
    sampler = toy.denoiser()
    checkpoint.load_weights(stored, sampler.network)
    assert all(torch.equal(value, run.ema.state_dict()[key]) for key, value in sampler.network.state_dict().items())


def test_the_digest_is_that_of_the_averaged_weights(run, tmp_path):
    first = checkpoint.read(checkpoint.save(tmp_path / "a", 2, run.state, facts=toy.facts()))
    second = checkpoint.read(checkpoint.save(tmp_path / "b", 7, run.state, facts=toy.facts(image_size=9)))
    other = toy.Run()
    third = checkpoint.read(checkpoint.save(tmp_path / "c", 2, other.state, facts=toy.facts()))
    assert first.digest == second.digest != third.digest


def test_a_checkpoint_before_the_first_step_can_be_resumed(tmp_path):
    run = toy.Run()
    path = checkpoint.save(tmp_path, 0, run.state, facts=toy.facts())
    assert checkpoint.resume(checkpoint.read(path), toy.Run().state) == 0


def test_two_and_the_final_ones_are_kept_and_leftovers_removed(run, tmp_path):
    (tmp_path / ".step_00000001.0123.part").mkdir()
    for step in range(1, 7):
        checkpoint.save(tmp_path, step, run.state, facts=toy.facts(), final=step == 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000002", "step_00000005", "step_00000006"]
    assert checkpoint.latest(tmp_path) == tmp_path / "step_00000006"


def test_the_same_step_can_be_written_again(run, tmp_path):
    first = checkpoint.save(tmp_path, 2, run.state, facts=toy.facts())
    assert checkpoint.save(tmp_path, 2, run.state, facts=toy.facts(), final=True) == first
    assert checkpoint.read(first).final


def test_half_written_checkpoints_are_ignored(run, tmp_path):
    assert checkpoint.latest(tmp_path / "absent") is None
    path = checkpoint.save(tmp_path, 2, run.state, facts=toy.facts())
    for number, missing in enumerate(path.iterdir()):
        copy = shutil.copytree(path, tmp_path / f"step_0000001{number}")
        (copy / missing.name).unlink()
    (tmp_path / "step_00000099").mkdir()
    shutil.copytree(path, tmp_path / ".step_00000100.ab.part")
    assert checkpoint.latest(tmp_path) == path


def test_a_disk_without_room_loses_nothing(run, tmp_path):
    path = checkpoint.save(tmp_path, 2, run.state, facts=toy.facts())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # the system itself refuses to write on
    try:
        with pytest.raises(InputError, match="Nothing was lost"):
            checkpoint.save(tmp_path, 3, run.state, facts=toy.facts())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == [path]
    assert checkpoint.resume(checkpoint.read(path), toy.Run().state) == 2


@pytest.mark.parametrize("name", ["weights.safetensors", "ema.safetensors", "optimizer.safetensors"])
def test_a_damaged_file_is_found_before_it_is_used(run, tmp_path, name):
    path = checkpoint.save(tmp_path, 2, run.state, facts=toy.facts())
    content = bytearray((path / name).read_bytes())
    content[-1] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} is missing or damaged: delete .*step_00000002"):
        checkpoint.resume(checkpoint.read(path), toy.Run().state)


def test_a_damaged_index_is_a_sentence(run, tmp_path):
    path = checkpoint.save(tmp_path, 2, run.state, facts=toy.facts())
    index = path / "checkpoint.json"
    index.write_text(index.read_text()[:50])
    with pytest.raises(InputError, match=r"checkpoint\.json is damaged .* delete"):
        checkpoint.read(path)
    with pytest.raises(InputError, match=r"is no checkpoint: it has no checkpoint\.json"):
        checkpoint.read(tmp_path)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"class_names": ("left", "right")}, r"class names: \['left', 'middle', 'right'\] in the checkpoint, \['left'"),
        ({"image_size": 64}, "image size: 8 in the checkpoint, 64 here"),
        ({"channels": 3}, "channels: 1 in the checkpoint, 3 here"),
        ({"prediction": "eps"}, "prediction: v in the checkpoint, eps here"),
        ({"schedule": "linear"}, "schedule: cosine in the checkpoint, linear here"),
        ({"timesteps": 50}, "timesteps: 100 in the checkpoint, 50 here"),
        ({"schedule_digest": toy.other_schedule()}, "schedule digest"),
        ({"data_range": (0.0, 1.0)}, r"data range: \[-1.0, 1.0\] in the checkpoint, \[0.0, 1.0\] here"),
        (
            {"network": {"name": "unet"} | toy.NETWORK | {"channels": (32, 64)}},
            r"network.channels: \[16, 32\] in the checkpoint, \[32, 64\] here",
        ),
        ({"network": {"name": "unet"}}, "network.residual blocks: 1 in the checkpoint, nothing here"),
    ],
)
def test_a_checkpoint_of_another_set_up_is_refused_with_the_difference(run, tmp_path, changed, sentence):
    stored = checkpoint.read(checkpoint.save(tmp_path, 2, run.state, facts=toy.facts()))
    checkpoint.check(stored, toy.facts(recipe={"seed": 9}, manifest_sha256="0", versions={}))  # for the record only
    with pytest.raises(InputError, match=sentence):
        checkpoint.check(stored, toy.facts(**changed))


def test_going_on_needs_the_same_data_and_settings_but_for_the_cures(run, tmp_path):
    def recipe(**training):
        return {"seed": 1, "data": {"cache": "a"}, "training": {"batch_size": 8, "learning_rate": 1.0} | training}

    path = checkpoint.save(tmp_path, 2, run.state, facts=toy.facts(recipe=recipe(), manifest_sha256="m"))
    stored = checkpoint.read(path)
    checkpoint.check(stored, toy.facts(recipe=recipe(learning_rate=0.1), manifest_sha256="m"), resuming=True)
    checkpoint.check(stored, toy.facts(recipe=recipe() | {"data": {"cache": "b"}}, manifest_sha256="m"), resuming=True)
    checkpoint.check(stored, toy.facts(recipe=recipe() | {"dataset": "other"}, manifest_sha256="m"), resuming=True)
    for changed, sentence in [
        (
            {"recipe": recipe(batch_size=9), "manifest_sha256": "m"},
            "recipe.training.batch size: 8 in the checkpoint, 9",
        ),
        ({"recipe": recipe() | {"seed": 2}, "manifest_sha256": "m"}, r"recipe.seed: 1 in the checkpoint, 2 here"),
        ({"recipe": recipe(), "manifest_sha256": "n"}, "manifest sha256: m in the checkpoint, n here"),
    ]:
        checkpoint.check(stored, toy.facts(**changed))
        with pytest.raises(InputError, match=sentence):
            checkpoint.check(stored, toy.facts(**changed), resuming=True)


def test_a_setting_that_is_no_more_does_not_stop_training_from_going_on(run, tmp_path):
    former = toy.facts(recipe={"seed": 1, "diffusion": {"schedule": "cosine", "condition_dropout": 0.1}})
    stored = checkpoint.read(checkpoint.save(tmp_path, 2, run.state, facts=former))
    checkpoint.check(stored, toy.facts(recipe={"seed": 1, "diffusion": {"schedule": "cosine"}}), resuming=True)
    with pytest.raises(InputError, match=r"recipe\.diffusion\.schedule: cosine in the checkpoint, linear here"):
        checkpoint.check(stored, toy.facts(recipe={"seed": 1, "diffusion": {"schedule": "linear"}}), resuming=True)


def test_weights_of_another_network_are_refused(run, tmp_path):
    stored = checkpoint.read(checkpoint.save(tmp_path, 2, run.state, facts=toy.facts()))
    with pytest.raises(InputError, match=r"does not fit the network: .*; .* and \d+ more"):
        checkpoint.load_weights(stored, toy.denoiser(channels=(32, 32)).network)


def test_weights_from_before_a_network_counted_its_groups_are_loaded_with_the_groups_of_then(run, tmp_path):
    path = checkpoint.save(tmp_path, 2, run.state, facts=toy.facts())
    tensors = load_file(path / "ema.safetensors")
    del tensors["group_channels"]
    save_file(tensors, path / "ema.safetensors")
    index = json.loads((path / "checkpoint.json").read_text())
    index["sha256"]["ema.safetensors"] = hashlib.sha256((path / "ema.safetensors").read_bytes()).hexdigest()
    (path / "checkpoint.json").write_text(json.dumps(index))
    network = toy.denoiser().network
    checkpoint.load_weights(checkpoint.read(path), network)
    assert network.group_channels == 1


def test_the_facts_of_another_version_are_refused(run, tmp_path):
    path = checkpoint.save(tmp_path, 2, run.state, facts=toy.facts())
    index = json.loads((path / "checkpoint.json").read_text())
    index["facts"]["flavor"] = "new"
    del index["facts"]["prediction"]
    (path / "checkpoint.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="another version of meddiff: fields that differ: flavor, prediction"):
        checkpoint.read(path)
