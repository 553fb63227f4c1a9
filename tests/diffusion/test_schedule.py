"""Schedules against the papers' formulas, and against what a second library computes."""

import math

import numpy as np
import pytest
import torch
from contracts import check_schedule

from meddiff.diffusion.schedule import (
    NoiseSchedule,
    cosine,
    edm,
    exponential,
    from_betas,
    linear,
    rectified_flow,
    scaled_linear,
    sigmoid,
    sub_vp,
    zero_terminal_snr,
)
from meddiff.errors import InputError

MAKERS = (linear, scaled_linear, cosine, sigmoid, exponential, edm, sub_vp, rectified_flow)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_contract(make):
    check_schedule(make(1000))


@pytest.mark.parametrize("make", [linear, scaled_linear, cosine, sigmoid], ids=lambda make: make.__name__)
def test_contract_with_zero_terminal_snr(make):
    check_schedule(zero_terminal_snr(make(1000)))


def test_linear_is_that_of_ho_et_al():
    alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    assert np.allclose(linear().alpha[1:] ** 2, alpha_bar, rtol=1e-12)
    assert np.allclose(linear().sigma[1:] ** 2, 1 - alpha_bar, rtol=1e-10)


def test_linear_keeps_its_snr_range_for_another_length():
    short, long = linear(250), linear(1000)
    assert math.isclose(short.alpha[-1].log(), long.alpha[-1].log(), rel_tol=0.05)
    with pytest.raises(InputError, match="needs T > 20"):
        linear(20)


def test_cosine_is_that_of_nichol_and_dhariwal():
    t = np.arange(1001) / 1000
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    assert np.allclose(cosine().alpha[:-1] ** 2, f[:-1] / f[0], rtol=1e-9)  # beta is clipped in the last step only
    assert math.isclose(1 - (cosine().alpha[-1] / cosine().alpha[-2]) ** 2, 0.999, rel_tol=1e-9)


@pytest.mark.parametrize(("make", "name"), [(linear, "linear"), (cosine, "squaredcos_cap_v2")])
def test_diffusers_has_the_same_table(make, name):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(1000, beta_schedule=name).alphas_cumprod.double()
    assert torch.allclose(make().alpha[1:] ** 2, theirs, rtol=2e-4, atol=1e-7)  # theirs is float32


def test_variance_preserving_on_and_between_the_grid():
    t = torch.linspace(0, 1000, 3001, dtype=torch.float64)
    for schedule in (linear(), cosine()):
        alpha, sigma = schedule.at(t, torch.zeros(1, dtype=torch.float64))
        assert torch.allclose(alpha**2 + sigma**2, torch.ones_like(alpha), atol=1e-12)


def test_between_grid_points_the_log_snr_is_linear():
    schedule = cosine()
    t = torch.tensor([10.0, 10.25, 10.5, 11.0], dtype=torch.float64)
    alpha, sigma = schedule.at(t, torch.zeros(1, dtype=torch.float64))
    half_log_snr = (alpha / sigma).log()
    assert math.isclose(half_log_snr[1], 0.75 * half_log_snr[0] + 0.25 * half_log_snr[3], rel_tol=1e-12)
    assert math.isclose(half_log_snr[2], 0.5 * half_log_snr[0] + 0.5 * half_log_snr[3], rel_tol=1e-12)


def test_time_at_is_the_inverse_of_at():
    for schedule in (linear(), cosine()):
        t = torch.linspace(1, 1000, 777, dtype=torch.float64)
        alpha, sigma = schedule.at(t, torch.zeros(1, dtype=torch.float64))
        assert torch.allclose(schedule.time_at((alpha / sigma).log()), t, atol=1e-6)


def test_diffuse_and_start():
    schedule = linear()
    x_0, eps, t = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4), torch.tensor([1, 500, 1000])
    x_t = schedule.diffuse(x_0, t, eps)
    for i in range(3):
        expected = schedule.alpha[t[i]] * x_0[i] + schedule.sigma[t[i]] * eps[i]
        assert torch.allclose(x_t[i], expected.float(), atol=1e-6)
    assert torch.allclose(schedule.start(eps), eps * schedule.sigma[-1].float())


