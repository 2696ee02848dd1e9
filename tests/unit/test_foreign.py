"""The door: a zoo of other people's models, each through every public function: right, or refused
by name."""

import types

import numpy as np
import pytest
import torch
from torch import nn

from memolib import dimension, sampling, spectra
from memolib.foreign import as_denoiser
from memolib.manifolds import LinearManifold
from memolib.networks import NetworkDenoiser, ResidualMLP
from memolib.points import add_noise, gaussian

D, T = 4, 0.5
A = 0.3 * gaussian(D, D, seed=1)
B = 0.5 * gaussian(D, D, seed=2)
X = gaussian(3, D, seed=3)


def truth(x, t):
    """A denoiser as it should be: of torch operations, each point for itself."""
    return (x @ A.to(x) + torch.tanh(x @ B.to(x))) / (1 + t)


DERIVATIVES = {  # functions that need derivatives, and those that do not
    "jacobian": lambda D, x: spectra.jacobian(D, x, T),
    "spectrum": lambda D, x: spectra.spectrum(D, x, T),
    "leading": lambda D, x: spectra.leading(D, x, T, 2, seed=0).values,
    "effective": lambda D, x: dimension.effective(D, x, T),
    "effective, probes": lambda D, x: dimension.effective(D, x, T, probes=3, seed=0),
    "flipd": lambda D, x: dimension.flipd(D, x, T),
    "flow_log_density": lambda D, x: sampling.flow_log_density(D, x, T, 9.0, steps=3),
    "products": lambda D, x: as_denoiser(D).products(x, T, x.expand(2, -1, -1)),
}
ANSWERS = {
    "denoising": lambda D, x: as_denoiser(D)(x, T),
    "score": lambda D, x: as_denoiser(D).score(x, T),
    "kicks": lambda D, x: spectra.spectrum(D, x, T, method="perturbation"),
    "normal_bundle": lambda D, x: spectra.normal_bundle(D, x, T, seed=0),
    "stacked": lambda D, x: spectra.stacked(D, x, T, seed=0).values,
    "normal_bundle_dimension": lambda D, x: dimension.normal_bundle_dimension(D, x, T, seed=0).size,
    "probability_flow": lambda D, x: sampling.probability_flow(D, x, 4.0, T, steps=3),
    "reverse_sde": lambda D, x: sampling.reverse_sde(D, x, 4.0, T, steps=3, seed=0),
}
FUNCTIONS = DERIVATIVES | ANSWERS


class Module(nn.Module):
    """The truth as a module, with what others do around it."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        self.a, self.b = nn.Parameter(A.clone().to(dtype)), nn.Parameter(B.clone().to(dtype))
        self.dropout, self.activation = nn.Dropout(0.5), nn.ReLU(inplace=True)

    def forward(self, x, t):
        return (x @ self.a + torch.tanh(x @ self.b)) / (1 + t)


class Training(Module):
    """Dropout and batch normalization, left in training mode."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(D, affine=False, dtype=torch.float64)

    def forward(self, x, t):
        # in evaluation mode, with its first running averages, the norm does nothing but its small
        # epsilon
        return super().forward(self.dropout(self.norm(x) * (1 + self.norm.eps) ** 0.5), t)


class InPlace(Module):
    def forward(self, x, t):
        x *= 2
        return super().forward(x / 2, t)


class NoGrad(Module):
    @torch.no_grad()
    def forward(self, x, t):
        return super().forward(x, t)


