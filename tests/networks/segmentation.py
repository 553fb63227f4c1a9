"""What every denoising network for segmentation owes its users; run over V1 and V2 by their own tests."""

import pytest
import torch

from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.networks.initialization import seeded
from tests.contracts import wake

SETTINGS = {"condition_channels": 3, "mask_classes": 2, "channels": (8, 12, 16)}
AWKWARD = {2: ((16, 8), (9, 13), (1, 7), (1, 1)), 3: ((8, 4, 8), (5, 1, 6), (1, 1, 1))}


def built(network, in_channels=2, out_channels=2, *, awake=True, **settings):
    with seeded(0):
        built = network(in_channels, out_channels, **(SETTINGS | settings))
    if awake:
        wake(built)
    return built


def inputs(size, *, batch=3, channels=2, seed=0):
    """x_t, t and the image."""
    generator = torch.Generator().manual_seed(seed)
    x_t = torch.randn((batch, channels, *size), generator=generator)
    image = torch.randn((batch, 3, *size), generator=generator)
    return x_t, torch.tensor([1.0, 400.5, 1000.0])[:batch], image


def value(output):
    """The output of a network with or without a coarse mask."""
    return output if isinstance(output, torch.Tensor) else output.output


def differs(one, other):
    """Whether every sample differs by more than rounding."""
    return ((one - other).abs().flatten(1).amax(1) > 1e-5).all()


@torch.no_grad()
def check_hears_everything(network, size):
    """Shapes, purity, that x_t, t and image matter in every sample, and that no sample hears another."""
    x_t, t, image = inputs(size)
    told = value(network(x_t, t, Condition(image=image)))
    assert told.shape == x_t.shape
    assert told.isfinite().all()
    assert torch.equal(told, value(network(x_t, t, Condition(image=image)))), "not a pure function"
    assert differs(told, value(network(-x_t, t, Condition(image=image)))), "does not hear x_t"
    assert differs(told, value(network(x_t, t - 0.5, Condition(image=image)))), "does not hear t, or rounds it"
    assert differs(told, value(network(x_t, t, Condition(image=-image)))), "does not hear the image"
    alone = value(network(x_t[1:2], t[1:2], Condition(image=image[1:2])))
    torch.testing.assert_close(alone, told[1:2], rtol=1e-5, atol=1e-5)
    whole = torch.tensor([1, 400, 1000])
    assert torch.equal(
        value(network(x_t, whole, Condition(image=image))), value(network(x_t, whole.float(), Condition(image=image)))
    )


@torch.no_grad()
def check_encodes_once(network, size):
    """Encoded first or on the way: the same to the bit; a repeated encoding serves an ensemble."""
    x_t, t, image = inputs(size)
    condition = Condition(image=image)
    encoded = network.encode(condition)
    assert condition.features is None, "encode changes its argument"
    assert encoded.image is image
    assert network.encode(encoded) is encoded, "encodes twice"
    assert all(len(part) == len(image) for part in encoded.features.values())
    for one, other in zip(network(x_t, t, encoded), network(x_t, t, condition), strict=True):
        assert torch.equal(one, other)
    members = network.encode(Condition(image=image[:1])).repeated(3)
    each = network(x_t, t, Condition(image=image[:1]).repeated(3))
    torch.testing.assert_close(value(network(x_t, t, members)), value(each), rtol=1e-5, atol=1e-5)


def check_every_parameter_learns(network, size):
    """A gradient that is not zero reaches every parameter."""
    x_t, t, image = inputs(size)
    output = network(x_t, t, Condition(image=image))
    said = [output] if isinstance(output, torch.Tensor) else list(output)
    sum(part.square().mean() for part in said).backward()
    deaf = [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()]
    assert not deaf, f"no gradient reaches {deaf}"
    assert all(each.grad.isfinite().all() for each in network.parameters())


@torch.no_grad()
def check_half_precision(network, size):
    """Under bf16 autocast the output is finite and near that of float32."""
    x_t, t, image = inputs(size)
    exact = value(network(x_t, t, Condition(image=image)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = value(network(x_t, t, Condition(image=image)))
    assert half.isfinite().all()
    assert (half.float() - exact).abs().mean() < 0.1 * exact.std()


def check_refusals_of_image(network):
    """What it cannot hear is refused with a sentence."""
    x_t, t, image = inputs((8, 8))
    for condition, sentence in [
        (Condition(), "image of 3 channels, got none"),
        (Condition(image=image[:, :1]), "image of 3 channels, got 1"),
        (Condition(image=image, label=torch.tensor([0, 1, 0])), "an image alone"),
        (Condition(image=image, context=torch.zeros(3, 1, 4)), "an image alone"),
        (Condition(image=image[..., :7]), r"\(8, 8\), the image one of 3 of size \(8, 7\)"),
        (network.encode(Condition(image=image[:1])), "batch of 3 .* one of 1"),
    ]:
        with pytest.raises(InputError, match=sentence):
            network(x_t, t, condition)


def check_refusals(network, *, build):
    """What it cannot hear is refused with a sentence, and so are sizes that do not belong together."""
    check_refusals_of_image(network)
    for settings, sentence in [
        ({"channels": ()}, "at least one level"),
        ({"channels": (8, 1)}, "at least 2 channels"),
        ({"residual_blocks": 0}, "residual_blocks must be at least 1"),
        ({"condition_blocks": 0}, "residual_blocks must be at least 1"),
        ({"patch_size": 0}, "patch_size must be at least 1"),
        ({"spatial_dims": 1}, "2 .* or 3"),
    ]:
        with pytest.raises(InputError, match=sentence):
            build(**settings)


def check_switch(build, size=(16, 16), **switched):
    """The two networks, with all the weights that they share equal, say different things."""
    plain, other = build(), build(**switched)
    shared = plain.state_dict()
    kept = {name: shared.get(name, tensor) for name, tensor in other.state_dict().items()}
    other.load_state_dict(kept)
    x_t, t, image = inputs(size)
    with torch.no_grad():
        outputs = [value(network(x_t, t, Condition(image=image))) for network in (plain, other)]
    assert differs(*outputs), f"{switched} changes nothing"


def blobs(count=8, side=16):
    """Images [N, 3, S, S] of a bright, noisy disc, and their masks [N, 1, S, S] in -1, 1."""
    generator = torch.Generator().manual_seed(0)
    center = side * (0.3 + 0.4 * torch.rand((count, 2, 1, 1), generator=generator))
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    mask = ((rows - center[:, 0]) ** 2 + (columns - center[:, 1]) ** 2 < (side / 5) ** 2).float()[:, None] * 2 - 1
    return 0.7 * mask + 0.3 * torch.randn((count, 3, side, side), generator=generator), mask


def losses(network, steps=30):
    """Noise-prediction losses of a tiny training, each the mean over three steps: the first and the last."""
    image, mask = blobs()
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    seen = []
    for _ in range(steps):
        t = torch.randint(1, 1001, (len(mask),), generator=generator)
        angle = (t / 1001 * torch.pi / 2).view(-1, 1, 1, 1)  # the cosine schedule
        noise = torch.randn(mask.shape, generator=generator)
        output = network(angle.cos() * mask + angle.sin() * noise, t, Condition(image=image))
        loss = (value(output) - noise).square().mean()
        if not isinstance(output, torch.Tensor):
            loss = loss + torch.nn.functional.cross_entropy(output.coarse, (mask[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return sum(seen[:3]) / 3, sum(seen[-3:]) / 3


def weights(network):
    return sum(parameter.numel() for parameter in network.parameters())
