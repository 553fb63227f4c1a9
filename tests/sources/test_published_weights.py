"""Weights come from a server once, are what their name says, or are refused with the way out."""

import hashlib
from dataclasses import replace

import pytest
from web import Site, serve

from meddiff.errors import InputError
from meddiff.sources.fetch import Patience
from meddiff.sources.published_weights import WEIGHTS, published_weights

ONCE = Patience(attempts=1, wait_s=0.0, timeout_s=5.0)


def content():
    """Bytes whose SHA-256 begins as the published file's does would take years: another network is without a digest."""
    return b"tensors" * 1000


def test_a_file_is_fetched_once(tmp_path):
    with serve(Site({"/dino.pth": content()})) as site:
        archives = {"dinov2": replace(WEIGHTS["dinov2"], url=f"{site.url}/dino.pth")}
        path = published_weights("dinov2", tmp_path, archives=archives, patience=ONCE)
        assert path.read_bytes() == content()
        assert published_weights("dinov2", tmp_path, archives=archives, patience=ONCE) == path
        assert len(site.asked) == 1


def test_another_file_under_the_name_of_the_fids_is_refused(tmp_path):
    with serve(Site({"/inception.pth": content()})) as site:
        archives = {"inception": replace(WEIGHTS["inception"], url=f"{site.url}/inception.pth", mirrors=())}
        digest = hashlib.sha256(content()).hexdigest()[:8]
        with pytest.raises(InputError, match=f"begins with {digest}, that of the published file with 6726825d"):
            published_weights("inception", tmp_path, archives=archives, patience=ONCE)
    assert not (tmp_path / WEIGHTS["inception"].file_name).exists()


def test_what_cannot_be_downloaded_names_the_option(tmp_path):
    with serve(Site({})) as site:
        archives = {"dinov2": replace(WEIGHTS["dinov2"], url=f"{site.url}/gone.pth")}
        with pytest.raises(InputError, match=r"404.*--weights"):
            published_weights("dinov2", tmp_path, archives=archives, patience=ONCE)
    with pytest.raises(InputError, match="radimagenet needs its weights from a local file"):
        published_weights("radimagenet", tmp_path)
