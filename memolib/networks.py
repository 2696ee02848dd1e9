"""Networks as denoisers: a residual MLP for points, a small U-Net for images, and the wrapper that
preconditions them.

A network computes F(x, c), of order one in and out, c the noise level; ``NetworkDenoiser`` turns F
into D. Parameters of ``ResidualMLP`` may carry a leading axis of ensemble members, over which
everything broadcasts: one product of stacked matrices instead of one for each member. float32; all
is made of operations that ``torch.func`` differentiates.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from memolib._validate import count, real, real_array
from memolib.denoisers import Denoiser

N_FREQUENCIES = 4  # of c = ln(sigma)/4: waves of ln(sigma) from 16 to 2 long


class Preconditioning(NamedTuple):
    """Coefficients of ``D = skip x + out F(in x, noise)``, each of the shape of t: x and F's target
    have unit variance.

    Attributes:
        skip: c_skip, part of x that the answer keeps.
        out: c_out, scale of F's answer, unit of the data; its inverse square is the weight of a
            squared error of D.
        inside: c_in, scale of F's input, one over the unit of the data.
        noise: c_noise, what F is told of the noise.
    Source: Karras et al., arXiv 2206.00364, table 1. Chapter: ``networks/training``.
    """

    skip: torch.Tensor
    out: torch.Tensor
    inside: torch.Tensor
    noise: torch.Tensor


def preconditioning(t: torch.Tensor, data_std) -> Preconditioning:
    """Give the coefficients for noise of variance t.

    Args:
        t: noise variances, above 0, any shape.
        data_std: root mean square of the centred data's coordinates, above 0; a number, or a tensor
            that fits t.
    Returns: Preconditioning. Source and Chapter: as there.
    """
    total = t + data_std**2
    return Preconditioning(
        data_std**2 / total, data_std * (t / total).sqrt(), total**-0.5, t.log() / 8
    )


def waves(c: torch.Tensor) -> torch.Tensor:
    """Describe noise levels by themselves and a few sines and cosines, along a new last axis.

    Args:
        c: noise levels, any shape.
    """
    octaves = torch.arange(N_FREQUENCIES, dtype=c.dtype, device=c.device)
    angles = c[..., None] * (torch.pi / 2 * 2.0**octaves)
    return torch.cat([c[..., None], angles.sin(), angles.cos()], dim=-1)


N_WAVES = 2 * N_FREQUENCIES + 1


class Linear(nn.Module):
    """Affine map whose weight (..., n_in, n_out) and bias (..., 1, n_out) may carry an axis of
    ensemble members.
    """

    def __init__(self, n_in: int, n_out: int, scale: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(scale * n_in**-0.5 * torch.randn(n_in, n_out))
        self.bias = nn.Parameter(torch.zeros(1, n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., n, n_in) to (..., n, n_out)."""
        product = torch.baddbmm if self.weight.ndim == 3 else torch.addmm
        return product(self.bias, x, self.weight)


class ResidualMLP(nn.Module):
    """Residual network for points, of gated blocks (Shazeer, arXiv 2002.05202), in which the noise
    scales and shifts.

    A product of two linear maps of a block's input gives squares, and so norms, with few units.
    """

    broadcasts = True

    def __init__(self, d: int, width: int = 128, blocks: int = 2):
        """Make a network for points of dimension d, of an even width.

        Raises: ValueError unless d and blocks are 1 or more, width 2 or more.
        """
        super().__init__()
        d, blocks, half = (
            count("d", d),
            count("blocks", blocks),
            count("width", width, minimum=2) // 2,
        )
        if width % 2:
            raise ValueError(f"width is {width}; allowed are even numbers")
        self.config, self.d = (
            {"kind": "ResidualMLP", "d": d, "width": 2 * half, "blocks": blocks},
            d,
        )
        self.inlet, self.outlet = Linear(d, width), Linear(width, d, scale=0.0)
        self.first = nn.ModuleList(Linear(width, width) for _ in range(blocks))
        self.second = nn.ModuleList(Linear(half, width) for _ in range(blocks))
        self.scales = nn.ModuleList(Linear(N_WAVES, half, scale=0.3) for _ in range(blocks))
        self.shifts = nn.ModuleList(Linear(N_WAVES, half, scale=0.3) for _ in range(blocks))
        self.ends = nn.ModuleList(Linear(N_WAVES, width, scale=0.3) for _ in range(2))

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Give F at points x, (..., n, d), and noise levels c, (..., n) or (..., 1), of the shape
        of x.
        """
        noise = waves(c)
        h = self.inlet(x) * (1 + self.ends[0](noise))
        for first, second, scale, shift in zip(
            self.first, self.second, self.scales, self.shifts, strict=True
        ):
            a, b = first(h).chunk(2, dim=-1)
            h = h + second(F.silu(torch.addcmul(shift(noise), a, 1 + scale(noise))) * b)
        return self.outlet(h * (1 + self.ends[1](noise)))


class ConvBlock(nn.Module):
    """Residual block of two convolutions with group normalization; the noise scales and shifts in
    between.
    """

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.normalize = nn.ModuleList(nn.GroupNorm(8, n) for n in (n_in, n_out))
        self.first, self.second = (
            nn.Conv2d(n_in, n_out, 3, padding=1),
            nn.Conv2d(n_out, n_out, 3, padding=1),
        )
        self.noise = Linear(N_WAVES, 2 * n_out, scale=0.3)
        self.skip = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Map images (n, n_in, a, a) to (n, n_out, a, a)."""
        scale, shift = self.noise(noise)[:, :, None, None].chunk(2, dim=1)
        h = self.normalize[1](self.first(F.silu(self.normalize[0](x))))
        return self.skip(x) + self.second(F.silu(h * (1 + scale) + shift))