class Attention(nn.Module):
    """Fused attention over the coordinates of a point: no forward mode."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lift, self.inner = (
            nn.Linear(1, 8, dtype=torch.float64),
            nn.MultiheadAttention(8, 2, batch_first=True),
        )
        self.inner.double()
        self.out = nn.Linear(8, 1, dtype=torch.float64)

    def forward(self, x, t):
        h = self.lift(x[:, :, None])
        return self.out(nn.functional.scaled_dot_product_attention(h, h, h))[:, :, 0] / (1 + t)


class PlainAttention(Attention):
    """The same in simple operations."""

    def forward(self, x, t):
        h = self.lift(x[:, :, None])
        w = torch.softmax(h @ h.mT / 8**0.5, dim=-1)
        return self.out(w @ h)[:, :, 0] / (1 + t)


# a variance-preserving schedule; t = (1 - ABAR)/ABAR from .001 to 19
ABAR = np.linspace(0.999, 0.05, 200)
TIMES = (1 - ABAR) / ABAR


def variance(k):
    """Noise variance of a (fractional) step."""
    return torch.exp(
        torch.from_numpy(np.interp(np.atleast_1d(k), np.arange(200), np.log(TIMES)))
    ).reshape(np.shape(k))


def on_schedule(z, k):
    """What points z of the schedule at step k say: x, t, D."""
    t = variance(k)
    x = z * (1 + t) ** 0.5
    return x, t, truth(x, t)


def noise_of_step(z, k):
    x, t, answer = on_schedule(z, k)
    return (x - answer) / t**0.5


def velocity(z, k):
    x, t, answer = on_schedule(z, k)
    return ((x - answer) / t**0.5 - t**0.5 * answer) / (1 + t) ** 0.5


def score_of_step(z, k):
    x, t, answer = on_schedule(z, k)
    return (answer - x) / t * (1 + t) ** 0.5


class Object:
    def predict(self, x, t):
        return truth(x, t)

    def __call__(self, x, t):
        return self.predict(x, t)


GOOD = {
    "a function": lambda: truth,
    "a lambda": lambda: lambda x, t: truth(x, t),
    "an object": Object,
    "a bound method": lambda: Object().predict,
    "a module with gradients": Module,
    "a module in training mode": Training,
    "a module that changes its input": InPlace,
    "a module without gradients": NoGrad,
    "a function without gradients": lambda: torch.no_grad()(lambda x, t: truth(x, t)),
    "in double precision": lambda: Module().double(),
    "in single precision": lambda: Module(torch.float32),
    "in half precision": lambda: as_denoiser(
        lambda x, t: truth(x.float(), t).to(x), dtype=torch.bfloat16
    ),
    "noise": lambda: as_denoiser(lambda x, t: (x - truth(x, t)) / t**0.5, predicts="noise"),
    "score": lambda: as_denoiser(lambda x, t: (truth(x, t) - x) / t, predicts="score"),
    "of sigma": lambda: as_denoiser(lambda x, s: truth(x, s**2), time="sigma"),
    "wants a tensor": lambda: as_denoiser(lambda x, t: truth(x, t.log().exp()), time_as="scalar"),
    "wants a column": lambda: as_denoiser(lambda x, t: truth(x, t[:, None]), time_as="each"),
    "noise of a step": lambda: as_denoiser(
        noise_of_step, predicts="noise", time="step", schedule=ABAR
    ),
    "velocity of a step": lambda: as_denoiser(
        velocity, predicts="velocity", time="step", schedule=ABAR
    ),
    "score of a step": lambda: as_denoiser(
        score_of_step, predicts="score", time="step", schedule=ABAR
    ),
    "of images": lambda: as_denoiser(
        lambda x, t: truth(x.flatten(1), t).reshape(x.shape), shape=(1, 2, 2)
    ),
    "attention": Attention,
    "attention in a function": lambda: (lambda net: lambda x, t: net(x, t))(Attention()),
}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", GOOD)
def test_good_models_are_answered_rightly(name, function):
    """As the truth in plain torch operations; in the model's own precision."""
    if name == "in half precision" and function in (
        "normal_bundle",
        "normal_bundle_dimension",
        "stacked",
        "leading",
    ):
        tolerance = 0.05
    else:
        tolerance = {"in single precision": 1e-4, "in half precision": 0.03}.get(name, 1e-7)
    reference = PlainAttention().requires_grad_(False) if "attention" in name else truth
    model, x = GOOD[name](), X.clone()
    before = [p.clone() for p in model.parameters()] if isinstance(model, nn.Module) else []
    modes = [m.training for m in model.modules()] if isinstance(model, nn.Module) else []
    found, expected = FUNCTIONS[function](model, x), FUNCTIONS[function](reference, X)
    assert found.dtype == torch.float64 and not found.requires_grad
    assert torch.allclose(found, expected, atol=tolerance), (found - expected).abs().max()
    assert torch.equal(x, X)
    if isinstance(model, nn.Module):
        assert all(map(torch.equal, before, model.parameters())) and modes == [
            m.training for m in model.modules()
        ]
        if isinstance(model, Training):
            assert int(model.norm.num_batches_tracked) == 0


