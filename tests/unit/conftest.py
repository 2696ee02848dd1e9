"""No test leaves the world changed: what is global is compared before and after each.

Warnings' filters are not in the list: pytest itself puts them back after each test.
"""

import os
from unittest import mock

import numpy as np
import pytest
import sklearn  # noqa: F401  # it sets variables of its own where it is first imported
import torch

# Set by pytest, and by torch and threadpoolctl where they are first used.
OTHERS = (
    "PYTEST_CURRENT_TEST",
    "TORCHINDUCTOR_CACHE_DIR",
    "KMP_DUPLICATE_LIB_OK",
    "KMP_INIT_AT_FORK",
)


def global_state() -> dict:
    """What a test could change for all that come after it."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "torch's default dtype": torch.get_default_dtype(),
        "torch's grad mode": torch.is_grad_enabled(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "NumPy's global random state": (kind, keys.tobytes(), *rest),
        "NumPy's errstate": np.geterr(),
        "NumPy's print options": {
            k: v for k, v in np.get_printoptions().items() if k != "formatter"
        },
        "the environment": {k: v for k, v in os.environ.items() if k not in OTHERS},
        "the working directory": os.getcwd(),
    }


def restore(state: dict) -> None:
    """Put back what tests change most, so that one test fails and not all after it."""
    torch.set_default_dtype(state["torch's default dtype"])
    torch.set_grad_enabled(state["torch's grad mode"])
    torch.set_num_threads(state["torch's number of threads"])
    torch.use_deterministic_algorithms(state["torch's deterministic mode"])
    kind, keys, *rest = state["NumPy's global random state"]
    np.random.set_state((kind, np.frombuffer(keys, np.uint32), *rest))  # noqa: NPY002
    np.seterr(**state["NumPy's errstate"])
    np.set_printoptions(**state["NumPy's print options"])
    for name in set(os.environ) - set(state["the environment"]) - set(OTHERS):
        del os.environ[name]
    os.environ.update(state["the environment"])
    os.chdir(state["the working directory"])


@pytest.fixture(autouse=True)
def the_world_stays_as_it_is():
    """Fail a test that changes global state; torch's random numbers start alike in each.

    New networks draw from torch's global generator, so that it is set, and put back, around each
    test: no test depends on those before it. That the package itself leaves it alone is tested in
    ``test_properties``.
    """
    before = global_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    after = global_state()
    changed = [name for name in before if after[name] != before[name]]
    if changed:
        restore(before)
        pytest.fail(f"this test leaves changed: {', '.join(changed)}")


@pytest.fixture
def own_environment():
    """Put the environment back: Dask sets variables when it starts workers, and leaves them."""
    with mock.patch.dict(os.environ):
        yield
