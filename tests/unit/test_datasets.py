"""Data sets: every way in, and every refusal. No test asks another machine; the real files are read
where given."""

import gzip
import hashlib
import io
import os
import re
import tarfile
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memolib import datasets

GIVEN = os.environ.get("MEMOLIB_DATA")
SHAPES = {"mnist": (28, 28), "fashion_mnist": (28, 28), "cifar10": (32, 32, 3)}
LAYOUTS = ["npz", "official", "unpacked"]
EVERY_WAY = pytest.mark.parametrize(
    ("name", "layout"), [(name, layout) for name in SHAPES for layout in LAYOUTS]
)
NOWHERE = "http://127.0.0.1:9/"  # the discard port, where nobody listens


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No folder, an empty cache, and mirrors that do not answer."""
    monkeypatch.delenv("MEMOLIB_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.setattr(
        datasets, "_MIRRORS", {name: (f"{NOWHERE}one/", f"{NOWHERE}two/") for name in SHAPES}
    )


def arrays(name, n=10, seed=0):
    """Random images and labels of both splits; for training ``n``, a multiple of five, and for
    tests a fifth of it."""
    rng = np.random.default_rng(seed)
    out = {}
    for split, count in (("train", n), ("test", n // 5)):
        out[f"x_{split}"] = rng.integers(0, 256, (count, *SHAPES[name]), dtype=np.uint8)
        out[f"y_{split}"] = rng.integers(0, 10, count, dtype=np.uint8)
    return out


def idx(array):
    sizes = np.array(array.shape, dtype=">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + np.ascontiguousarray(array).tobytes()


def batch(x, y):
    return np.concatenate(
        [y[:, None], x.transpose(0, 3, 1, 2).reshape(len(x), -1)], axis=1
    ).tobytes()


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for place, content in files.items():
            member = tarfile.TarInfo(place)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def laid_out(name, layout, data):
    """Contents of the files, by their places in the folder."""
    if layout == "npz":
        buffer = io.BytesIO()
        np.savez(buffer, **data)
        return {f"{name}.npz": buffer.getvalue()}
    if name == "cifar10":
        parts = zip(np.split(data["x_train"], 5), np.split(data["y_train"], 5), strict=True)
        files = {
            f"cifar-10-batches-bin/data_batch_{i}.bin": batch(*part)
            for i, part in enumerate(parts, 1)
        }
        files["cifar-10-batches-bin/test_batch.bin"] = batch(data["x_test"], data["y_test"])
        return files if layout == "unpacked" else {"cifar-10-binary.tar.gz": tar(files)}
    files = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        files[f"{name}/{prefix}-images-idx3-ubyte"] = idx(data[f"x_{split}"])
        files[f"{name}/{prefix}-labels-idx1-ubyte"] = idx(data[f"y_{split}"])
    return (
        files
        if layout == "unpacked"
        else {f"{place}.gz": gzip.compress(raw) for place, raw in files.items()}
    )


def write(folder, files):
    for place, content in files.items():
        Path(folder, place).parent.mkdir(parents=True, exist_ok=True)
        Path(folder, place).write_bytes(content)


def named(folder, place):
    """What a refusal names: the file, or the folder of binary files (and then the file's name)."""
    return str(
        Path(folder, "cifar-10-batches-bin" if place.startswith("cifar-10-batches-bin") else place)
    )


def read(folder, name, split="train"):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMOLIB_DATA", str(folder))
        return getattr(datasets, name)(split)


def assert_same(images, data, split):
    x, y = data[f"x_{split}"], data[f"y_{split}"]
    assert (
        images.x.dtype == np.float32
        and images.labels.dtype == np.int64
        and images.shape == x.shape[1:]
    )
    assert np.array_equal(images.x, x.reshape(len(x), -1).astype(np.float32) / np.float32(255))
    assert np.array_equal(images.x[0].reshape(images.shape) * 255, x[0])  # as it can be shown
    assert np.array_equal(images.labels, y)


def test_digits_are_real_scaled_and_labelled():
    digits = datasets.digits()
    assert digits.x.shape == (1797, 64) and digits.x.dtype == np.float64 and digits.shape == (8, 8)
    assert digits.x.min() == 0 and digits.x.max() == 1
    assert np.array_equal(digits.x * 16, np.rint(digits.x * 16))  # the files' whole grey levels
    assert np.array_equal(np.unique(digits.labels), np.arange(10))
    # images of one class are closer to their own mean than to that of another, so labels belong to
    # images
    means = np.array([digits.x[digits.labels == c].mean(axis=0) for c in range(10)])
    nearest = ((digits.x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == digits.labels) > 0.85


@EVERY_WAY
@settings(max_examples=8, deadline=None)
@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_what_was_written_is_read(name, layout, fifth, seed):
    data = arrays(name, 5 * fifth, seed)
    with tempfile.TemporaryDirectory() as folder:
        write(folder, laid_out(name, layout, data))
        before = {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")}
        for split in ("train", "test"):
            assert_same(read(folder, name, split), data, split)
        assert {
            path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")
        } == before  # only ever read


@EVERY_WAY
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_truncated_file_is_refused_by_name(name, layout, draw):
    files = laid_out(name, layout, arrays(name))
    place = draw.draw(st.sampled_from([p for p in files if not re.search("t10k|test", p)]))
    files[place] = files[place][: draw.draw(st.integers(0, len(files[place]) - 1))]
    with tempfile.TemporaryDirectory() as folder:
        write(folder, files)
        with pytest.raises(ValueError, match=re.escape(named(folder, place))):
            read(folder, name)


@pytest.mark.parametrize(
    ("name", "layout"), [("mnist", "npz"), ("mnist", "official"), ("cifar10", "official")]
)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_tampered_packed_file_is_refused_or_reads_the_same(name, layout, draw):
    """Their checksums see every change of the contents; what is left are bytes such as a time of
    writing."""
    data = arrays(name)
    files = laid_out(name, layout, data)
    place = draw.draw(st.sampled_from([p for p in files if not re.search("t10k|test", p)]))
    tampered = bytearray(files[place])
    tampered[draw.draw(st.integers(0, len(tampered) - 1))] ^= draw.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as folder:
        write(folder, files | {place: bytes(tampered)})
        try:
            images = read(folder, name)
        except ValueError as error:
            assert named(folder, place) in str(error)
        else:
            assert_same(images, data, "train")


def broken(name, layout, change):
    """The files with their training images and labels changed before they are written."""
    data = arrays(name)
    change(data)
    return laid_out(name, layout, data)


def labelled_ten(data):
    data["y_train"][3] = 10


def one_label_less(data):
    data["y_train"] = data["y_train"][:-1]


def wrong_size(data):
    data["x_train"] = data["x_train"][:, :-1]


def no_images(data):
    data["x_train"], data["y_train"] = data["x_train"][:0], data["y_train"][:0]


def floats(data):
    data["x_train"] = data["x_train"] / 255


def signed_labels(data):
    data["y_train"] = data["y_train"].astype(np.int64)


def a_column_of_labels(data):
    data["y_train"] = data["y_train"][:, None]


def no_training_labels(data):
    del data["y_train"]


def pickled(data):
    data["x_train"] = np.array([{"any": "object"}], dtype=object)


@pytest.mark.parametrize(
    ("name", "layout", "change", "says"),
    [
        *(
            (name, layout, labelled_ten, "label 10; allowed are 0 to 9")
            for name in SHAPES
            for layout in LAYOUTS
        ),
        ("mnist", "npz", one_label_less, "labels uint8 (9,); allowed is uint8 (10,)"),
        (
            "mnist",
            "unpacked",
            one_label_less,
            "train-labels-idx1-ubyte has labels uint8 (9,); allowed is uint8 (10,)",
        ),
        (
            "fashion_mnist",
            "official",
            wrong_size,
            "images uint8 (10, 27, 28); allowed is uint8 (N, *(28, 28))",
        ),
        (
            "cifar10",
            "npz",
            wrong_size,
            "images uint8 (10, 31, 32, 3); allowed is uint8 (N, *(32, 32, 3))",
        ),
        ("mnist", "npz", no_images, "images uint8 (0, 28, 28)"),
        ("mnist", "unpacked", no_images, "train-images-idx3-ubyte has images uint8 (0, 28, 28)"),
        ("mnist", "npz", floats, "images float64"),
        ("mnist", "npz", signed_labels, "labels int64"),
        ("cifar10", "npz", a_column_of_labels, "labels uint8 (10, 1); allowed is uint8 (10,)"),
        ("mnist", "npz", no_training_labels, "y_train"),
        ("mnist", "npz", pickled, "allow_pickle=False"),
    ],
)
def test_another_form_is_refused_by_name(tmp_path, name, layout, change, says):
    files = broken(name, layout, change)
    write(tmp_path, files)
    with pytest.raises(ValueError, match=re.escape(says)) as refused:
        read(tmp_path, name)
    assert any(named(tmp_path, place) in str(refused.value) for place in files)


@pytest.mark.parametrize(
    ("name", "place", "content", "says"),
    [
        (
            "mnist",
            "mnist/train-images-idx3-ubyte",
            b"\0\0\r\3" + bytes(100),
            "magic number 3331; allowed are 2051",
        ),
        (
            "mnist",
            "mnist/train-images-idx3-ubyte",
            idx(arrays("mnist")["x_train"]) + b"\0",
            "reshape",
        ),
        (
            "mnist",
            "mnist/train-labels-idx1-ubyte",
            idx(arrays("mnist")["x_train"]),
            "has labels uint8 (10, 28, 28)",
        ),
        ("mnist", "mnist/train-labels-idx1-ubyte", b"", "magic number"),
        ("mnist", "mnist.npz", b"no archive at all", "broken"),
        ("mnist", "mnist.npz", b"\x93NUMPY\1\0", "broken"),
        (
            "cifar10",
            "cifar-10-batches-bin/data_batch_3.bin",
            bytes(2 * 3073 + 1),
            "'data_batch_3.bin': 6147",
        ),
        (
            "cifar10",
            "cifar-10-batches-bin/data_batch_3.bin",
            bytes(3073),
            "'data_batch_3.bin': 3073",
        ),
        ("cifar10", "cifar-10-batches-bin/seventh.bin", bytes(2 * 3073), "allowed are six"),
        (
            "cifar10",
            "cifar-10-binary.tar.gz",
            tar({"data_batch_1.bin": bytes(3073)}),
            "allowed are six",
        ),
        (
            "cifar10",
            "cifar-10-binary.tar.gz",
            tar({f"{i}.bin": bytes(3073) for i in range(6)}),
            "data_batch_1.bin",
        ),
        (
            "cifar10",
            "cifar-10-binary.tar.gz",
            tar({f"{i}.bin": bytes(3000) for i in range(6)}),
            "broken",
        ),
        ("cifar10", "cifar-10-binary.tar.gz", b"no archive at all", "broken"),
    ],
    ids=[str(k) for k in range(13)],  # the contents, of which gzip's hold the time, are no names
)
def test_a_broken_file_among_good_ones_is_refused_by_name(tmp_path, name, place, content, says):
    if place.endswith(("npz", "gz")):
        write(tmp_path, {place: content})
    else:
        write(tmp_path, laid_out(name, "unpacked", arrays(name)) | {place: content})
    with pytest.raises(ValueError, match=re.escape(says)) as refused:
        read(tmp_path, name)
    assert named(tmp_path, place) in str(refused.value)


def test_the_two_sets_of_the_same_file_names_are_not_confused(tmp_path):
    write(tmp_path, laid_out("mnist", "official", arrays("mnist")))
    assert_same(read(tmp_path, "mnist"), arrays("mnist"), "train")
    with pytest.raises(FileNotFoundError, match=r"fashion_mnist/train-images-idx3-ubyte\.gz"):
        read(tmp_path, "fashion_mnist")


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("split", ["validation", "", None, 0])
def test_another_split_is_refused(name, split):
    with pytest.raises(
        ValueError, match=re.escape(f"split is {split!r}; allowed are 'train' and 'test'")
    ):
        getattr(datasets, name)(split)


@pytest.mark.parametrize("name", SHAPES)
def test_an_empty_folder_says_what_may_be_there(tmp_path, name):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileNotFoundError, match="unset MEMOLIB_DATA to download") as error:
            read(folder, name)
        assert str(folder) in str(error.value) and f"{name}.npz" in str(error.value)


@pytest.mark.parametrize("name", SHAPES)
def test_without_network_and_folder_both_ways_out_are_said(name):
    with pytest.raises(ConnectionError) as error:
        getattr(datasets, name)()
    for words in (
        "Connect to the network",
        "MEMOLIB_DATA",
        f"{name}.npz",
        f"{NOWHERE}one/",
        f"{NOWHERE}two/",
    ):
        assert words in str(error.value)


def test_the_home_folder_is_understood(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path / "data", laid_out("mnist", "npz", arrays("mnist")))
    assert_same(read("~/data", "mnist"), arrays("mnist"), "train")
    monkeypatch.setenv("MEMOLIB_DATA", "~/data")
    assert datasets.is_here("mnist") and not datasets.is_here("cifar10")


def test_a_cache_that_cannot_be_made_is_no_network_error(monkeypatch, tmp_path):
    """Its folder would lie in a file; and then, what a system says to a user without rights or
    room."""
    (tmp_path / "cache").write_bytes(b"a file in the folder's place")
    with pytest.raises(OSError, match=r"the cache folder .* cannot be written") as error:
        datasets.mnist()
    assert not isinstance(error.value, ConnectionError) and "MEMOLIB_DATA" in str(error.value)
    assert str(tmp_path / "cache") in str(error.value) and "network" not in str(error.value)
    for kind, cause in (
        (PermissionError, PermissionError(13, "Permission denied", "/home")),
        (PermissionError, PermissionError("Pooch could not create data cache folder")),
        (OSError, OSError(28, "No space left on device")),
        (OSError, OSError(30, "Read-only file system", "/home")),
    ):

        def refused(*_, cause=cause, **__):
            raise cause

        monkeypatch.setattr(pooch, "retrieve", refused)
        with pytest.raises(kind, match=r"cannot be written: .*" + re.escape(str(cause))) as error:
            datasets.mnist()
        assert not isinstance(error.value, ConnectionError)
    for cause in (
        ConnectionRefusedError(111, "refused"),
        TimeoutError(110, "timed out"),
        OSError("no route"),
    ):

        def silent(*_, cause=cause, **__):
            raise cause

        monkeypatch.setattr(pooch, "retrieve", silent)
        with pytest.raises(ConnectionError, match="Connect to the network"):
            datasets.mnist()


@pytest.mark.parametrize(
    ("name", "layout"), [("mnist", "npz"), ("mnist", "unpacked"), ("cifar10", "official")]
)
def test_a_file_that_may_not_be_read_is_not_called_broken(monkeypatch, tmp_path, name, layout):
    files = laid_out(name, layout, arrays(name))
    write(tmp_path, files)
    for cause, says in (
        (PermissionError(13, "Permission denied"), "may not be read"),
        (FileNotFoundError(2, "x"), "gone"),
    ):

        def refused(*_, cause=cause):
            raise cause

        for reader in ("_read_npz", "_read_idx", "_read_cifar"):
            monkeypatch.setattr(datasets, reader, refused)
        with pytest.raises(type(cause), match=says) as error:
            read(tmp_path, name)
        assert any(named(tmp_path, place) in str(error.value) for place in files)


@pytest.fixture
def serve():
    """Serve contents by path and record what is asked for; ``short`` contents end before what was
    promised."""
    servers = []

    def serve(files, short=False):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                content = files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"") + short))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_):
                pass

        asked = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/", asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def pin(monkeypatch, name, mirrors, files):
    """These mirrors, and the checksums of these files."""
    monkeypatch.setitem(datasets._MIRRORS, name, mirrors)
    for place, content in files.items():
        monkeypatch.setitem(datasets._SHA256, place, hashlib.sha256(content).hexdigest())


