"""Stored results: they belong to the code that is here, and a stored network can be made again."""

import importlib.util
import json
import sys

import numpy as np
import pytest
import torch

from memolib import checkpoints, networks, training
from memolib.networks import ResidualMLP
from memolib.points import add_noise
from memolib.spectra import spectrum
from memolib.sweeps import code_digest
from memolib.training import train
from tools.notebooks import ROOT


@pytest.fixture(scope="module")
def network_grid():
    spec = importlib.util.spec_from_file_location("network_grid", ROOT / "results" / "network_grid.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["network_grid"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["network_grid"]


def stored(module) -> dict:
    found = [json.loads(path.read_text()) for path in module.FOLDER.glob("*.json")]
    return {next(iter(run["configuration"].items())): run for run in found}


def test_the_grid_is_complete_and_belongs_to_the_code(network_grid):
    """Change its code, or that of networks, training or checkpoints, and the grid must be run again."""
    found = stored(network_grid)
    wanted = [("width", w) for w in network_grid.WIDTHS] + [("seed", s) for s in network_grid.SEEDS]
    assert sorted(found) == sorted(wanted)
    for (kind, _), run in found.items():
        own = [network_grid, networks, training, checkpoints] if kind == "width" else [network_grid]
        assert run["code"] == code_digest(network_grid.run if kind == "width" else network_grid.exact, own)
        assert len(run["result"]) > 400 if kind == "width" else len(run["result"]) == 2 * len(network_grid.SIZES)


class Enough(Exception):
    """Ends a training run."""


def test_stored_networks_can_be_made_again(network_grid, monkeypatch, tmp_path):
    """Width 32, 10 and 50 points, one seed: the first 4,000 of the 64,000 steps, to what rounding grows to in them."""
    width, seed, sizes, last, kept = 32, 2, (10, 50), 4_000, {}

    def stop(folder, step, tensors, note):
        if step == last:
            kept.update(tensors)
            raise Enough

    monkeypatch.setattr(training.files, "checkpoint", stop)
    network, data = ResidualMLP(30, width), [network_grid.sample(seed)[:N] for N in sizes]
    with pytest.raises(Enough):
        train(
            data, network, steps=network_grid.MARKS[-1], seeds=seed, batch=128, average=0.9995,
            snapshots=network_grid.MARKS, checkpoints=tmp_path,
        )  # fmt: skip
    result = stored(network_grid)["width", width]["result"]
    for k, (N, y) in enumerate(zip(sizes, data, strict=True)):
        member = training._Member(y.float(), seed, None)
        for mark, near in ((500, 0.002), (last, 0.02)):
            D = member.denoiser(network.config, kept[f"snapshot {mark}"][k])
            found, known = network_grid.traces(D, y, seed), result[f"{seed} {N} {mark}"]
            for name in ("trace A high", "trace A low", "trace C low", "median B high"):
                assert np.allclose(found[name], known[name], atol=near), (mark, N, name)
        share = network_grid.copies(network_grid.generated(D), y, network_grid._threshold(y, seed))["copies"]
        assert share == pytest.approx(known["copies"], abs=0.02)
    assert result[f"{seed} 10 {last}"]["copies"] > 0.2 > 0.05 > result[f"{seed} 50 {last}"]["copies"]


def test_a_stored_spectrum_of_an_image_network():
    """The first training image with noise (A), 100 images of MNIST: measured on a GPU, and here."""
    folder = ROOT / "results" / "image_networks"
    runs = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    (run,) = (r for r in runs if r["configuration"] == {"seed": 0, "name": "mnist", "N": 100})
    assert {f"{c['name']}-{c['N']}-{c['seed']}" for c in (r["configuration"] for r in runs)} == {
        path.stem for path in folder.glob("*.safetensors")
    }
    image = torch.from_numpy(np.load(ROOT / "results" / "image_copies.npz")["image"]).float() / 255
    D, t = checkpoints.load(folder / "mnist-100-0.safetensors"), 0.4**2
    found = spectrum(D, add_noise(image, t, seed=0), t)[0]
    assert np.allclose(found, run["result"]["A"][2][0], atol=0.02) and found.max() > 0.3


def test_stored_networks_of_photographs():
    """Each run has its weights and images, and says of itself what these say."""
    folder = ROOT / "results" / "cifar_networks"
    runs = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    names = {f"{c['N']}-{c['seed']}": r["result"] for r in runs for c in [r["configuration"]]}
    assert len(names) == len(runs) >= 5 and set(names) == {path.stem for path in folder.glob("*.safetensors")}
    for name, result in names.items():
        D, made = checkpoints.load(folder / f"{name}.safetensors"), np.load(folder / f"{name}.npz")
        assert D.size == result["parameters"] and made["images"].shape == (200, 256)
        assert np.mean(np.array(result["ratios"]) < result["threshold"]) == pytest.approx(result["copies"], abs=0.01)
        assert np.shape(result["A"]) == np.shape(result["C"]) == (4, 8, 256)
