"""Networks as denoisers: a residual MLP for points, a small U-Net for images, preconditioned.

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
from memolib.denoisers import Denoiser, TensorLike

N_FREQUENCIES = 4  # of c = ln(sigma)/4: waves of ln(sigma) from 16 to 2 long


class Preconditioning(NamedTuple):
    """Coefficients of ``D = skip x + out F(in x, noise)``, each of the shape of t.

    With them F's input and its target have unit variance.

    Attributes:
        skip: c_skip, part of x that the answer keeps.
        out: c_out, scale of F's answer, unit of the data; its inverse square is the weight of a
            squared error of D.
        inside: c_in, scale of F's input, one over the unit of the data.
        noise: c_noise, what F is told of the noise.

    Source:
        Karras et al., arXiv 2206.00364, table 1.

    Chapter:
        ``networks/training``.
    """

    skip: torch.Tensor
    out: torch.Tensor
    inside: torch.Tensor
    noise: torch.Tensor


def preconditioning(t: torch.Tensor, data_std: float | torch.Tensor) -> Preconditioning:
    """Give the coefficients for noise of variance t.

    Args:
        t: noise variances, above 0, any shape.
        data_std: root mean square of the centred data's coordinates, above 0; a number, or a tensor
            that fits t.

    Returns:
        Preconditioning.

    Source:
        Karras et al., arXiv 2206.00364, table 1.

    Chapter:
        ``networks/training``.

    Example:
        >>> import torch
        >>> from memolib.networks import preconditioning
        >>> p = preconditioning(torch.tensor([1e-6, 1e6]), data_std=1.0)
        >>> p.skip.round().tolist()  # little noise: x is the answer; much: the network is
        [1.0, 0.0]
    """
    total = t + data_std**2
    return Preconditioning(
        skip=data_std**2 / total,
        out=data_std * (t / total).sqrt(),
        inside=total**-0.5,
        noise=t.log() / 8,
    )


def waves(c: torch.Tensor) -> torch.Tensor:
    """Describe noise levels by themselves and a few sines and cosines, along a new last axis.

    Args:
        c: noise levels, any shape (...).

    Returns:
        Shape (..., 9).

    Source:
        Tancik et al., arXiv 2006.10739.

    Chapter:
        ``networks/training``.
    """
    octaves = torch.arange(N_FREQUENCIES, dtype=c.dtype, device=c.device)
    angles = c[..., None] * (torch.pi / 2 * 2.0**octaves)
    return torch.cat([c[..., None], angles.sin(), angles.cos()], dim=-1)


N_WAVES = 2 * N_FREQUENCIES + 1


class Linear(nn.Module):
    """Affine map whose parameters may carry an axis of ensemble members.

    Attributes:
        weight: shape (..., n_in, n_out).
        bias: shape (..., 1, n_out).

    Chapter:
        ``networks/training``.
    """

    def __init__(self, n_in: int, n_out: int, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(scale * n_in**-0.5 * torch.randn(n_in, n_out))
        self.bias = nn.Parameter(torch.zeros(1, n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give ``x weight + bias``.

        Args:
            x: shape (..., n, n_in).

        Returns:
            Shape (..., n, n_out).
        """
        product = torch.baddbmm if self.weight.ndim == 3 else torch.addmm
        return product(self.bias, x, self.weight)


class ResidualMLP(nn.Module):
    """Residual network for points, of gated blocks in which the noise scales and shifts.

    A product of two linear maps of a block's input gives squares, and so norms, with few units.

    Args:
        d: number of coordinates of a point, 1 or more.
        width: number of units, even, 2 or more.
        blocks: number of blocks, 1 or more.

    Attributes:
        d: number of coordinates of a point.
        config: what it was made with, by name.

    Raises:
        ValueError: for other numbers.

    Source:
        Shazeer, arXiv 2002.05202, for the gates.

    Chapter:
        ``networks/training``.

    Example:
        >>> from memolib import NetworkDenoiser, ResidualMLP
        >>> network = ResidualMLP(2, width=32)
        >>> NetworkDenoiser(network, data_std=1.0, mean=[0.0, 0.0])([[1.0, 2.0]], t=1.0).tolist()
        [[0.5, 1.0]]

        Before it is trained it answers as the optimum for Gaussian data does, x/(1 + t).
    """

    broadcasts = True

    def __init__(self, d: int, width: int = 128, blocks: int = 2) -> None:
        super().__init__()
        d = count("d", d)
        blocks = count("blocks", blocks)
        width = count("width", width, minimum=2)
        half = width // 2
        if width % 2:
            raise ValueError(f"width is {width}; allowed are even numbers")
        self.d = d
        self.config = {"kind": "ResidualMLP", "d": d, "width": width, "blocks": blocks}
        self.inlet = Linear(d, width)
        self.outlet = Linear(width, d, scale=0.0)
        self.first = nn.ModuleList(Linear(width, width) for _ in range(blocks))
        self.second = nn.ModuleList(Linear(half, width) for _ in range(blocks))
        self.scales = nn.ModuleList(Linear(N_WAVES, half, scale=0.3) for _ in range(blocks))
        self.shifts = nn.ModuleList(Linear(N_WAVES, half, scale=0.3) for _ in range(blocks))
        self.ends = nn.ModuleList(Linear(N_WAVES, width, scale=0.3) for _ in range(2))

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Give F.

        Args:
            x: points, shape (..., n, d).
            c: noise levels, shape (..., n) or (..., 1).

        Returns:
            Shape of x.
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
    """Residual block of two convolutions; between them the noise scales and shifts.

    Chapter:
        ``networks/images``.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.normalize = nn.ModuleList(nn.GroupNorm(8, n) for n in (n_in, n_out))
        self.first = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.second = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.noise = Linear(N_WAVES, 2 * n_out, scale=0.3)
        self.skip = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Give the block's answer.

        Args:
            x: images, shape (n, n_in, a, a).
            noise: as ``waves`` describes it, shape (n, 9) or (1, 9).

        Returns:
            Shape (n, n_out, a, a).
        """
        scale, shift = self.noise(noise)[:, :, None, None].chunk(2, dim=1)
        h = self.normalize[1](self.first(F.silu(self.normalize[0](x))))
        return self.skip(x) + self.second(F.silu(h * (1 + scale) + shift))


