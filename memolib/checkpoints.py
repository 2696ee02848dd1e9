"""Files of tensors that are whole or refused: trained denoisers, and checkpoints of killed runs.

safetensors, never pickle: reading a file runs nothing. A file is written beside its place and moved
there when it is on the disk, and carries a SHA-256 digest of its content.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from memolib._files import as_path, replaced
from memolib.networks import NETWORKS, NetworkDenoiser

KEPT = 2  # checkpoints of a run: one may be damaged


def digest(tensors: dict[str, torch.Tensor], text: str = "") -> str:
    """Give SHA-256 of named tensors, their types and shapes, and a text.

    Args:
        tensors: by name.
        text: to be included.

    Returns:
        64 hexadecimal digits.

    Chapter:
        ``networks/training``.
    """
    sha = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def write(path: str | os.PathLike, tensors: dict[str, torch.Tensor], note: dict[str, Any]) -> None:
    """Write tensors and a note in one step: the old file is there or the new one, come what may.

    Args:
        path: of the file.
        tensors: by name.
        note: what JSON can hold.

    Raises:
        OSError: where the file cannot be written, by its name.

    Chapter:
        ``networks/training``.
    """
    text = json.dumps(note, sort_keys=True)
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with replaced(as_path(path)) as part:
        try:
            save_file(tensors, part, metadata={"note": text, "sha256": digest(tensors, text)})
        except SafetensorError as error:  # such as a folder that does not let itself be written to
            raise OSError(f"{path} could not be written: {error}") from error


def read(path: str | os.PathLike) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Give the tensors and the note of a file.

    Args:
        path: of the file.

    Returns:
        Tensors by name, and the note.

    Raises:
        ValueError: for a file that is damaged or not of this kind.
        FileNotFoundError: where there is none.

    Chapter:
        ``networks/training``.
    """
    path = as_path(path)
    try:
        with safe_open(path, framework="pt") as file:
            # copies, so that the file is not held open
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, or no safetensors file: {error}") from None
    if not {"note", "sha256"} <= set(metadata):
        allowed = "one that memolib wrote"
        raise ValueError(f"{path} is another program's safetensors file; allowed is {allowed}")
    text = metadata["note"]
    if digest(tensors, text) != metadata["sha256"]:
        raise ValueError(f"{path} is damaged: its content does not have the digest that it states")
    return tensors, json.loads(text)


def save(path: str | os.PathLike, denoiser: NetworkDenoiser, *, half: bool = False) -> None:
    """Write a denoiser: its architecture, preconditioning and parameters.

    Args:
        path: of the file, by custom ``.safetensors``.
        denoiser: with one of memolib's networks: another one's file could not be opened again.
        half: whether to keep parameters in half precision, 11 bits, in half the space; they are
            opened in single precision again.

    Raises:
        ValueError: for a denoiser with another network, or parameters too large for ``half``.
        OSError: where the file cannot be written, by its name.

    Chapter:
        ``networks/training``.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from memolib import NetworkDenoiser, ResidualMLP, load, save
        >>> D = NetworkDenoiser(ResidualMLP(2), data_std=1.0, mean=[5.0, 0.0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(Path(folder) / "mine.safetensors", D)
        ...     again = load(Path(folder) / "mine.safetensors")
        >>> x = [[4.0, 1.0]]
        >>> bool((again(x, 0.5) == D(x, 0.5)).all()), again
        (True, NetworkDenoiser(kind=ResidualMLP, d=2, width=128, blocks=2))
    """
    if type(denoiser.network) not in NETWORKS.values():
        allowed = ", ".join(NETWORKS)
        raise ValueError(f"denoiser has the network {denoiser.network!r}; allowed are {allowed}")
    note = {"network": denoiser.network.config, "data_std": denoiser.data_std}
    tensors = denoiser.state_dict()
    if half:
        for name, parameter in denoiser.named_parameters():
            tensors[name] = parameter.half()
            if not tensors[name].isfinite().all():
                raise ValueError(
                    f"half is True and {name} reaches {float(parameter.abs().max()):.3g}; "
                    "allowed, in half precision, are parameters up to 65504"
                )
    write(path, tensors, note)


