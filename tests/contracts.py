"""One contract check per kind of thing; each is run over every implementation that `assembly` names."""

VOLUMES = (".nii", ".nii.gz")


def wake(network) -> None:
    """Give the layers that start at zero small values: a fresh diffusion network says zero whatever it is told."""
    import torch

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))


HEARD = 1e-3
"""Least change of an output, as a share of its root mean square, that is more than rounding."""


def heard(output, other):
    """Whether each of B outputs differs from its other by more than what rounding does."""
    change, size = ((one.flatten(1).square().mean(1)).sqrt() for one in (output - other, output))
    return change > HEARD * size


def check_network(build, *, spatial_dims: int = 2) -> None:
    """A network is (x_t, t, condition) -> like x_t, for any size, and hears everything that it is told.

    ``build(in_channels, out_channels, num_classes=, condition_channels=, spatial_dims=)`` makes a tiny one.
    """
    import torch

    from meddiff.diffusion.condition import Condition

    classes = 3
    network = build(2, 2, num_classes=classes, condition_channels=1, spatial_dims=spatial_dims)
    wake(network)
    for size in ((16, 8, 8)[:spatial_dims], (9, 13, 7)[:spatial_dims]):  # divisible, and not
        generator = torch.Generator().manual_seed(0)
        x_t = torch.randn((3, 2, *size), generator=generator)
        image = torch.randn((3, 1, *size), generator=generator)
        t = torch.tensor([1, 500, 1000])
        label = torch.tensor([0, 2, 1])
        with torch.no_grad():
            told = network(x_t, t, Condition(label=label, image=image))
            assert told.shape == x_t.shape
            assert told.isfinite().all()
            assert torch.equal(told, network(x_t, t, Condition(label=label, image=image))), "not a pure function"
            assert heard(told, network(x_t, t.flip(0), Condition(label=label, image=image)))[::2].all(), (
                "does not hear t"
            )
            assert (told != network(x_t, t - 0.5, Condition(label=label, image=image))).any(), "rounds t"
            other = network(x_t, t, Condition(label=(label + 1) % classes, image=image))
            assert heard(told, other).all(), "does not hear the label"
            other = network(x_t, t, Condition(label=label, image=-image))
            assert heard(told, other).all(), "does not hear the image"
            half = network(x_t, t, Condition(label=torch.tensor([0, -1, 1]), image=image))
            none = network(x_t, t, Condition(label=torch.tensor([-1, -1, -1]), image=image))
            torch.testing.assert_close(half[1], none[1])  # untold is per sample
            torch.testing.assert_close(half[::2], told[::2])
            assert heard(none, told).all(), "an untold label counts as a class"
            torch.testing.assert_close(none, network(x_t, t, Condition(label=None, image=image)))
            alone = network(x_t[1:2], t[1:2], Condition(label=label[1:2], image=image[1:2]))
            torch.testing.assert_close(alone, told[1:2], rtol=1e-3, atol=1e-4)  # samples do not hear each other
    output = network(x_t, t, Condition(label=torch.tensor([0, -1, 2]), image=image))
    output.square().mean().backward()
    deaf = [
        name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert not deaf, f"no gradient reaches {deaf}"


def check_told_attributes(build, *, spatial_dims: int = 2) -> None:
    """A network that takes attributes hears each of them, per sample, and knows what is untold.

    ``build(in_channels, out_channels, num_classes=, attribute_features=, spatial_dims=)`` makes a tiny one.
    """
    import pytest
    import torch

    from meddiff.diffusion.condition import Condition
    from meddiff.errors import InputError

    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn((3, 2, *(9, 8, 8)[:spatial_dims]), generator=generator)
    t, label = torch.tensor([1, 500, 1000]), torch.tensor([0, 2, 1])
    features = torch.randn((3, 2, 4), generator=generator)
    for classes in (3, 0):
        network = build(2, 2, num_classes=classes, attribute_features=8, spatial_dims=spatial_dims)
        wake(network)
        labels = {"label": label} if classes else {}
        with torch.no_grad():
            told = network(x_t, t, Condition(**labels, attributes=features))
            for place in range(2):
                other = features.clone()
                other[:, place] *= -1
                changed = network(x_t, t, Condition(**labels, attributes=other))
                assert heard(told, changed).all(), f"does not hear attribute {place}"
            none = network(x_t, t, Condition(**labels, attributes=torch.zeros_like(features)))
            torch.testing.assert_close(none, network(x_t, t, Condition(**labels)))  # what is never told is untold
            half = features.clone()
            half[1] = 0
            mixed = network(x_t, t, Condition(**labels, attributes=half))
            torch.testing.assert_close(mixed[1], none[1])  # untold is per sample
            torch.testing.assert_close(mixed[::2], told[::2])
            if classes:
                unlabeled = network(x_t, t, Condition(label=torch.full((3,), -1), attributes=features))
                assert heard(told, unlabeled).all(), "hears no label beside attributes"
        network(x_t, t, Condition(**labels, attributes=features)).square().mean().backward()
        deaf = [name for name, one in network.named_parameters() if one.grad is None or not one.grad.any()]
        assert not [name for name in deaf if "label" not in name], f"no gradient reaches {deaf}"
        with pytest.raises(InputError, match="attributes of 8 features, got 12"):
            network(x_t, t, Condition(**labels, attributes=torch.zeros(3, 3, 4)))
    with pytest.raises(InputError, match="attributes of 0 features, got 8"):
        build(2, 2, num_classes=3, spatial_dims=spatial_dims)(x_t, t, Condition(label=label, attributes=features))


def check_metric(metric, *arguments, perfect=None, refuses_nan=True) -> None:
    """A metric is a pure function of arrays: the same answer twice, in any order of images, and no answer to NaN.

    ``metric(*arguments)`` is called with arrays whose first axis is the image, either the same images in all of them
    (labels, probabilities) or a set in each (real, synthetic). ``perfect`` are arguments with their known best value
    as last entry.
    """
    import numpy as np
    import pytest

    from meddiff.errors import InputError

    before = [argument.copy() for argument in arguments]
    value = metric(*arguments)
    assert np.isfinite(np.asarray(value, dtype=float)).all()
    assert all((kept == argument).all() for kept, argument in zip(before, arguments, strict=True)), "changes its input"
    np.testing.assert_array_equal(metric(*arguments), value, err_msg="two calls, two values")
    shuffled = [argument[np.random.default_rng(0).permutation(len(argument))] for argument in arguments]
    np.testing.assert_allclose(metric(*shuffled), value, rtol=1e-9, atol=1e-12, err_msg="hears the order of images")
    if perfect is not None:
        np.testing.assert_allclose(metric(*perfect[:-1]), perfect[-1], atol=1e-9)
    with pytest.raises(InputError):
        metric(*(argument[:0] for argument in arguments))
    if refuses_nan:
        poisoned = list(arguments)
        poisoned[-1] = np.where(np.arange(arguments[-1].size).reshape(arguments[-1].shape) == 0, np.nan, arguments[-1])
        with pytest.raises(InputError, match="NaN"):
            metric(*poisoned)


def check_schedule(schedule) -> None:
    """What every noise schedule owes its users; ``schedule`` has about 1000 levels."""
    from itertools import pairwise

    import torch

    T = schedule.T
    assert schedule.alpha.dtype == schedule.sigma.dtype == torch.float64
    assert schedule.alpha[0] == 1
    assert schedule.sigma[0] == 0
    assert schedule.sigma[-1] > 0.99, "x_T must be noise"
    assert schedule.alpha[-1] < 0.1 * schedule.sigma[-1], "x_T must not show x_0"
    snr = (schedule.alpha / schedule.sigma)[1:] ** 2
    assert (snr.diff() < 0).all(), "the SNR must fall strictly"
    before = schedule.alpha.clone(), schedule.sigma.clone()

    like = torch.zeros(3, 2, 4, 4)
    t = torch.tensor([1, T // 2, T])
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        alpha, sigma = schedule.at(t, like.to(dtype))
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        assert alpha.shape == sigma.shape == (3, 1, 1, 1)
        assert torch.equal(alpha.flatten(), schedule.alpha[t].to(exact))
        assert torch.equal(sigma.flatten(), schedule.sigma[t].to(exact))
    assert torch.equal(before[0], schedule.alpha), "half-precision input must never change a table"
    assert torch.equal(before[1], schedule.sigma), "half-precision input must never change a table"

    on_grid = schedule.at(t.double(), like.double())
    assert torch.equal(on_grid[0].flatten(), schedule.alpha[t])
    fine = torch.linspace(0, T, 4 * T + 1, dtype=torch.float64)
    alpha, sigma = (scale.flatten() for scale in schedule.at(fine, torch.zeros(len(fine), 1, dtype=torch.float64)))
    assert (torch.atan2(sigma, alpha).diff() > 0).all(), "the SNR must fall between the grid points too"

    for spacing in ("trailing", "leading", "linear", "quadratic"):
        for steps in (1, 7, 50, T):
            times = schedule.timesteps(steps, spacing)
            assert len(times) == steps + 1
            assert times[-1] == 0
            assert all(t > s for t, s in pairwise(times))
    assert schedule.timesteps(T) == list(range(T, -1, -1))


def check_prediction(prediction, schedule) -> None:
    """What every kind of network output owes its users, on ``schedule`` (alpha[T] > 0)."""
    import torch

    generator = torch.Generator().manual_seed(0)
    x_0, eps = (torch.randn(6, 2, 5, dtype=torch.float64, generator=generator) for _ in range(2))
    t = torch.tensor([1, 2, schedule.T // 4, schedule.T // 2, schedule.T - 1, schedule.T])
    alpha, sigma = schedule.at(t, x_0)
    x_t = alpha * x_0 + sigma * eps
    output = prediction.target(x_0, eps, alpha, sigma)
    assert torch.allclose(prediction.to_x_0(output, x_t, alpha, sigma), x_0, atol=1e-9)
    wrong = output + 1e-3
    error = (prediction.to_x_0(wrong, x_t, alpha, sigma) - x_0).abs() / 1e-3
    assert torch.allclose(error, prediction.x_0_gain(alpha, sigma).expand_as(error), rtol=1e-6)


def check_sampler(sampler) -> None:
    """What every sampler owes its users, asked with its default options on the linear schedule."""
    import pytest
    import torch
    from oracle import gaussian, moments_at

    from meddiff.diffusion.noise import PerSampleNoise
    from meddiff.diffusion.schedule import linear
    from meddiff.errors import InputError

    schedule = linear(1000)
    denoise = gaussian(schedule, 0.2, 0.3)

    def run(x_T, steps, noise):
        return list(sampler(denoise, schedule, x_T, schedule.timesteps(steps), noise))

    for shape, steps in (((5,), 1), ((1, 6, 4), 7), ((2, 3, 4, 5), 20)):
        noise = PerSampleNoise([11, 12], shape)
        x_T = schedule.start(noise(0))
        given, frozen, seen = x_T.clone(), [], []
        for step in sampler(denoise, schedule, x_T, schedule.timesteps(steps), noise):
            seen.append(step)
            frozen.append(step.x.clone())
        assert [step.t for step in seen] == schedule.timesteps(steps)[1:], "one Step per stride, t where x has arrived"
        assert all(step.x.shape == step.x_0.shape == x_T.shape and step.x.dtype == torch.float32 for step in seen)
        unchanged = [torch.equal(step.x, copy) for step, copy in zip(seen, frozen, strict=True)]
        assert all(unchanged), "a yielded Step must not change later"
        assert torch.equal(x_T, given), "x_T must not be changed"
        alone = run(x_T[1:], steps, PerSampleNoise([12], shape))[-1].x
        assert torch.equal(alone, seen[-1].x[1:]), "the same seed must give the same sample alone or in a batch"
        assert run(x_T.bfloat16(), steps, noise)[-1].x.dtype == torch.float32
        exact = run(x_T.double(), steps, lambda k, noise=noise: noise(k).double())[-1].x
        assert torch.allclose(seen[-1].x.double(), exact, atol=1e-4), "float32 must agree with float64"

    noise = PerSampleNoise(range(8), (2048,))
    start_mean, start_std = moments_at(schedule, 1000, 0.2, 0.3)
    errors = []
    for steps in (20, 200):
        x = run(start_mean + start_std * noise(0), steps, noise)[-1].x
        assert abs(x.mean() - 0.2) < 0.05
        errors.append(abs(x.std().item() - 0.3))
    assert abs(x.mean() - 0.2) < 0.01, "the mean of Gaussian data must be met"
    assert errors[1] < 0.03, "the standard deviation of Gaussian data must be met"
    assert errors[1] < max(errors[0], 0.005), "more steps must be closer to the truth"
    with pytest.raises(InputError, match="fall strictly"):
        next(sampler(denoise, schedule, torch.zeros(2, 1), [1000, 1000, 0], PerSampleNoise([1, 2], (1,))))


def check_reader(file, array) -> None:
    """A format is read by every door: alone, in a folder, as an input; a file that is cut off is refused by name."""
    import re

    import numpy as np
    import pytest

    from meddiff.errors import InputError
    from meddiff.formats.find import find
    from meddiff.formats.open import is_volume, load_volume, stem_of

    volume = load_volume(file)
    assert np.array_equal(volume.array, array)
    assert volume.array.dtype == array.dtype
    assert (volume.affine is None) == (volume.orientation is None), "geometry that a file does not tell is None"
    assert is_volume(file)
    assert [one.kind for one in find(file)] == ["volume"]
    assert file.name.removeprefix(stem_of(file.name)).startswith(".")
    cut = file.with_name(f"cut{file.name.removeprefix(stem_of(file.name))}")
    cut.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    try:
        with pytest.raises(InputError, match=re.escape(str(cut))):
            load_volume(cut)
    finally:
        cut.unlink()


def check_source(source, root) -> None:
    """A source turns a folder into rows that a manifest accepts, and says plainly where there is nothing to read."""
    import pytest

    from meddiff.errors import InputError
    from meddiff.manifest.consistency import check_rows
    from meddiff.manifest.table import read_manifest, write_manifest

    for text in (source.name, source.title, source.how_to_get):
        assert text.strip()
    assert source.channels in (1, 3, 4)
    rows = source.rows(root)
    assert rows, "nothing was read"
    assert rows == source.rows(root), "reading twice gives two answers"
    assert [row.row_id for row in rows] == sorted({row.row_id for row in rows}), "ids are not unique and sorted"
    check_rows(rows, source.name)
    for row in rows:
        assert row.root == root
        assert all(file.exists() for file in row.image_files)
        assert all(part.path.is_file() for part in row.mask_parts)
        spacing = (row.spacing_mm_0, row.spacing_mm_1, row.spacing_mm_2)
        volume = row.slice_axis is not None or row.image_file.name.endswith(VOLUMES) or row.image_file.is_dir()
        assert volume == (spacing != (None, None, None)), "volumes have a spacing, photographs none"
        assert row.sha256 is None
        assert row.dataset
    manifest = root / "manifest.csv"
    write_manifest(rows, manifest)
    assert read_manifest(manifest) == rows, "rows do not survive a manifest"
    assert source.rows(root) == rows, "a manifest in the folder changes what is read"

    empty = root / "empty"
    empty.mkdir()
    for nothing in (empty, root / "missing", manifest):
        with pytest.raises(InputError, match=nothing.name):
            source.rows(nothing)


def complaints(plain: dict) -> list[str]:
    """What a report.json has that its schema does not allow."""
    from jsonschema import Draft202012Validator

    return [error.message for error in Draft202012Validator(report_schema()).iter_errors(plain)]


def report_schema() -> dict:
    """What report.json keeps to."""
    import json
    from importlib.resources import files

    return json.loads((files("meddiff.reports") / "report.schema.json").read_text(encoding="utf-8"))


def check_task(task, batch, truth) -> None:
    """A task says what is clean and what is known of a batch, and brings what was clean back.

    ``truth`` is what ``decode`` makes of a perfect estimate.
    """
    import torch

    x_0 = task.clean(batch)
    assert x_0.shape[:2] == (len(batch.image), task.channels), "channels must be those of x_0"
    assert x_0.dtype.is_floating_point
    assert x_0.abs().max() <= 1
    assert torch.equal(x_0, task.clean(batch))
    condition = task.condition(batch)
    told = [part for part in (condition.label, condition.image, condition.context) if part is not None]
    assert told, "a task tells the denoiser something"
    assert all(len(part) == len(batch.image) for part in told), "each sample is told its own"
    torch.testing.assert_close(task.decode(x_0), truth)
    assert task.decode(3 * x_0).abs().max() <= 1, "what a sampler overshoots must not leave the range of what is saved"


def check_section(section, empty=None) -> None:
    """A section of a report renders to HTML, Markdown and JSON, and no anchor stands twice.

    ``empty`` is the same section without data, which says why there is nothing; None for one that always has some.
    """
    import json
    import re

    from markupsafe import escape

    from meddiff.reports.literature import Methods
    from meddiff.reports.report import Report
    from meddiff.reports.write import as_html, as_json, as_markdown

    assert section.parts, "the example has data"
    for shown in (section, *([] if empty is None else [empty])):
        report = Report("test", "Title", "Headline.", False, (shown,), Methods(), ("None.",), {})
        page, text, plain = as_html(report), as_markdown(report), json.loads(as_json(report))
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids)), "an anchor stands twice"
        assert shown.anchor in ids
        assert f"<h2>{shown.title}</h2>" in page
        assert f"\n## {shown.title}\n" in text
        assert set(shown.values) <= set(plain), "programs read what the page shows"
    if empty is not None:
        assert not empty.parts
        assert empty.missing
        assert f'<p class="none">{escape(empty.missing)}</p>' in page
        assert empty.missing in text
        assert (empty.anchor, set(empty.values)) == (section.anchor, set(section.values)), "the same keys, always"


def check_cut(cut, cases) -> None:
    """A cut is (case, draw) -> image and mask: a function of both alone, which shows the same place of both.

    The first channel of each case tells the class of each voxel, 1000 (class + 1), so that it is 0 outside alone.
    """
    import numpy as np

    from meddiff.batches.cuts import Draw

    def shown(case, draw):
        image, mask = cut(case, draw)
        return np.array(image), np.array(mask)

    asked = [(case, Draw(seed, number)) for case in cases for seed in (0, 7) for number in range(6)]
    first = [shown(*one) for one in asked]
    again = [shown(*one) for one in reversed(asked)][::-1]
    for (case, _), (image, mask), other in zip(asked, first, again, strict=True):
        assert np.array_equal(image, other[0]), "depends on what was cut before"
        assert np.array_equal(mask, other[1]), "depends on what was cut before"
        assert (image.dtype, mask.dtype) == (case.image.dtype, case.mask.dtype)
        assert image.shape[1:] == mask.shape
        slices = len(image) // len(case.image)
        classes = image[slices // 2 * len(case.image)]  # the first channel of the slice itself
        inside = classes > 0
        assert inside.any()
        assert np.array_equal(classes[inside], 1000 * (mask[inside].astype(int) + 1)), "image and mask cut apart"
        assert not mask[~inside].any(), "a class where there is no image"
    sizes = {mask.shape for _, mask in first}
    assert len(sizes) == 1 or cut.size is None, "what comes into one batch has one size"
