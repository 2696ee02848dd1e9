"""Derivatives of a batch of answers by its own points, along many directions at once.

As many points, or directions at points, go at once as have ``TOGETHER`` numbers in all: enough for
large operations (of 30 coordinates, all directions of 72 points), few enough for a U-Net's layers,
which take some 500 times as many. Forward mode computes the answer anew for each part, and so takes
parts twice as large.
"""

from collections.abc import Callable

import torch
from torch.func import jvp, vjp, vmap

TOGETHER = 2**16


def along(function: Callable, x: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Give ``G v`` for a stack of directions v of the shape of x, by forward mode."""

    def push(v: torch.Tensor) -> torch.Tensor:
        return jvp(function, (x,), (v,))[1]

    return vmap(push, chunk_size=max(1, 2 * TOGETHER // x.numel()))(directions)


def across(function: Callable, x: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Give ``G' v`` for a stack of directions v of the shape of x, by reverse mode."""
    pull = vjp(function, x)[1]
    return vmap(lambda v: pull(v)[0], chunk_size=max(1, TOGETHER // x.numel()))(directions)


def forward(function: Callable, x: torch.Tensor) -> torch.Tensor:
    """Give Jacobians by forward mode, shape (n, d, m) where d answers depend on m coordinates."""
    return along(function, x, _axes(x)).permute(1, 2, 0)


def reverse(function: Callable, x: torch.Tensor) -> torch.Tensor:
    """Give Jacobians of shape (n, d, d) by reverse mode: for networks in half the time."""
    return across(function, x, _axes(x)).permute(1, 0, 2)


def _axes(x: torch.Tensor) -> torch.Tensor:
    """Each coordinate's direction, for all points alike, shape (d, n, d)."""
    return torch.eye(x.shape[1], dtype=x.dtype, device=x.device)[:, None].expand(-1, len(x), -1)