def at_root(files):
    return {f"/{Path(place).name}": content for place, content in files.items()}


def cached(tmp_path):
    return {
        p.relative_to(tmp_path / "cache" / "losing-dimensions").as_posix()
        for p in tmp_path.rglob("*")
        if p.is_file()
    }


@pytest.mark.parametrize("name", SHAPES)
def test_download_once(monkeypatch, tmp_path, serve, name):
    data = arrays(name)
    files = laid_out(name, "official", data)
    url, asked = serve(at_root(files))
    pin(monkeypatch, name, (url, f"{NOWHERE}two/"), files)
    for split in ("train", "test"):
        assert_same(getattr(datasets, name)(split), data, split)
    assert sorted(asked) == sorted(at_root(files)) and cached(tmp_path) == set(files)
    pin(monkeypatch, name, (f"{NOWHERE}one/", f"{NOWHERE}two/"), files)
    for split in ("train", "test"):
        assert_same(getattr(datasets, name)(split), data, split)
    # the cache has the places of the folder
    assert_same(read(tmp_path / "cache" / "losing-dimensions", name), data, "train")


FIRST = {"mnist": "mnist/train-images-idx3-ubyte.gz", "cifar10": "cifar-10-binary.tar.gz"}
FAULTS = ["silent", "missing", "short", "cut", "tampered"]


