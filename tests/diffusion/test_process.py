"""The forward process and its reversal, symbol by symbol against Ho et al. 2020 and against Bayes' rule."""

import math

import torch

from meddiff.diffusion.process import posterior, transition
from meddiff.diffusion.schedule import cosine, linear


def test_one_step_gives_the_symbols_of_ho_et_al():
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alpha_bar = (1 - beta).cumprod(0)
    schedule = linear()
    t = torch.arange(2, 1001)
    scales = schedule.alpha[t], schedule.sigma[t], schedule.alpha[t - 1], schedule.sigma[t - 1]
    alpha_ts, beta_ts = transition(*scales)
    assert torch.allclose(alpha_ts, (1 - beta[1:]).sqrt())
    assert torch.allclose(beta_ts, beta[1:], rtol=1e-9)
    from_x_t, from_x_0, variance = posterior(*scales)  # eq. 7
    previous = alpha_bar[:-1]
    assert torch.allclose(from_x_0, previous.sqrt() * beta[1:] / (1 - alpha_bar[1:]), rtol=1e-9)
    assert torch.allclose(from_x_t, (1 - beta[1:]).sqrt() * (1 - previous) / (1 - alpha_bar[1:]), rtol=1e-9)
    assert torch.allclose(variance, (1 - previous) / (1 - alpha_bar[1:]) * beta[1:], rtol=1e-9)


def test_the_two_forms_of_the_posterior_mean_agree():
    """Ho et al. 2020, eq. 7 (of x_t and x_0) and eq. 11 (of x_t and eps)."""
    schedule, t = linear(), 400
    x_0, eps = torch.randn(2, 50, dtype=torch.float64)
    scales = [table[i].item() for i in (t, t - 1) for table in (schedule.alpha, schedule.sigma)]
    from_x_t, from_x_0, _ = posterior(*scales)
    alpha_ts, beta = transition(*scales)
    x_t = scales[0] * x_0 + scales[1] * eps
    assert torch.allclose(from_x_t * x_t + from_x_0 * x_0, (x_t - beta / scales[1] * eps) / alpha_ts, atol=1e-12)


def test_any_stride_is_bayes_rule():
    """q(x_s | x_t, x_0) is proportional to q(x_t | x_s) q(x_s | x_0): precisions add."""
    for schedule in (linear(), cosine()):
        for t, s in ((1000, 1), (1000, 999), (700, 30), (2, 1)):
            alpha_t, sigma_t, alpha_s, sigma_s = (
                table[i].item() for i in (t, s) for table in (schedule.alpha, schedule.sigma)
            )
            alpha_ts, beta_ts = transition(alpha_t, sigma_t, alpha_s, sigma_s)
            precision = alpha_ts**2 / beta_ts + 1 / sigma_s**2
            from_x_t, from_x_0, variance = posterior(alpha_t, sigma_t, alpha_s, sigma_s)
            assert math.isclose(variance, 1 / precision, rel_tol=1e-9)
            assert math.isclose(from_x_t, alpha_ts / beta_ts / precision, rel_tol=1e-9)
            assert math.isclose(from_x_0, alpha_s / sigma_s**2 / precision, rel_tol=1e-9)


def test_transitions_compose():
    """q(x_t | x_r) through x_s is q(x_t | x_r) at once."""
    schedule = cosine()

    def between(t, s):
        return transition(schedule.alpha[t], schedule.sigma[t], schedule.alpha[s], schedule.sigma[s])

    (alpha_ts, beta_ts), (alpha_sr, beta_sr), (alpha_tr, beta_tr) = (
        between(900, 500),
        between(500, 20),
        between(900, 20),
    )
    assert math.isclose(alpha_ts * alpha_sr, alpha_tr, rel_tol=1e-12)
    assert math.isclose(alpha_ts**2 * beta_sr + beta_ts, beta_tr, rel_tol=1e-12)


def test_the_last_step_lands_on_x_0():
    schedule = linear()
    assert posterior(schedule.alpha[30].item(), schedule.sigma[30].item(), 1.0, 0.0) == (0.0, 1.0, 0.0)
