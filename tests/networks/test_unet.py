import pytest
import torch

from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.networks.initialization import seeded
from meddiff.networks.unet import ConditionalUNet
from tests.contracts import check_network, check_told_attributes, heard, wake


def tiny(in_channels=2, out_channels=2, **settings):
    settings = {"channels": (8, 16), "residual_blocks": 1, "attention_levels": 1, "head_channels": 4} | settings
    with seeded(0):
        return ConditionalUNet(in_channels, out_channels, **settings)


@pytest.mark.parametrize("patch_size", [1, 2])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_contract(spatial_dims, patch_size):
    check_network(lambda *args, **kwargs: tiny(*args, patch_size=patch_size, **kwargs), spatial_dims=spatial_dims)


@pytest.mark.parametrize("channels", [(32, 32), (64, 32), (32, 48, 96), (36, 12)])
def test_what_is_told_is_heard_at_every_width(channels):
    """With one channel in a group, its norm takes off again whatever the embedding adds to that channel."""
    wide = {"channels": channels, "attention_levels": 0}
    check_network(lambda *args, **kwargs: tiny(*args, **wide, **kwargs))
    check_told_attributes(lambda *args, **kwargs: tiny(*args, **wide, **kwargs))


def test_weights_of_former_groups_keep_their_function():
    """A state without ``group_channels`` was trained with gcd(32, *channels) groups everywhere."""
    network, x, t = tiny(channels=(32, 32), num_classes=2), torch.randn(2, 2, 8, 8), torch.tensor([3, 700])
    wake(network)
    told = Condition(label=torch.tensor([0, 1]))
    now = network(x, t, told)
    stored = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(stored | dict(network.OLDER))
    assert {norm.num_groups for norm in network.modules() if isinstance(norm, torch.nn.GroupNorm)} == {32}
    assert not heard(network(x, t, told), network(x, t, Condition(label=torch.tensor([1, 0])))).all()
    assert heard(network(x, t, told), now).all()
    network.load_state_dict(stored)
    assert torch.equal(network(x, t, told), now)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_attributes_are_heard(spatial_dims):
    check_told_attributes(tiny, spatial_dims=spatial_dims)


def test_a_fresh_network_says_zero():
    output = tiny(num_classes=2)(torch.randn(2, 2, 8, 8), torch.tensor([1, 9]), Condition(label=torch.tensor([0, 1])))
    assert not output.any()


def test_t_is_handed_to_monai_one_less():
    network = tiny()
    seen = []
    network.body.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["timesteps"]), with_kwargs=True)
    network(torch.randn(2, 2, 8, 8), torch.tensor([1, 1000]), Condition())
    assert seen[0].tolist() == [0, 999]


def test_attention_is_only_where_it_is_asked_for_and_in_the_middle():
    levels = [bool(getattr(block, "attentions", ())) for block in tiny(channels=(8, 8, 8)).body.down_blocks]
    assert levels == [False, False, True]
    network = tiny(attention_levels=0)
    assert [name for name, module in network.named_modules() if type(module).__name__ == "SelfAttention"] == [
        "body.middle_block.attention.attn"
    ]


def test_fused_attention_is_the_same_function():
    network = tiny()
    wake(network)
    x, t = torch.randn(2, 2, 16, 16), torch.tensor([3, 700])
    with torch.no_grad():
        fused = network(x, t, Condition())
    torch.testing.assert_close(fused, network(x, t, Condition()).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("label", [3, -2])
def test_a_label_outside_the_classes_is_an_error_not_the_null_class(label):
    with pytest.raises(IndexError):
        tiny(num_classes=3)(torch.randn(1, 2, 8, 8), torch.tensor([1]), Condition(label=torch.tensor([label])))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"channels": ()}, "at least one level"),
        ({"attention_levels": 3}, "coarsest of 2 levels, got 3"),
        ({"head_channels": 5}, r"head_channels=5 must divide .* \[16\]"),
        ({"head_channels": 16, "attention_levels": 2}, r"does not divide \[8\]"),
        ({"head_channels": 32, "attention_levels": 0}, r"middle block .* \[16\]"),
        ({"patch_size": 0}, "patch_size must be at least 1"),
        ({"spatial_dims": 1}, "2 .* or 3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        tiny(**settings)


def test_conditions_that_it_cannot_hear_are_refused():
    x, t = torch.randn(1, 2, 8, 8), torch.tensor([1])
    for condition, sentence in [
        (Condition(label=torch.tensor([0])), "built without classes"),
        (Condition(image=torch.zeros(1, 1, 8, 8)), "image of 0 channels, got 1"),
        (Condition(context=torch.zeros(1, 1, 8)), "context"),
    ]:
        with pytest.raises(InputError, match=sentence):
            tiny()(x, t, condition)
    with pytest.raises(InputError, match="image of 1 channels, got 0"):
        tiny(condition_channels=1)(x, t, Condition())


def test_seeded_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first, second = tiny(), tiny()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