def faulty(serve, files, fault):
    """A mirror whose files have a fault."""
    if fault == "silent":
        return NOWHERE
    spoil = {
        "missing": lambda content: None,
        "short": lambda content: content[:-1],
        "cut": lambda content: content[: len(content) // 2],
        "tampered": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    }[fault]
    return serve(
        {path: spoil(content) for path, content in at_root(files).items()}, short=fault == "short"
    )[0]


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_second_mirror_stands_in(monkeypatch, tmp_path, serve, name, fault):
    data = arrays(name)
    files = laid_out(name, "official", data)
    url, asked = serve(at_root(files))
    pin(monkeypatch, name, (faulty(serve, files, fault), url), files)
    assert_same(getattr(datasets, name)("train"), data, "train")
    assert asked and cached(tmp_path) <= set(files)


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_download_is_named_and_leaves_nothing(monkeypatch, tmp_path, serve, name, fault):
    files = laid_out(name, "official", arrays(name))
    url = faulty(serve, files, fault)
    pin(monkeypatch, name, (url, url), files)
    with pytest.raises(ConnectionError, match=re.escape(f"no mirror gave {FIRST[name]}")) as error:
        getattr(datasets, name)()
    assert f"{url}{Path(FIRST[name]).name}" in str(error.value)
    if fault in ("cut", "tampered"):
        assert "does not match the known hash" in str(error.value)
    assert cached(tmp_path) == set()


@pytest.mark.parametrize("name", FIRST)
def test_a_damaged_cache_is_not_believed(monkeypatch, tmp_path, serve, name):
    data = arrays(name)
    files = laid_out(name, "official", data)
    pin(monkeypatch, name, (NOWHERE, NOWHERE), files)
    write(tmp_path / "cache" / "losing-dimensions", {FIRST[name]: files[FIRST[name]][:-20]})
    with pytest.raises(ConnectionError):
        getattr(datasets, name)()
    pin(monkeypatch, name, (NOWHERE, serve(at_root(files))[0]), files)
    assert_same(getattr(datasets, name)(), data, "train")
    assert (tmp_path / "cache" / "losing-dimensions" / FIRST[name]).read_bytes() == files[
        FIRST[name]
    ]


def test_every_official_file_has_a_checksum_and_two_mirrors(monkeypatch):
    monkeypatch.undo()
    assert set(datasets._MIRRORS) == set(SHAPES)
    for mirrors in datasets._MIRRORS.values():
        assert len({url.split("/")[2] for url in mirrors}) == 2  # on different hosts
    files = {place for name in SHAPES for place in laid_out(name, "official", arrays(name))}
    assert set(datasets._SHA256) == files
    assert len(set(datasets._SHA256.values())) == 9
    assert all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum in datasets._SHA256.values())


