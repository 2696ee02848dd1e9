"""The empirical denoiser of data too large for one machine, in shards on a Dask cluster.

Each worker holds shards of the data and answers for them with an ordinary ``Empirical``; the
answers to a block of queries are merged as all sums of exponentials are, by their largest
logarithm, so that nothing is approximated.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from memolib._extras import extra
from memolib.denoisers import TensorLike
from memolib.empirical import Averages, Empirical

BLOCK = 1_000  # queries a task


class Sharded(Averages):
    """Empirical denoiser of data in shards on a cluster; calling it denoises, on all workers.

    Its methods are those of ``Empirical`` that need no array of N columns, with the same results up
    to rounding, for points without gradients. Needs the extra ``cluster`` (Dask). A worker that is
    lost costs time, not answers: its shards are read again by another, so give large ones as
    functions (arrays are kept here and sent once more).

    Args:
        shards: one or more, each an array, shape (N_s, d), or a function that reads one on the
            worker; of one d and one dtype.
        address: of the cluster's scheduler, such as ``tcp://127.0.0.1:8786``.

    Attributes:
        shape: of all the data, (N, d).
        d: number of coordinates of a point.

    Raises:
        ValueError: where there is no shard or no worker, or shards differ in d or dtype.
        ImportError: where the extra is not installed.

    Source:
        This book.

    Chapter:
        ``reference/clusters``.

    Example:
        >>> from distributed import LocalCluster
        >>> from memolib import Empirical, Sharded
        >>> options = {"processes": False, "dashboard_address": None, "protocol": "inproc"}
        >>> with LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster:
        ...     D = Sharded([[[0.0], [1.0]], [[2.0]]], cluster.scheduler_address)
        ...     apart = D([[0.9]], t=0.1)
        ...     D.close()
        >>> together = Empirical([[0.0], [1.0], [2.0]])([[0.9]], t=0.1)
        >>> round(apart.item(), 6) == round(together.item(), 6), round(apart.item(), 2)
        (True, 0.98)
    """

    def __init__(
        self,
        shards: Sequence[TensorLike | Callable[[], TensorLike]],
        address: str,
    ) -> None:
        with extra("cluster"):
            from distributed import Client

        if not len(shards):
            raise ValueError("shards is empty; allowed are one or more")
        self._client = Client(address, set_as_default=False)
        try:
            workers = sorted(self._client.nthreads())
            if not workers:
                raise ValueError(f"address is {address}; allowed is a scheduler that has workers")
            # Each shard has a home, or Dask would move them about.
            self._homes = [workers[k % len(workers)] for k in range(len(shards))]
            # A view of a tensor is sent with all that it views.
            shards = [s.clone() if isinstance(s, torch.Tensor) else s for s in shards]
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph")  # that is what is meant
                self._shards = [
                    self._submit(home, _hold, s)
                    for home, s in zip(self._homes, shards, strict=True)
                ]
            shapes = self._client.gather(self._on_all(_shape))
            if len({shape[1:] for shape in shapes}) > 1:
                allowed = "(N_s, d) with one d, one type"
                raise ValueError(f"shards have shapes and types {shapes}; allowed are {allowed}")
        except BaseException:
            self.close()
            raise
        _, self.d, kind = shapes[0]
        self.shape = (sum(shape[0] for shape in shapes), self.d)
        self.precision = getattr(torch, kind.removeprefix("torch."))
        self.place = "cpu"

    def close(self) -> None:
        """Free the shards and leave the cluster, which goes on."""
        self._shards = []
        self._client.close()

    def _jacobian(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """``Cov_w/t``: within the shards, and between their means."""
        self._refuse_graphs(x)
        answers = self._client.gather(self._on_all(_spread, x, t))
        log_z, means, within = map(torch.stack, zip(*answers, strict=True))
        weights = torch.softmax(log_z, dim=0)[:, :, None]
        apart = (means - (weights * means).sum(dim=0)) * (weights / t).sqrt()
        return (weights[..., None] * within).sum(dim=0) + torch.einsum("sna,snb->nab", apart, apart)

    def _products(
        self,
        x: torch.Tensor,
        t: float,
        directions: torch.Tensor,
        transposed: bool,
    ) -> torch.Tensor:
        return torch.einsum("nab,knb->kna", self._jacobian(x, t), directions)  # G is symmetric

    def _attend(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        return self._merged(_sums, _merge_means, x, t)

    def _participation(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return self._merged(_shares, _merge_participations, x, t)[0]

    def _merged(
        self, ask: Callable, merge: Callable, x: torch.Tensor, t: float
    ) -> tuple[torch.Tensor, ...]:
        """Ask all shards, a block of queries at a time, and merge what they answer."""
        self._refuse_graphs(x)
        tasks = [self._on_all(ask, block.clone(), t) for block in x.split(BLOCK)]
        answers = (
            (torch.stack(some) for some in zip(*parts, strict=True))
            for parts in self._client.gather(tasks)
        )
        merged = [merge(*answer) for answer in answers]
        return tuple(torch.cat(blocks) for blocks in zip(*merged, strict=True))

    @staticmethod
    def _refuse_graphs(x: torch.Tensor) -> None:
        if x.requires_grad:
            allowed = "allowed, across processes, are plain ones"
            raise ValueError(f"x is a tensor that requires gradients; {allowed}")

    def _on_all(self, function: Callable, *arguments: Any) -> list:
        return [
            self._submit(home, function, s, *arguments)
            for home, s in zip(self._homes, self._shards, strict=True)
        ]

    def _submit(self, home: str, function: Callable, *arguments: Any) -> Any:
        return self._client.submit(
            function, *arguments, pure=False, workers=[home], allow_other_workers=True
        )


def _merge_means(log_z: torch.Tensor, means: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``ln sum exp`` and mean over all shards from those over each."""
    weights = torch.softmax(log_z, dim=0)[:, :, None]
    return torch.logsumexp(log_z, dim=0), (weights * means).sum(dim=0)


def _merge_participations(log_z: torch.Tensor, shares: torch.Tensor) -> tuple[torch.Tensor]:
    """Sum of the squared weights over all shards from those within each."""
    return ((torch.softmax(log_z, dim=0) ** 2 * shares).sum(dim=0),)


def _hold(shard: TensorLike | Callable[[], TensorLike]) -> Empirical:
    return Empirical(shard() if callable(shard) else shard)


def _shape(shard: Empirical) -> tuple[int, int, str]:
    return *shard.shape, str(shard.data.dtype)


def _sums(shard: Empirical, x: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
    return shard._attend(x, t)


def _shares(shard: Empirical, x: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
    return shard._attend(x, t)[0], shard._participation(x, t)


def _spread(
    shard: Empirical, x: torch.Tensor, t: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    log_z, mean = shard._attend(x, t)
    return log_z, mean, shard._jacobian(x, t)
