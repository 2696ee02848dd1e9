"""The benchmarks run on what is stored today, and their plain ways give what memolib gives."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from memolib import spectra
from memolib.empirical import Empirical
from memolib.points import add_noise, gaussian

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Import a benchmark by its name, as running it would."""
    monkeypatch.syspath_prepend(str(FOLDER))
    known = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - known:
        if name in {path.stem for path in FOLDER.glob("*.py")}:
            del sys.modules[name]


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("[a-z]*.py")))
def test_a_benchmark_can_be_imported(benchmark, name):
    assert callable(benchmark(name).main)


def test_the_stored_network_is_there(benchmark):
    unet, image = benchmark("_common").stored_unet()
    assert unet.d == 784
    assert image.shape == (1, 784)
    assert 0 <= float(image.min()) < float(image.max()) <= 1


@pytest.mark.parametrize("t", [0.05, 0.5, 5.0])  # N_eff from 1 to most of the points
def test_the_plain_spectra_are_those_of_memolib(benchmark, t):
    plain = benchmark("spectra")
    y = torch.sigmoid(gaussian(300, 5, seed=0) @ gaussian(5, 98, seed=1) / 2)
    x = add_noise(y[:4], t, seed=2)
    ours = Empirical(y).spectrum(x, t)
    assert torch.allclose(plain.by_covariance(y, x, t), ours, atol=1e-9)
    assert torch.allclose(plain.by_autograd(y, x, t), ours, atol=1e-9)


def test_the_plain_readings_are_those_of_memolib(benchmark):
    plain = benchmark("dimension")
    y = gaussian(50, 6, seed=3)
    D = Empirical(y)
    x = add_noise(y[:1], 0.3, seed=4)
    found = plain.plain_flipd(D, x, 0.3)
    trace = spectra.jacobian(D, x, 0.3).diagonal(dim1=1, dim2=2).sum()
    assert float(found) == pytest.approx(
        float(trace + ((D(x, 0.3) - x) ** 2).sum() / 0.3), rel=1e-9
    )
