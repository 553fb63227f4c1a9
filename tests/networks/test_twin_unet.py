import pytest
import torch

from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.networks.twin_unet import TwinUNet
from tests.networks import segmentation as check

FORMS = [{}, {"patch_size": 2}, {"thin_from": 1}, {"starts_coarse": True}, {"thin_channels": (6, 8, 10)}]


def tiny(*args, **settings):
    return check.built(TwinUNet, *args, **settings)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(("spatial_dims", "size"), [(rank, size) for rank in (2, 3) for size in check.AWKWARD[rank]])
def test_hears_everything_at_any_size(form, spatial_dims, size):
    network = tiny(spatial_dims=spatial_dims, **form)
    check.check_hears_everything(network, size)
    check.check_encodes_once(network, size)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(("spatial_dims", "size"), [(2, (17, 12)), (3, (9, 8, 9))])
def test_every_parameter_learns(form, spatial_dims, size):
    check.check_every_parameter_learns(tiny(spatial_dims=spatial_dims, **form), size)


def test_half_precision():
    check.check_half_precision(tiny(), (18, 15))


def test_a_fresh_network_that_starts_coarse_says_what_the_reader_says():
    x_t, t, image = check.inputs((12, 12))
    output = tiny(awake=False, starts_coarse=True)(x_t, t, Condition(image=image))
    assert torch.equal(output.output, output.coarse)
    assert not tiny(awake=False)(x_t, t, Condition(image=image)).output.any()


def test_most_of_the_work_is_done_once():
    network = TwinUNet(2, 2, condition_channels=3, mask_classes=2, channels=(64, 128, 256, 320, 512), thin_from=1)
    weights = {name: sum(part.numel() for part in module.parameters()) for name, module in network.named_children()}
    assert 22e6 < sum(weights.values()) < 24e6
    assert weights["denoiser"] < 0.1 * sum(weights.values())


def test_mistakes_are_told():
    check.check_refusals_of_image(tiny())
    for settings, sentence in [
        ({"channels": ()}, "at least one level"),
        ({"thin_channels": (8,)}, "each of the 3 levels"),
        ({"thin_from": 3}, "thin_channels"),
        ({"starts_coarse": True, "mask_classes": 3}, "one_hot"),
        ({"residual_blocks": 0}, "residual_blocks must be at least 1"),
    ]:
        with pytest.raises(InputError, match=sentence):
            tiny(**settings)
