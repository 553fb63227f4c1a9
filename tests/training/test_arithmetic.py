"""bf16 on a CPU: a kernel that is wrong is found before it trains anything, and float32 is taken."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.training import arithmetic, fabric
from meddiff.training.arithmetic import Convolution, bf16_error, convolutions_in, wrong_bf16
from meddiff.training.fabric import InPrecision, NetworkPrecision, build_fabric, has_bf16, prepare_network

AMX = ("avx512_bf16", "amx_bf16")


class Small(nn.Module):
    """Two levels in 3D: an axis of four voxels, then one of two."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv3d(16, 16, 3, stride=2, padding=1)
        self.deep = nn.Conv3d(16, 16, 3, padding=1)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.deep(functional.silu(self.down(x))))


class Reading(nn.Module):
    """Reads the image once; its layers for x_t, one of them without convolution, take what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.mixed, self.deep = nn.Conv2d(16, 16, 3, padding=1), nn.Linear(8, 8), nn.Conv2d(16, 16, 1)

    def encode(self, condition):
        return replace(condition, features={"read": self.read(condition.image)})

    def forward(self, x_t, condition):
        return self.deep(x_t + self.mixed(condition.features["read"]))


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    fabric._say_once.cache_clear()
    yield
    fabric._say_once.cache_clear()


def plant(monkeypatch, error, capabilities=AMX):
    """Pretend that convolutions on this processor have this error, and that it has these instruction sets."""
    monkeypatch.setattr(arithmetic, "bf16_error", error)
    for module in (arithmetic, fabric):
        monkeypatch.setattr(module, "cpu_capabilities", lambda: capabilities)


def test_the_convolutions_of_a_call_are_those_it_does_with_their_sizes():
    network, drawn = Small(), torch.get_rng_state()
    network.drop.eval()
    done = convolutions_in(network, network, torch.randn(1, 16, 4, 4, 4, generator=torch.Generator().manual_seed(0)))
    assert {(one.stride, one.size) for one in done} == {((2, 2, 2), (4, 4, 4)), ((1, 1, 1), (2, 2, 2))}
    assert network.training
    assert not network.drop.training
    assert torch.equal(drawn, torch.get_rng_state())  # drew nothing
    assert not network.deep._forward_pre_hooks  # and left no hook


def test_large_images_and_many_channels_are_tried_as_small_ones():
    one = Convolution.of(nn.Conv2d(512, 256, 3, padding=1), (128, 5))
    assert one.channels == (64, 64)
    assert one.size == (8, 5)
    assert Convolution.of(nn.Conv2d(96, 96, 3, groups=96), (9, 9)).channels == (96, 96)
    assert Convolution.of(nn.Conv2d(4, 4, 5, dilation=4), (99, 99)).size == (17, 17)


def test_the_error_of_a_right_kernel_is_that_of_rounding():
    kinds = [nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(8, 24, 1), nn.ConvTranspose2d(16, 8, 2, stride=2)]
    for module in kinds:
        assert 0 < bf16_error(Convolution.of(module, (8, 8))) < 0.02


def test_a_kernel_that_leaves_its_gradient_unwritten_is_found(monkeypatch):
    def results(module, image, *, bf16, right=arithmetic._results):
        output, by_image, by_weight = right(module, image, bf16=bf16)
        return output, by_image, torch.empty_like(by_weight).fill_(1e3) if bf16 else by_weight

    monkeypatch.setattr(arithmetic, "_results", results)
    one = Convolution.of(nn.Conv2d(16, 16, 3, padding=1), (3, 5))
    bf16_error.cache_clear()
    try:
        assert bf16_error(one) > 1
        assert "3 x 3 convolution with stride 1 over 3 x 5" in wrong_bf16([one], capabilities=AMX)
    finally:
        bf16_error.cache_clear()


@pytest.mark.parametrize("error", [float("inf"), float("nan"), 0.2])
def test_auto_takes_float32_where_a_kernel_is_wrong_and_says_so_once(monkeypatch, caplog, error):
    nan_is_wrong = float("inf") if error != error else error
    plant(monkeypatch, lambda one: nan_is_wrong if one.size == (2, 2, 2) else 0.003)
    inside = prepare_network(Small(), build_fabric(accelerator="cpu"))
    assert inside(torch.randn(2, 16, 4, 4, 4)).dtype == torch.float32
    inside(torch.randn(2, 16, 4, 4, 4))
    assert [record.getMessage() for record in caplog.records if "float32" in record.getMessage()] == [
        "computing in float32: on this processor a 3 x 3 x 3 convolution with stride 1 over 2 x 2 x 2 in bf16 differs "
        f"from float32 by {nan_is_wrong:.3g} of its result, where rounding explains 0.01"
    ]


def test_auto_takes_bf16_where_all_kernels_are_right(monkeypatch):
    plant(monkeypatch, lambda one: 0.003)
    inside = prepare_network(Small(), build_fabric(accelerator="cpu"))
    assert inside(torch.randn(2, 16, 4, 4, 4)).dtype == torch.bfloat16


def test_bf16_that_is_wrong_is_refused_where_it_was_asked_for(monkeypatch):
    plant(monkeypatch, lambda one: 0.5)
    inside = prepare_network(Small(), build_fabric(accelerator="cpu", precision="bf16"))
    with pytest.raises(
        InputError, match=r"training.precision is bf16, but on this processor .* --training.precision 32"
    ):
        inside(torch.randn(2, 16, 4, 4, 4))


@pytest.mark.parametrize("asked", ["auto", "bf16"])
def test_3d_on_avx512_bf16_without_amx_is_float32_whatever_a_trial_says(monkeypatch, asked):
    """Uninitialised memory may hold the right values while it is tried."""
    plant(monkeypatch, lambda one: 0.0, ("avx512_bf16",))
    assert has_bf16("cpu")
    inside = InPrecision(Small(), NetworkPrecision("cpu", asked))
    if asked == "bf16":
        with pytest.raises(InputError, match="avx512_bf16 and no AMX"):
            inside(torch.randn(2, 16, 8, 8, 8))
    else:
        assert inside(torch.randn(2, 16, 8, 8, 8)).dtype == torch.float32
    flat = InPrecision(nn.Conv2d(16, 16, 3), NetworkPrecision("cpu", asked))
    assert flat(torch.randn(2, 16, 8, 8)).dtype == torch.bfloat16


@pytest.mark.parametrize(("second_is_right", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_what_was_read_in_bf16_is_taken_by_the_trial_and_by_float32(monkeypatch, second_is_right, dtype):
    plant(monkeypatch, lambda one: 0.003 if second_is_right or one.kernel == (3, 3) else 1.0)
    inside = InPrecision(Reading(), NetworkPrecision("cpu"))
    condition = inside.encode(Condition(image=torch.randn(2, 16, 8, 8)))
    assert condition.features["read"].dtype == torch.bfloat16
    assert inside(torch.randn(2, 16, 8, 8), condition).dtype == dtype


def test_every_shape_is_asked_about_on_its_own(monkeypatch):
    plant(monkeypatch, lambda one: 1.0 if min(one.size) == 1 else 0.003)
    inside = InPrecision(Small(), NetworkPrecision("cpu"))
    dtypes = [inside(torch.randn(1, 16, *size)).dtype for size in ((4, 4, 4), (2, 4, 4), (4, 4, 4))]
    assert dtypes == [torch.bfloat16, torch.float32, torch.bfloat16]


@pytest.mark.parametrize("size", [(4, 4, 4), (2, 4, 4), (1, 8, 8)])
def test_first_gradients_in_3d_are_those_of_float32_on_this_processor(size):
    """What training starts with, whatever the processor is and whatever auto means on it."""
    image = torch.randn((2, 16, *size), generator=torch.Generator().manual_seed(3))

    def gradients(precision):
        torch.manual_seed(5)
        network = Small()
        network.drop.p = 0.0
        inside = prepare_network(network, build_fabric(precision=precision, accelerator="cpu"))
        inside(image).float().square().mean().backward()
        return [parameter.grad for parameter in network.parameters()]

    exact = gradients("32")
    for _ in range(4):
        arithmetic._fill_freed_memory(1e6)
        for own, right in zip(gradients("auto"), exact, strict=True):
            assert (own - right).norm() < 0.05 * right.norm()