class UNet(nn.Module):
    """Small U-Net for square images: three resolutions, a block at each on the way down and up."""

    broadcasts = False

    def __init__(self, size: int, channels: int, width: int = 32):
        """Make a network for flattened images, (channels, size, size), the outermost blocks of a
        width.

        Raises: ValueError unless size is a multiple of 4, channels 1 or more and width a multiple
            of 8.
        """
        super().__init__()
        size, channels, width = (
            count("size", size, minimum=4),
            count("channels", channels),
            count("width", width),
        )
        if size % 4 or width % 8:
            raise ValueError(f"size is {size}, width {width}; allowed are multiples of 4 and of 8")
        self.config = {"kind": "UNet", "size": size, "channels": channels, "width": width}
        self.shape, self.d = (channels, size, size), channels * size**2
        self.inlet = nn.Conv2d(channels, width, 3, padding=1)
        wide = 2 * width
        self.down = nn.ModuleList([ConvBlock(width, width), ConvBlock(width, wide)])
        self.middle = ConvBlock(wide, wide)
        self.up = nn.ModuleList([ConvBlock(2 * wide, width), ConvBlock(2 * width, width)])
        self.normalize, self.outlet = (
            nn.GroupNorm(8, width),
            nn.Conv2d(width, channels, 3, padding=1),
        )
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Give F at flattened images x, (n, d), and noise levels c, (n,) or (1,), of the shape of
        x.
        """
        noise, h, kept = waves(c), self.inlet(x.unflatten(-1, self.shape)), []
        for block in self.down:
            kept.append(block(h, noise))
            h = F.avg_pool2d(kept[-1], 2)
        h = self.middle(h, noise)
        for block in self.up:
            h = block(torch.cat([F.interpolate(h, scale_factor=2.0), kept.pop()], dim=1), noise)
        return self.outlet(F.silu(self.normalize(h))).flatten(1)


NETWORKS = {"ResidualMLP": ResidualMLP, "UNet": UNet}


class NetworkDenoiser(Denoiser, nn.Module):
    """A network as a denoiser; calling it denoises.

    Attributes:
        network: what computes F.
        data_std: root mean square of the centred data's coordinates.
        mean: of the data, shape (d,).
    Source: Karras et al., arXiv 2206.00364, eq. 7. Chapter: ``networks/training``.
    """

    takes_each = True
    by_reverse = True

    def __init__(self, network: nn.Module, data_std: float, mean):
        """Wrap a network.

        Raises: ValueError unless data_std is above 0 and mean has the network's d finite numbers.
        """
        super().__init__()
        self.network, self.data_std = network, real("data_std", data_std, minimum=0, strict=True)
        mean = real_array("mean", mean)
        self.d = getattr(network, "d", mean.size)
        if mean.shape != (self.d,):
            raise ValueError(f"mean has shape {mean.shape}; allowed is ({self.d},)")
        self.register_buffer(
            "mean", torch.tensor(mean, dtype=torch.float64)
        )  # it may be far from 0

    @property
    def size(self) -> int:
        """Number of parameters, to be compared with the N d numbers of a data set."""
        return sum(p.numel() for p in self.network.parameters())

    @property
    def place(self) -> torch.device:
        """Where its parameters lie."""
        return self.mean.device

    def __repr__(self) -> str:
        described = getattr(self.network, "config", None) or {
            "kind": type(self.network).__qualname__,
            "d": self.d,
        }
        return f"NetworkDenoiser({', '.join(f'{k}={v}' for k, v in described.items())})"

    def forward(self, x, t) -> torch.Tensor:
        """Denoise, as calling does."""
        return self(x, t)

    def _denoise(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        single = next(self.network.parameters()).dtype
        t = t.to(x) if isinstance(t, torch.Tensor) else x.new_tensor([t])
        p = preconditioning(t, self.data_std)
        mean = self.mean.to(x)
        centred = x - mean
        noise = p.noise
        if type(self.network) not in NETWORKS.values():  # ours take one for all points
            noise = noise.expand(len(x))
        answer = self.network((p.inside[:, None] * centred).to(single), noise.to(single))
        return mean + p.skip[:, None] * centred + p.out[:, None] * answer
