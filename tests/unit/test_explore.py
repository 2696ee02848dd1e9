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
from matplotlib.figure import Figure

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

    def display(thing, metadata=None, raw=False):
        assert raw
        things.append(thing)

    monkeypatch.setattr("IPython.display.display", display)
    return things


def payload(element):
    return json.loads(
        gzip.decompress(base64.b64decode(re.search(r"octet-stream\">(.*?)<", element)[1]))
    )


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
    assert not plt.get_fignums()


def test_front_ends_without_widgets_get_picture_and_sentence(monkeypatch):
    """One bundle, drawn once; the sliders are ranked first by all front ends that know them."""
    monkeypatch.delenv("MEMOLIB_EXPLORE", raising=False)
    sent = []
    monkeypatch.setattr(
        "IPython.display.display", lambda *args, **options: sent.append((args, options))
    )
    calls = []

    def counted(a, b):
        calls.append((a, b))
        return draw(a, b)

    explore(counted, labels=LABELS, a=[0.0, 0.5, 1.0], b=[1, 20, 3000])._ipython_display_()
    (((bundle,), options),) = sent
    assert calls == [(0.5, 20)] and options["raw"]
    assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    assert bundle["text/plain"] == "A line from 0.50 to 20.00 <on> one axis"
    assert options["metadata"] == {"image/png": {"alt": bundle["text/plain"]}}
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    view = bundle["application/vnd.jupyter.widget-view+json"]
    box = (
        ipywidgets.Widget.widgets[view["model_id"]]
        if hasattr(ipywidgets.Widget, "widgets")
        else None
    )
    assert (
        view == {"version_major": 2, "version_minor": 0, "model_id": view["model_id"]}
        and view["model_id"]
    )
    assert box is None or isinstance(box, ipywidgets.VBox)
    json.dumps(bundle)  # as the kernel sends it


def fails_at_three_thousand(a, b):
    figure, sentence = draw(a, b)
    plt.figure()  # a second one, which nobody closes
    return figure, f"{sentence} {1 / (b - 3000)}"


def test_an_error_of_draw_stands_in_the_sentences_place(monkeypatch):
    plt.close("all")
    other = plt.figure()  # the user's own
    box = explore(fails_at_three_thousand, labels=LABELS, a=[0.0, 1.0], b=[1, 20, 3000]).widget()
    *sliders, picture, sentence = box.children
    good = sentence.value
    assert picture.layout.visibility == "visible"
    for _ in range(3):
        sliders[1].value = 3000
        text = html.unescape(sentence.value)
        assert text.startswith(
            "No figure for start a = 1, end b (units) = 3,000: ZeroDivisionError: "
        )
        # its line, not ours
        assert "in fails_at_three_thousand" in text and "memolib/explore.py" not in text
        assert picture.layout.visibility == "hidden"
        sliders[1].value = 20
        assert sentence.value == good and picture.layout.visibility == "visible"
        assert plt.get_fignums() == [other.number]  # nothing leaks
    plt.close("all")

    def script(a):
        raise ValueError("<script>alert(1)</script>")

    assert "<script>" not in explore(script, labels=LABELS, a=[0, 1]).widget().children[-1].value


def test_an_error_at_the_start_is_sent_as_text(monkeypatch, shown):
    monkeypatch.delenv("MEMOLIB_EXPLORE", raising=False)
    explore(fails_at_three_thousand, labels=LABELS, a=[0, 1], b=[1, 3000])._ipython_display_()
    assert set(shown[0]) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
    assert "ZeroDivisionError" in shown[0]["text/plain"] and not plt.get_fignums()


@pytest.mark.parametrize(
    "drawn", [lambda: plt.figure(), lambda: (plt.figure(), 3), lambda: None, lambda: ("a", "b")]
)
def test_what_is_no_figure_and_sentence_is_refused(monkeypatch, drawn):
    figure = explore(lambda a: drawn(), labels=LABELS, a=[0, 1])
    with pytest.raises(ValueError, match=r"draw gave \w+; allowed is `return figure, sentence`"):
        figure.render("png", a=0)
    assert "allowed is `return figure, sentence`" in html.unescape(
        figure.widget().children[-1].value
    )
    assert not plt.get_fignums()


class Written(Figure):
    """A figure of known bytes, whatever Matplotlib's version."""

    def savefig(self, buffer, format, **options):
        assert format == "svg" and options == {"metadata": {"Date": None}, "dpi": 110}
        buffer.write(self.get_label().encode())


STORED = (
    '<figure class="explorable"><img src="data:image/svg+xml;base64,bGluZQphPTEgYj0yMA=="'
    ' alt="At &lt;1&gt; &amp; 20">'
    '<p class="explorable-sentence" aria-live="polite">At &lt;1&gt; &amp; 20</p>'
    '<p class="explorable-note">Fixed here: start a = 1. Run the notebook to move these too.</p>'
    '<script type="application/octet-stream">{"mime": "image/svg+xml",'
    ' "sliders": [{"label": "end b (units)", "values": ["1", "20", "3,000"], "start": 1}],'
    ' "sentences": ["At <1> & 1", "At <1> & 20", "At <1> & 3000"],'
    ' "frames": {"lines": ["line", "a=1 b=1", "a=1 b=20", "a=1 b=3000"],'
    ' "index": [[0, 1], [0, 2], [0, 3]]}}'
    "</script></figure>"
)


def test_stored_frames_keep_every_byte():
    """Pages hold them: what is made now is what was made by earlier versions."""

    def written(a, b):
        return Written(label=f"line\na={a} b={b}"), f"At <{a}> & {b}"

    element = explore(written, labels=LABELS, a=[0, 1], b=[1, 20, 3000], frames=["b"]).to_html()
    packed = re.search(r"octet-stream\">(.*?)<", element)[1]
    content = gzip.decompress(base64.b64decode(packed))
    assert packed == base64.b64encode(gzip.compress(content, mtime=0)).decode()
    assert element.replace(packed, content.decode()) == STORED


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
    assert data["sliders"] == [
        {"label": "end b (units)", "values": ["1", "20", "3,000"], "start": 1}
    ]
    assert data["sentences"][2] == "A line from 0.50 to 3000.00 <on> one axis"
    assert 'alt="A line from 0.50 to 20.00 &lt;on&gt; one axis"' in element
    assert "Fixed here: start a = 0.5." in element
    first = base64.b64decode(re.search(r"base64,([^\"]+)\"", element)[1])
    assert first.startswith(start)
    if image == "svg":
        frames = [
            "\n".join(data["frames"]["lines"][i] for i in index)
            for index in data["frames"]["index"]
        ]
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
