"""Fixtures shared by all tests."""

import signal
from pathlib import Path

import pytest
import torch
from browser import Browser, find_chromium

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images beside the checkout; the test is skipped with a sentence where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"real images are not at {REAL_DATA}: tests on real data need them")
    return REAL_DATA


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Tests run in parallel processes: one thread each is faster than fighting over the cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _signals_as_in_a_terminal():
    """What a suite in the background of a shell or under nohup ignores, its tests and what they start heed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _drawn_alike():
    """What a test draws without a generator of its own is the same in every run."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A page of a headless chromium; the test is skipped with a sentence where there is none."""
    executable = find_chromium()
    if executable is None:
        pytest.skip("no chromium or chrome on this machine: the report was not looked at in a browser")
    browser = Browser(executable, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