def test_spacings():
    schedule = cosine()
    assert schedule.timesteps(4) == [1000, 750, 500, 250, 0]
    assert schedule.timesteps(4, "leading") == [751, 501, 251, 1, 0]
    assert schedule.timesteps(4, "linear") == [1000, 667, 334, 1, 0]
    roots = np.sqrt(schedule.timesteps(5, "quadratic")[:-1])
    assert np.allclose(np.diff(roots), np.diff(roots)[0], rtol=1e-5)
    for spacing, scale in (("log_snr", np.log), ("karras", lambda ratio: ratio ** (1 / 7))):
        times = schedule.timesteps(12, spacing)[:-1]
        assert (times[0], times[-1]) == (1000, 1)
        alpha, sigma = (np.array(values) for values in schedule.scales(times))
        even = np.diff(scale(sigma / alpha))
        assert np.allclose(even, even[0], rtol=2e-2), spacing  # t near T is rounded to float32
    for bad in (0, 1001):
        with pytest.raises(InputError, match="between 1 and"):
            schedule.timesteps(bad)
    with pytest.raises(InputError, match="trailing, leading"):
        schedule.timesteps(5, "triling")


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linear"])
def test_spacings_are_those_of_diffusers(spacing):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(1000, timestep_spacing=spacing.replace("linear", "linspace"))
    for steps in (5, 10, 50):
        theirs.set_timesteps(steps)
        ours = np.array(cosine().timesteps(steps, spacing)[:-1])
        assert np.abs(ours - (theirs.timesteps.numpy() + 1)).max() <= (spacing == "linear")  # halves are rounded apart


def test_bad_tables_are_refused():
    good = linear()
    with pytest.raises(InputError, match="float64"):
        NoiseSchedule(good.alpha.float(), good.sigma.float())
    with pytest.raises(InputError, match="t = 0 is data"):
        NoiseSchedule(good.alpha[1:], good.sigma[1:])
    with pytest.raises(InputError, match="fall strictly"):
        NoiseSchedule(torch.cat([good.alpha, good.alpha[-1:]]), torch.cat([good.sigma, good.sigma[-1:]]))
    with pytest.raises(InputError, match=r"\[T \+ 1\]"):
        NoiseSchedule(good.alpha, good.sigma[:-1])
    with pytest.raises(InputError, match=r"0\.\.1000"):
        good.scales([1001])


def test_small_betas_keep_their_precision():
    beta = torch.full((10,), 1e-12, dtype=torch.float64)
    assert torch.allclose(from_betas(beta).sigma[1:] ** 2, 1e-12 * torch.arange(1, 11, dtype=torch.float64), rtol=1e-9)


def test_scaled_linear_is_that_of_latent_diffusion():
    beta = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    assert np.allclose(scaled_linear().alpha[1:] ** 2, np.cumprod(1 - beta), rtol=1e-10)


def test_sigmoid_is_that_of_jabri_et_al():
    """Their released function: gamma from 1 to 0, as a shifted sigmoid."""
    t = np.arange(1001) / 1000
    sig = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    gamma = (sig(3) - sig(t * 6 - 3)) / (sig(3) - sig(-3))
    assert np.allclose(sigmoid().alpha[:-1] ** 2, gamma[:-1], rtol=1e-9, atol=1e-12)


def test_zero_terminal_snr_is_that_of_lin_et_al():
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(1000, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
                                     rescale_betas_zero_snr=True).alphas_cumprod.double()  # fmt: skip
    ours = zero_terminal_snr(scaled_linear())
    assert ours.alpha[-1] == 0
    # they keep the first beta where it was, which moves alpha[0] off 1 by 4e-4; here alpha[0] = 1 stays
    assert torch.allclose(ours.alpha[1:] ** 2, theirs, atol=1e-3)


def test_sigmas_that_are_geometric_or_spaced_by_rho():
    assert np.allclose(exponential().sigma[1:].log().diff(), math.log(5000) / 999)
    n = 18
    i = np.arange(n)
    expected = (80 ** (1 / 7) + i / (n - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7  # Karras et al. 2022, eq. 5
    assert np.allclose(edm(n).sigma[1:].flip(0), expected)


def test_sub_vp_has_the_squared_noise():
    """Song et al. 2021b, eq. 29: the variance is (1 - exp(-B))**2, where the VP SDE has 1 - exp(-B)."""
    t = np.arange(1001) / 1000
    B = 0.1 * t + 0.5 * 19.9 * t**2
    assert np.allclose(sub_vp().alpha, np.exp(-B / 2))
    assert np.allclose(sub_vp().sigma, 1 - np.exp(-B))


def test_rectified_flow_is_a_straight_line():
    schedule = rectified_flow(100)
    assert torch.allclose(schedule.alpha + schedule.sigma, torch.ones(101, dtype=torch.float64))
    assert torch.allclose(schedule.sigma.diff(), torch.full((100,), 0.01, dtype=torch.float64))
    fractional = torch.tensor([0.5, 33.3, 99.5], dtype=torch.float64)
    _, sigma = schedule.at(fractional, torch.zeros(1, dtype=torch.float64))
    assert torch.allclose(sigma, fractional / 100, atol=2e-4)  # the log-SNR is linear between, so this is nearly so


def test_log_snr_spacings_need_a_finite_end():
    for spacing in ("karras", "log_snr"):
        with pytest.raises(InputError, match="use trailing"):
            rectified_flow().timesteps(10, spacing)
