import pytest
import torch

from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.networks.medsegdiff import v1
from meddiff.networks.medsegdiff.v1 import AttentiveFusion, MedSegDiffV1
from tests.networks import segmentation as check

FORMS = [{}, {"recurrent_condition": True}, {"patch_size": 2}, {"fused_levels": (1,), "ff_parser": False}]


def tiny(*args, **settings):
    return check.built(MedSegDiffV1, *args, **settings)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(("spatial_dims", "size"), [(rank, size) for rank in (2, 3) for size in check.AWKWARD[rank]])
def test_hears_everything_at_any_size(form, spatial_dims, size):
    network = tiny(spatial_dims=spatial_dims, **form)
    check.check_hears_everything(network, size)
    check.check_encodes_once(network, size)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(("spatial_dims", "size"), [(2, (17, 12)), (3, (17, 8, 9))])
def test_every_parameter_learns(form, spatial_dims, size):
    check.check_every_parameter_learns(tiny(spatial_dims=spatial_dims, **form), size)


@pytest.mark.parametrize("form", FORMS[:2], ids=str)
def test_half_precision(form):
    check.check_half_precision(tiny(**form), (18, 15))


def test_a_fresh_network_says_zero():
    x_t, t, image = check.inputs((8, 8))
    assert not tiny(awake=False)(x_t, t, Condition(image=image)).any()


def test_channels_of_input_output_and_classes_are_free():
    network = tiny(4, 7, mask_classes=5)
    x_t, t, image = check.inputs((9, 9), channels=4)
    assert network(x_t, t, Condition(image=image)).shape == (3, 7, 9, 9)


def test_what_it_cannot_hear_is_refused():
    check.check_refusals(tiny(), build=tiny)
    with pytest.raises(InputError, match=r"fused_levels must be among 0..2, got \[3\]"):
        tiny(fused_levels=(3,))


@pytest.mark.parametrize(
    "switched",
    [
        {"recurrent_condition": True},
        {"ff_parser": False},
        {"fused_levels": ()},
        {"fused_levels": (0, 1)},
        {"condition_blocks": 1},
    ],
    ids=str,
)
def test_each_switch_matters(switched):
    check.check_switch(tiny, **switched)


def test_fusion_is_the_equation_of_the_paper():
    fusion = AttentiveFusion(4, spatial_dims=2, ff_parser=False)
    image, mask = torch.randn(2, 4, 5, 6, dtype=torch.float64), torch.randn(2, 4, 5, 6, dtype=torch.float64)

    def normalized(x):
        flat = x.flatten(1)
        return ((flat - flat.mean(1, True)) / flat.std(1, correction=0, keepdim=True)).view_as(x)

    expected = normalized(image) * normalized(mask) * image
    torch.testing.assert_close(fusion.double()(image, mask), expected, rtol=1e-4, atol=1e-4)


def test_the_encoder_runs_once_per_image_and_not_in_the_steps():
    network = tiny()
    x_t, t, image = check.inputs((16, 16))
    calls = []
    for module in network.image_encoder.modules():
        module.register_forward_hook(lambda module, *_: calls.append(module))
    encoded = network.encode(Condition(image=image))
    assert calls
    calls.clear()
    network(x_t, t, encoded)
    assert not calls


def test_it_learns():
    with torch.random.fork_rng():
        first, last = check.losses(tiny(1, 1, awake=False, channels=(16, 32)))
    assert last < first / 2


def test_about_22_million_weights_are_one_choice():
    with torch.device("meta"):
        network = MedSegDiffV1(1, 1, condition_channels=3, mask_classes=2, channels=(32, 64, 128, 256, 384))
    assert 20e6 < check.weights(network) < 23e6
    stated = (
        f"{check.weights(network) / 1e6:.1f} M weights, of which {check.weights(network.image_encoder) / 1e6:.1f} M"
    )
    assert stated in " ".join(v1.__doc__.split())
