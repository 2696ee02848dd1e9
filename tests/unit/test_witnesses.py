"""Each experiment's witness agrees with what is stored, and sees every quantity of it."""

import json

import pytest

from results.__main__ import experiment
from results._stored import content, differences, label, quantities, read_stamp

# Runs whose witnesses are called here, together seeing every quantity of their experiment.
WITNESSED = {
    "cifar_networks": [{"N": 50, "seed": 0}],
    "disjoint_pairs": [{"N": 250}],
    "constant_rate": [{"width": 64, "N": 25, "steps": 6_400, "batch": 128, "rate": 0.005}],
    "duplicated_points": [{"N": 2_000}],
    "exact_grid": [{"seed": 0}],
    "flat_grid": [{"width": 128, "N": 50}],
    "image_copies": [
        {"name": "cifar10", "N": 50, "seed": 0},
        {"name": "mnist", "N": 200, "seed": 0},
    ],
    "image_detection": [{"name": "mnist", "N": 60_000}, {"name": "fashion_mnist", "N": 50}],
    "image_directions": [{"name": "mnist", "seed": 1}],
    "image_networks": [{"name": "mnist", "N": N, "seed": 0} for N in (50, 200)],
    "image_profiles": [{"name": "mnist"}],
    "label_share": [{"N": 100}],
    "loss_weights": [{"weight": "edm"}],
    "network_grid": [{"width": 32}],
    "network_panel": [{"N": 50, "seed": 1}],
    "not_a_gradient": [
        {"name": "example", "N": 250, "seed": 0},
        {"name": "cifar10", "N": 50, "seed": 0},
    ],
    "turned_scores": [{"seed": 0}],
    "noise_bands": [{"band": "middle"}],
    "rivals": [{"kind": "exchanged_inputs", "N": 100}],
    "target_noise": [{"d": 2, "seed": 0}],
    "trained_networks": [{"N": 50, "steps": 1_000}],
    "underfitting": [{"width": 128}],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WITNESSED)
def test_a_part_of_each_result_can_be_made_again(name):
    """And every quantity of an experiment has a leaf in a witness, but those that are said to have
    none."""
    stored, seen, held = experiment(name), set(), set()
    for c in WITNESSED[name]:
        known, stamp = stored.known(c), read_stamp(stored.path(c, ".stamp"))
        if any(stamp["inputs"][label(item)] != content(item) for item in stored.reads(**c)):
            pytest.fail(f"{c} was read from other data than those that are here")
        for leaves in stored.witness(**c):
            seen |= quantities(leaves.values)
            worst = max(differences(leaves.values, known, stored.allowed(leaves, known)))
            assert worst.share <= 1, (c, worst.words)
    for c in stored.configurations:
        held |= quantities(json.loads(stored.path(c).read_text())["result"])
    assert held - seen == {q for q in held if q.endswith(stored.once)}, "quantities without a leaf"