def load(path: str | os.PathLike) -> NetworkDenoiser:
    """Give a denoiser that ``save`` wrote, ready for use, without gradients.

    Args:
        path: of the file.

    Returns:
        NetworkDenoiser.

    Raises:
        ValueError: for a file that is damaged, or of another kind, such as a checkpoint.
        FileNotFoundError: where there is none.

    Chapter:
        ``networks/training``.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from memolib import load
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "picture.safetensors"
        ...     _ = path.write_text("no network")
        ...     try:
        ...         load(path)
        ...     except ValueError as error:
        ...         print(str(error).split(" ", 1)[1].split(":")[0])
        is damaged, or no safetensors file
    """
    tensors, note = read(path)
    try:
        denoiser = NetworkDenoiser(build(note["network"]), note["data_std"], tensors["mean"])
        denoiser.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        wanted = f"denoiser that ``save`` wrote of a {', '.join(NETWORKS)}"
        raise ValueError(f"{path} holds no {wanted}: {error!r}") from error
    return denoiser.eval().requires_grad_(False)


def build(config: dict[str, Any], seed: int = 0) -> torch.nn.Module:
    """Make a fresh network.

    Args:
        config: as a network holds it.
        seed: of the initial parameters, a whole number.

    Returns:
        One of memolib's networks, in float32.

    Raises:
        KeyError: for a kind that is not there.

    Chapter:
        ``networks/training``.
    """
    options = {key: value for key, value in config.items() if key != "kind"}
    with seeded(seed):
        return NETWORKS[config["kind"]](**options)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw single-precision numbers of a seed, and leave its state as it was.

    Args:
        seed: of torch's own generator.

    Yields:
        Nothing; networks are made in the block.

    Chapter:
        ``networks/training``.
    """
    default = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            torch.set_default_dtype(torch.float32)  # or other numbers would be drawn
            yield
        finally:
            torch.set_default_dtype(default)


def latest(
    folder: str | os.PathLike,
    config: dict[str, Any],
) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Give the newest whole checkpoint of a run, None where there is none yet.

    A damaged file is passed over with a warning.

    Args:
        folder: of the checkpoints.
        config: of the run that wants to go on.

    Returns:
        Tensors by name, and the note.

    Raises:
        ValueError: for a checkpoint of another configuration or other data, or where all are
            damaged.

    Chapter:
        ``networks/training``.
    """
    paths = sorted(as_path(folder).glob("step-*.safetensors"), reverse=True)
    for path in paths:
        try:
            tensors, note = read(path)
        except ValueError as error:
            warnings.warn(f"{error}; the checkpoint before it is used", stacklevel=3)
            continue
        for key, value in config.items():
            held = note.get("config", {}).get(key)
            if held != value:
                raise ValueError(f"{key} is {value}; allowed, to go on from {path}, is {held}")
        return tensors, note
    if paths:
        allowed = f"a folder where not all of {len(paths)} are damaged"
        raise ValueError(f"checkpoints is {folder}; allowed is {allowed}")
    return None


def checkpoint(
    folder: str | os.PathLike,
    step: int,
    tensors: dict[str, torch.Tensor],
    note: dict[str, Any],
) -> None:
    """Write a checkpoint and remove all but the last two.

    Args:
        folder: of the checkpoints.
        step: number of steps done.
        tensors: by name.
        note: with the run's ``config``.

    Raises:
        OSError: where the file cannot be written, by its name.

    Chapter:
        ``networks/training``.
    """
    folder = as_path(folder)
    write(folder / f"step-{step:09d}.safetensors", tensors, note)
    for old in sorted(folder.glob("step-*.safetensors"))[:-KEPT]:
        old.unlink(missing_ok=True)  # another run may have been faster