class UNet(nn.Module):
    """Small U-Net for square images: three resolutions, a block at each on the way down and up.

    Args:
        size: pixels along a side, a multiple of 4.
        channels: number of colours, 1 or more; images are flattened from (channels, size, size).
        width: channels of the outermost blocks, a multiple of 8.

    Attributes:
        d: number of coordinates of a point, channels times size squared.
        config: what it was made with, by name.

    Raises:
        ValueError: for other numbers.

    Source:
        Ronneberger, Fischer and Brox, arXiv 1505.04597; with noise: Ho et al., arXiv 2006.11239.

    Chapter:
        ``networks/images``.

    Example:
        >>> import torch
        >>> from memolib import NetworkDenoiser, UNet
        >>> network = UNet(size=8, channels=1, width=8)
        >>> D = NetworkDenoiser(network, data_std=0.5, mean=torch.zeros(64))
        >>> x = torch.ones(1, 64)
        >>> bool((D(x, t=0.75) == 0.25).all())  # s^2/(s^2 + t), until it is trained
        True
    """

    broadcasts = False

    def __init__(self, size: int, channels: int, width: int = 32) -> None:
        super().__init__()
        size = count("size", size, minimum=4)
        channels = count("channels", channels)
        width = count("width", width)
        if size % 4 or width % 8:
            raise ValueError(f"size is {size}, width {width}; allowed are multiples of 4 and of 8")
        self.config = {"kind": "UNet", "size": size, "channels": channels, "width": width}
        self.shape = (channels, size, size)
        self.d = channels * size**2
        self.inlet = nn.Conv2d(channels, width, 3, padding=1)
        wide = 2 * width
        self.down = nn.ModuleList([ConvBlock(width, width), ConvBlock(width, wide)])
        self.middle = ConvBlock(wide, wide)
        self.up = nn.ModuleList([ConvBlock(2 * wide, width), ConvBlock(2 * width, width)])
        self.normalize = nn.GroupNorm(8, width)
        self.outlet = nn.Conv2d(width, channels, 3, padding=1)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Give F.

        Args:
            x: flattened images, shape (n, d).
            c: noise levels, shape (n,) or (1,).

        Returns:
            Shape of x.
        """
        noise = waves(c)
        h = self.inlet(x.unflatten(-1, self.shape))
        kept = []
        for block in self.down:
            kept.append(block(h, noise))
            h = F.avg_pool2d(kept[-1], 2)
        h = self.middle(h, noise)
        for block in self.up:
            h = block(torch.cat([F.interpolate(h, scale_factor=2.0), kept.pop()], dim=1), noise)
        return self.outlet(F.silu(self.normalize(h))).flatten(1)


NETWORKS = {"ResidualMLP": ResidualMLP, "UNet": UNet}


class NetworkDenoiser(Denoiser, nn.Module):
    """A network as a denoiser, ``D = skip x + out F(in x, noise)``, of centred data.

    Calling it denoises, as ``Denoiser`` says.

    Args:
        network: what computes F, of points (n, d) and noise levels (n,).
        data_std: root mean square of the centred data's coordinates, above 0.
        mean: of the data, shape (d,).

    Attributes:
        network: what was given.
        data_std: what was given.
        mean: shape (d,), float64.
        d: number of coordinates of a point.

    Raises:
        ValueError: for another data_std, or a mean that is not d finite numbers.

    Source:
        Karras et al., arXiv 2206.00364, eq. 7.

    Chapter:
        ``networks/training``.

    Example:
        >>> from memolib import NetworkDenoiser, ResidualMLP
        >>> D = NetworkDenoiser(ResidualMLP(1, width=16), data_std=2.0, mean=[100.0])
        >>> D([[108.0]], t=4.0).tolist()  # a new network's answer: half way to the mean
        [[104.0]]
    """

    takes_each = True
    by_reverse = True

    def __init__(self, network: nn.Module, data_std: float, mean: TensorLike) -> None:
        super().__init__()
        self.network = network
        self.data_std = real("data_std", data_std, minimum=0, strict=True)
        mean = real_array("mean", mean)
        self.d = getattr(network, "d", mean.size)
        if mean.shape != (self.d,):
            raise ValueError(f"mean has shape {mean.shape}; allowed is ({self.d},)")
        # In double precision, since it may be far from 0.
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float64))

    @property
    def size(self) -> int:
        """Number of parameters, to be compared with the N d numbers of a data set."""
        return sum(p.numel() for p in self.network.parameters())

    @property
    def place(self) -> torch.device:
        """Where its parameters lie."""
        return self.mean.device

    def __repr__(self) -> str:
        other = {"kind": type(self.network).__qualname__, "d": self.d}
        described = getattr(self.network, "config", None) or other
        return f"NetworkDenoiser({', '.join(f'{k}={v}' for k, v in described.items())})"

    def forward(self, x: TensorLike, t: TensorLike) -> torch.Tensor:
        """Denoise, as calling does.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            Means of the data, shape (n, d).

        Raises:
            ValueError: for other points or noise.
        """
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
