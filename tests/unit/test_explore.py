"""The explorable figure in its three modes."""

import base64
import gzip
import html
import json
import re

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest

from memolib.explore import MAX_BYTES, explore


def draw(a, b):
    figure, ax = plt.subplots(figsize=(2, 1.5))
    ax.plot([0, 1], [a, b])
    return figure, f"A line from {a:.2f} to {b:.2f} <on> one axis"


LABELS = {"a": "start a", "b": "end b (units)"}


def make(**changes):
    return explore(draw, **{"labels": LABELS, "a": [0.0, 0.5, 1.0], "b": [1, 20, 3000]} | changes)


@pytest.fixture
def shown(monkeypatch):
    """What Jupyter is asked to display."""
    things = []
    monkeypatch.setattr("IPython.display.display", lambda thing, raw=False: things.append(thing))
    return things


def payload(element):
    return json.loads(gzip.decompress(base64.b64decode(re.search(r"octet-stream\">(.*?)<", element)[1])))


def test_live_kernel_moves_every_slider(monkeypatch, shown):
    monkeypatch.delenv("MEMOLIB_EXPLORE", raising=False)
    calls = []

    def counted(a, b):
        calls.append((a, b))
        return draw(a, b)

    figure = explore(counted, labels=LABELS, a=[0.0, 0.5, 1.0], b=[1, 20, 3000])
    assert not calls  # nothing is drawn before it is shown
    box = figure.widget()
    assert calls == [(0.5, 20)]  # and no frame is computed
    *sliders, picture, sentence = box.children
    assert [s.description for s in sliders] == ["start a", "end b (units)"]
    before = picture.value
    sliders[1].value = 3000
    assert calls[-1] == (0.5, 3000)
    assert picture.value != before and bytes(picture.value).startswith(b"\x89PNG")
    assert html.unescape(sentence.value) == "A line from 0.50 to 3000.00 <on> one axis"
    make()._ipython_display_()
    assert isinstance(shown[0], ipywidgets.VBox)
    assert not plt.get_fignums()


@pytest.mark.parametrize(("image", "start"), [("svg", b"<?xml"), ("webp", b"RIFF")])
def test_frames_need_no_kernel(monkeypatch, shown, image, start):
    monkeypatch.setenv("MEMOLIB_EXPLORE", "frames")
    monkeypatch.setattr(ipywidgets, "Image", None)
    figure = make(image=image, frames=["b"])
    figure._ipython_display_()
    (bundle,) = shown
    assert set(bundle) == {"text/html", "text/plain"}
    element = bundle["text/html"]
    data = payload(element)
    assert data["sliders"] == [{"label": "end b (units)", "values": ["1", "20", "3,000"], "start": 1}]
    assert data["sentences"][2] == "A line from 0.50 to 3000.00 <on> one axis"
    assert 'alt="A line from 0.50 to 20.00 &lt;on&gt; one axis"' in element
    assert "Fixed here: start a = 0.5." in element
    first = base64.b64decode(re.search(r"base64,([^\"]+)\"", element)[1])
    assert first.startswith(start)
    if image == "svg":
        frames = ["\n".join(data["frames"]["lines"][i] for i in index) for index in data["frames"]["index"]]
        assert frames[1].encode() == first and len(set(frames)) == 3
    else:
        frames = [base64.b64decode(f) for f in data["frames"]["base64"]]
        assert frames[1] == first and len(set(frames)) == 3


def test_two_frame_parameters_are_in_row_order(monkeypatch):
    data = payload(make(frames=["a", "b"], start={"a": 1.0, "b": 1}).to_html())
    assert data["sentences"][5].startswith("A line from 0.50 to 3000.00")
    assert [s["start"] for s in data["sliders"]] == [2, 0]


def test_frames_are_the_same_bytes_at_every_run():
    from memolib import plots

    plots.use_style()
    assert make().to_html() == make().to_html()
    plt.rcdefaults()


def test_ends_draw_every_corner(monkeypatch, shown):
    monkeypatch.setenv("MEMOLIB_EXPLORE", "ends")
    make()._ipython_display_()
    text = shown[0]["text/plain"].split("\n")
    assert [re.findall(r"\d+\.\d+", line) for line in text] == [
        ["0.00", "1.00"], ["0.00", "3000.00"], ["1.00", "1.00"], ["1.00", "3000.00"],
    ]  # fmt: skip

    def fails_at_the_end(a, b):
        return draw(a, 1 / (b - 3000))

    with pytest.raises(ZeroDivisionError):
        explore(fails_at_the_end, labels=LABELS, a=[0, 1], b=[1, 3000])._ipython_display_()
    with pytest.raises(ValueError, match="draw's sentence is 'short'"):
        explore(lambda a: (plt.figure(), "short"), labels=LABELS, a=[0, 1])._ipython_display_()
    plt.close("all")


def test_a_figure_that_is_too_heavy_is_refused():
    def noise(a):
        figure, ax = plt.subplots(figsize=(6, 4))
        ax.imshow(np.random.default_rng(a).random((400, 600, 3)))
        return figure, "Coloured noise in four hundred rows"

    with pytest.raises(ValueError, match=f"allowed are {MAX_BYTES:,}"):
        explore(noise, labels=LABELS, image="webp", a=range(8)).to_html()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": "gif"}, "image is 'gif'; allowed are svg, webp"),
        ({"a": [1.0]}, "a has 1 values; allowed are two or more"),
        ({"labels": {"a": "x"}}, "labels has no entry for b; allowed"),
        ({"start": {"a": 7}}, r"start\['a'\] is 7; allowed are \[0.0, 0.5, 1.0\]"),
        ({"start": {"c": 7}}, r"start\['c'\] is 7; allowed are no values"),
        ({"frames": ["c"]}, r"frames is \('c',\); allowed are one or two of a, b"),
    ],
)
def test_bad_calls_are_explained(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)