class WrongDerivative(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return torch.tanh(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, gradient):
        return 3 * gradient

    @staticmethod
    def vmap(info, in_dims, x):
        return WrongDerivative.apply(x), in_dims[0]


class Counting(Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, t):
        self.calls += 1
        return super().forward(x, t)


class BatchStatistics(Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(D, track_running_stats=False, affine=False, dtype=torch.float64)

    def forward(self, x, t):
        return super().forward(self.norm(x), t)


class Inference(Module):
    @torch.inference_mode()
    def forward(self, x, t):
        return super().forward(x, t)


class Detached(Module):
    def forward(self, x, t):
        return super().forward(x.detach(), t)


def raising(x, t):
    raise RuntimeError("my own mistake")


BAD = {  # the model, the word that names the rule, and whether only derivatives break it
    "detached": (lambda: lambda x, t: truth(x.detach(), t), "cuts derivatives", True),
    "detached module": (Detached, "cuts derivatives", True),
    "by NumPy": (
        lambda: lambda x, t: torch.from_numpy(truth(x, t).detach().numpy()),
        "no derivative|cuts", True
    ),
    "wrong derivative": (lambda: lambda x, t: WrongDerivative.apply(x), "derivative", True),
    "dropout": (lambda: lambda x, t: nn.functional.dropout(truth(x, t), 0.5), "randomness", False),
    "noise added": (
        lambda: lambda x, t: truth(x, t) + 0.01 * torch.randn_like(x), "randomness", False
    ),
    "batch mean": (lambda: lambda x, t: truth(x - 0.3 * x.mean(dim=0), t), "coupling", False),
    # torch refuses one point alone
    "batch statistics": (
        BatchStatistics, "more than 1 value per channel", False
    ),
    "counting": (Counting, "changes its buffers calls", False),
    "one row": (lambda: lambda x, t: truth(x, t)[:1], r"shape \(1, 4\)", False),
    "one column": (lambda: lambda x, t: truth(x, t)[:, :1], r"shape \(\d, 1\)", False),
    "flat": (lambda: lambda x, t: truth(x, t).sum(dim=1), r"shape \(\d,\)", False),
    "too wide": (lambda: lambda x, t: torch.cat([x, x], dim=1), r"shape \(\d, 8\)", False),
    "a tuple": (lambda: lambda x, t: (truth(x, t), t), "answers with tuple", False),
    "an object with a sample": (
        lambda: lambda x, t: types.SimpleNamespace(sample=x), "answers with SimpleName", False
    ),
    "an array": (lambda: lambda x, t: truth(x, t).detach().numpy(), "answers with ndarray", False),
    "nothing": (lambda: lambda x, t: None, "answers with NoneType", False),
    "complex": (lambda: lambda x, t: truth(x, t) + 0j, "answers with torch.complex128", False),
    "NaN": (lambda: lambda x, t: truth(x, t) * float("nan"), "not finite", False),
    "infinite": (lambda: lambda x, t: truth(x, t) / 0, "not finite", False),
    "wants a tensor of noise": (
        lambda: lambda x, t: truth(x, t.log()), "with variance as number", False
    ),
    "wants a column of noise": (
        lambda: lambda x, t: truth(x, t[:, None]), "with variance as number", False
    ),
    "another d": (lambda: nn.Linear(7, 7), "fails on points", False),
    "one argument": (lambda: lambda x: x, "fails on points", False),
    "raising": (lambda: raising, "my own mistake", False),
    "no function": (lambda: 3, "model is 3; allowed", False),
    "beyond its schedule": (
        lambda: as_denoiser(velocity, predicts="velocity", time="step", schedule=ABAR[:50]),
        "on this schedule", False
    ),
}  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", BAD)
def test_bad_models_are_refused_by_name(name, function):
    make, word, derivatives_only = BAD[name]
    model = make()
    if derivatives_only and function in ANSWERS:
        reference = (lambda x, t: torch.tanh(x)) if name == "wrong derivative" else truth
        assert torch.allclose(
            FUNCTIONS[function](model, X), FUNCTIONS[function](reference, X), atol=1e-7
        )
        return
    with pytest.raises(ValueError, match=word):
        FUNCTIONS[function](model, X)
    assert name != "counting" or float(model.calls) == 0


@pytest.mark.parametrize("function", DERIVATIVES)
def test_inference_mode_is_right_or_refused(function):
    try:
        found = DERIVATIVES[function](Inference(), X)
    except ValueError as refused:
        assert "derivative" in str(refused)
    else:
        assert torch.allclose(found, DERIVATIVES[function](truth, X), atol=1e-7)


# Does it denoise?
# ------------------------------------------------------------------------------------

LAW = LinearManifold([1.0, 0.5, 0.2, 0.01])
DATA = LAW.sample(200, seed=5)


@pytest.mark.parametrize("predicts", ["data", "noise", "score"])
@pytest.mark.parametrize("time", ["variance", "sigma"])
def test_a_convention_that_is_not_the_models_is_refused_with_the_right_one(predicts, time):
    """A model of each convention, given as each other: refused, and the right one is named; as
    itself: taken."""

    def model(x, s):
        t = s**2 if time == "sigma" else s
        answer = LAW(x, t)
        return {"data": answer, "noise": (x - answer) / t**0.5, "score": (answer - x) / t}[predicts]

    for stated in ("data", "noise", "score"):
        for clock in ("variance", "sigma"):
            if (stated, clock) == (predicts, time):
                D = as_denoiser(model, predicts=stated, time=clock, data=DATA)
                assert torch.allclose(D(DATA, 0.3), LAW(DATA, 0.3), atol=1e-12)
            else:
                with pytest.raises(
                    ValueError, match=f"predicts='{predicts}', time='{time}' would leave"
                ):
                    as_denoiser(model, predicts=stated, time=clock, data=DATA)


def test_a_model_that_does_not_denoise_is_refused():
    for model in (lambda x, t: x, lambda x, t: LAW(x, t) - x, lambda x, t: torch.zeros_like(x) + 3):
        with pytest.raises(ValueError, match="does not denoise these data"):
            as_denoiser(model, data=DATA)


def test_a_network_that_is_hardly_trained_is_taken():
    """It denoises a little, and no other reading of it denoises more."""
    as_denoiser(lambda x, t: 0.9 * LAW(x, 1.3 * t) + 0.05, data=DATA)


# Memory, and how often a model is called
# ------------------------------------------------------------------------------------


def test_samplers_and_kicks_run_in_constant_memory():
    """Networks whose parameters require gradients: ten times the steps, the same peak."""
    net = nn.Sequential(nn.Linear(784, 64), nn.Tanh(), nn.Linear(64, 784))
    model, x = as_denoiser(lambda x, t: net(x) / (1 + t)), gaussian(500, 784, seed=0).float()

    def peak(run):
        with torch.profiler.profile(
            profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]
        ) as profile:
            run()
        held = highest = 0
        for event in sorted(profile.events(), key=lambda e: e.time_range.start):
            if event.name == "[memory]":
                held += event.cpu_memory_usage
                highest = max(highest, held)
        return highest

    own = NetworkDenoiser(ResidualMLP(784, width=16), 0.8, np.zeros(784))
    assert next(own.parameters()).requires_grad
    for run in (
        lambda steps: sampling.probability_flow(model, x, 4.0, 0.1, steps=steps),
        lambda steps: sampling.probability_flow(own, x, 4.0, 0.1, steps=steps),
        lambda steps: sampling.sample(own, 500, t_end=0.1, steps=steps, seed=0),
        lambda steps: sampling.reverse_sde(model, x, 4.0, 0.1, steps=steps, seed=0),
        lambda steps: spectra.normal_bundle(model, x[: steps // 10], 0.1, copies=500, seed=0),
    ):
        run(10)
        few, many = peak(lambda run=run: run(10)), peak(lambda run=run: run(100))
        assert many < 1.1 * few + 1e6, (few, many)


def test_a_model_is_tried_once():
    calls = []

    def model(x, t):
        calls.append(len(x))
        return truth(x, t)

    spectra.jacobian(model, X, T)
    first = len(calls)
    spectra.jacobian(model, X, T)
    assert len(calls) - first == 1 and first < 20


def test_gradients_pass_where_x_asks_for_them():
    x = X.clone().requires_grad_()
    out = as_denoiser(Module())(x, T)
    (found,) = torch.autograd.grad(out.sum(), x)
    (expected,) = torch.autograd.grad(truth(x, T).sum(), x)
    assert torch.allclose(found, expected, atol=1e-12)


def test_points_on_the_data_and_far_away():
    """Trials do not depend on where the first points lie: one point, equal points, far points, tiny
    and large noise."""
    for x in (X[:1], X[:1].expand(3, -1), 1e4 * X, 0 * X):
        for t in (1e-8, 1.0, 1e6):
            assert torch.allclose(
                spectra.jacobian(lambda x, t: truth(x, t), x, t), spectra.forward_mode(truth, x, t)
            )


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"predicts": "x0"}, "predicts is 'x0'; allowed are data"),
        ({"time": "alpha"}, "time is 'alpha'"),
        ({"time_as": "list"}, "time_as is 'list'"),
        ({"time": "step"}, "schedule is None"),
        ({"schedule": ABAR}, "allowed is one with time='step'"),
        ({"predicts": "velocity"}, "velocities need it"),
        ({"time": "step", "schedule": ABAR[::-1]}, "falling numbers"),
        ({"time": "step", "schedule": [1.0, 0.5]}, "falling numbers"),
        ({"time": "step", "schedule": [0.5]}, "falling numbers"),
        ({"shape": (0, 4)}, "shape is 0"),
        ({"data": np.ones((3, 2, 2))}, "data has shape"),
        ({"data": np.ones((3, 5)), "d": 4}, "data has shape"),
    ],
)
def test_conventions_that_are_none_are_refused(keys, says):
    with pytest.raises(ValueError, match=says):
        as_denoiser(truth, **keys)
    with pytest.raises(ValueError, match="a denoiser already"):
        as_denoiser(LAW, **keys)


def test_many_noisy_points_of_a_law_are_denoised_as_by_the_law():
    """The least that a researcher does: their own function, its conventions stated, its samples
    judged."""

    def noise_of(x, sigma):
        return (x - LAW(x, sigma**2)) / sigma

    D = as_denoiser(noise_of, predicts="noise", time="sigma", data=DATA)
    x = add_noise(DATA, 0.1, seed=6)
    assert torch.allclose(spectra.spectrum(D, x, 0.1), LAW.spectrum(x, 0.1), atol=1e-10)
    made = sampling.probability_flow(D, 10 * gaussian(500, 4, seed=7), 100.0, 1e-4, steps=60)
    assert torch.allclose(made.var(dim=0), LAW.variances, rtol=0.2)