# MD5 of the official files, unpacked: images and labels for training, then for tests.
MD5 = {
    "mnist": [
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ],
    "fashion_mnist": [
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ],
}

if GIVEN:  # rather than skipped

    @pytest.mark.parametrize("name", MD5)
    def test_the_given_digits_and_clothes_are_the_official_ones(name):
        found = []
        for split, count in (("train", 60_000), ("test", 10_000)):
            images = read(GIVEN, name, split)
            assert images.x.shape == (count, 784) and images.x.min() == 0 and images.x.max() == 1
            grey = np.rint(images.x * 255).astype(np.uint8).reshape(-1, 28, 28)
            found += [
                hashlib.md5(idx(a)).hexdigest() for a in (grey, images.labels.astype(np.uint8))
            ]
        assert found == MD5[name]

    def test_the_given_photographs_are_photographs():
        """They may be a lossy subset, so no checksum holds."""
        for split in ("train", "test"):
            images = read(GIVEN, "cifar10", split)
            assert images.x.min() == 0 and images.x.max() == 1
            assert np.ptp(np.bincount(images.labels)) == 0 and images.labels.max() == 9
            colours = images.x[:500].reshape(-1, *images.shape)
            for axis in (1, 2):  # of one colour, neighbours in a column and in a row are alike
                assert np.abs(np.diff(colours, axis=axis)).mean() < 0.08
            means = np.array([images.x[images.labels == c].mean(axis=0) for c in range(10)])
            nearest = ((images.x[:1000, None] - means) ** 2).sum(axis=2).argmin(axis=1)
            assert np.mean(nearest == images.labels[:1000]) > 0.2  # labels belong to images
