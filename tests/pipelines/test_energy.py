"""Energy is read where the machine tells it: on a made-up tree of counters, by pencil."""

import pytest

from meddiff.jobs.energy import EnergyMeter, gpu_energy_mj


def counter(folder, name, energy_uj, limit_uj=1_000_000_000):
    zone = folder / name
    zone.mkdir(exist_ok=True)
    (zone / "energy_uj").write_text(f"{energy_uj}\n")
    (zone / "max_energy_range_uj").write_text(f"{limit_uj}\n")
    return zone


def test_packages_are_summed_and_their_parts_are_not(tmp_path):
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        counter(tmp_path, name, 500)
    with EnergyMeter(tmp_path) as meter:
        counter(tmp_path, "intel-rapl:0", 500 + 36_000_000)  # 36 J are 0.01 Wh
        counter(tmp_path, "intel-rapl:1", 500 + 72_000_000)
        counter(tmp_path, "intel-rapl:0:0", 500 + 30_000_000)  # cores: a part of package 0
    assert meter.cpu_wh == pytest.approx(0.03)


def test_a_counter_that_wraps_goes_on(tmp_path):
    counter(tmp_path, "intel-rapl:0", 99_000_000, limit_uj=100_000_000)
    with EnergyMeter(tmp_path) as meter:
        counter(tmp_path, "intel-rapl:0", 80_000_000, limit_uj=100_000_000)  # 81 J
        meter.read()
        counter(tmp_path, "intel-rapl:0", 62_000_000, limit_uj=100_000_000)  # and 82 J more
    assert meter.cpu_wh == pytest.approx((81 + 82) / 3600, abs=1e-4)


def test_what_cannot_be_read_is_none(tmp_path):
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "max_energy_range_uj").write_text("1000000\n")  # energy_uj is missing, as for those who are not root
    with EnergyMeter(tmp_path) as meter:
        pass
    assert meter.cpu_wh is None
    with EnergyMeter(tmp_path / "nowhere") as meter:
        pass
    assert meter.cpu_wh is None


def test_gpus_tell_a_growing_number_or_nothing():
    first, second = gpu_energy_mj(), gpu_energy_mj()
    assert len(first) == len(second)
    assert all(before is None or before <= after for before, after in zip(first, second, strict=True))
