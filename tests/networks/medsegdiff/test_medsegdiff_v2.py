import pytest
import torch
from scipy.ndimage import gaussian_filter

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import WithCoarse
from meddiff.errors import InputError
from meddiff.networks.medsegdiff import v2
from meddiff.networks.medsegdiff.v2 import AnchorAttention, GaussianSmoothing, MedSegDiffV2
from tests.networks import segmentation as check

FORMS = [
    {},
    {"patch_size": 2},
    {"anchor": False},
    {"ss_former_blocks": 0, "uncertain_anchor": False},
    {"ss_former_blocks": 1, "band_pass": False},
]


def tiny(*args, **settings):
    return check.built(MedSegDiffV2, *args, **settings)


@pytest.mark.parametrize("form", FORMS[:2], ids=str)
@pytest.mark.parametrize(("spatial_dims", "size"), [(rank, size) for rank in (2, 3) for size in check.AWKWARD[rank]])
def test_hears_everything_at_any_size(form, spatial_dims, size):
    network = tiny(spatial_dims=spatial_dims, **form)
    check.check_hears_everything(network, size)
    check.check_encodes_once(network, size)


@pytest.mark.parametrize("form", FORMS[2:], ids=str)
def test_every_form_hears_everything(form):
    check.check_hears_everything(tiny(**form), (16, 9))
    check.check_encodes_once(tiny(**form), (16, 9))


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(("spatial_dims", "size"), [(2, (17, 12)), (3, (17, 8, 9))])
def test_every_parameter_learns(form, spatial_dims, size):
    check.check_every_parameter_learns(tiny(spatial_dims=spatial_dims, **form), size)


def test_half_precision():
    check.check_half_precision(tiny(), (18, 15))


def test_a_fresh_network_says_zero_and_a_coarse_mask():
    x_t, t, image = check.inputs((8, 8))
    output = tiny(awake=False)(x_t, t, Condition(image=image))
    assert isinstance(output, WithCoarse)
    assert not output.output.any()
    assert output.coarse.std() > 0


@pytest.mark.parametrize("patch_size", [1, 2])
def test_the_coarse_mask_is_that_of_the_image_alone(patch_size):
    network = tiny(4, 7, mask_classes=5, patch_size=patch_size)
    x_t, t, image = check.inputs((9, 11), channels=4)
    with torch.no_grad():
        output, coarse = network(x_t, t, Condition(image=image))
        assert output.shape == (3, 7, 9, 11)
        assert coarse.shape == (3, 5, 9, 11)
        assert torch.equal(coarse, network(-x_t, t + 7, Condition(image=image)).coarse)
        assert torch.equal(coarse, network.encode(Condition(image=image)).features["coarse"])
        assert check.differs(coarse, network(x_t, t, Condition(image=-image)).coarse)


def test_what_it_cannot_hear_is_refused():
    check.check_refusals(tiny(), build=tiny)
    for settings, sentence in [
        ({"anchor": False, "ss_former_blocks": 0}, "nothing tells the image"),
        ({"ss_former_blocks": -1}, "ss_former_blocks must be 0"),
        ({"mask_classes": 0}, "mask_classes"),
    ]:
        with pytest.raises(InputError, match=sentence):
            tiny(**settings)


@pytest.mark.parametrize(
    "switched",
    [
        {"anchor": False},
        {"uncertain_anchor": False},
        {"ss_former_blocks": 0},
        {"ss_former_blocks": 1},
        {"band_pass": False},
        {"condition_blocks": 2},
    ],
    ids=str,
)
def test_each_switch_matters(switched):
    check.check_switch(tiny, **switched)


def test_the_smoothing_is_a_gaussian_that_keeps_constants():
    smoothing = GaussianSmoothing(2, spatial_dims=2)
    with torch.no_grad():
        smoothing.log_deviation.fill_(0.0)
    x = torch.randn(1, 2, 12, 9)
    expected = gaussian_filter(x.numpy(), 1.0, axes=(2, 3), mode="nearest", radius=v2.GAUSSIAN_RADIUS)
    torch.testing.assert_close(smoothing(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    for size in ((1, 1), (1, 5)):
        torch.testing.assert_close(smoothing(torch.full((1, 2, *size), 3.0)), torch.full((1, 2, *size), 3.0))


def test_the_anchor_is_the_equation_of_the_paper():
    attention = AnchorAttention(2, spatial_dims=3, uncertain=True)
    decoded = torch.randn(2, 2, 4, 5, 6)
    stronger = torch.maximum(attention.smoothing(decoded), decoded)
    weight, bias = attention.reduction.weight[0, :, 0, 0, 0], attention.reduction.bias
    expected = 1 / (1 + torch.exp(-((weight.view(-1, 1, 1, 1) * stronger).sum(1, keepdim=True) + bias)))
    torch.testing.assert_close(attention(decoded), expected)
    assert attention(decoded).shape == (2, 1, 4, 5, 6)


def test_the_condition_model_runs_once_per_image_and_not_in_the_steps():
    network = tiny()
    x_t, t, image = check.inputs((16, 16))
    calls = []
    for module in [*network.condition_model.modules(), *network.anchor.modules()]:
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
        network = MedSegDiffV2(1, 1, condition_channels=3, mask_classes=2, channels=(32, 64, 128, 256, 320))
    assert 20e6 < check.weights(network) < 23e6
    inner = check.weights(network.condition_model)
    stated = f"{check.weights(network) / 1e6:.1f} M weights, of which {inner / 1e6:.1f} M"
    assert stated in " ".join(v2.__doc__.split())
