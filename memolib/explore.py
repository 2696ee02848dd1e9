"""The explorable figure: sliders in a live kernel, precomputed frames on the built page.

``explore(draw, ...)`` is one call with three behaviours, chosen by the environment variable ``MEMOLIB_EXPLORE``:

- unset, in a live kernel: ipywidgets sliders for every parameter; nothing is precomputed;
- ``frames`` (``make execute``): a self-contained HTML figure over precomputed frames of one or two parameters, that the
  page's script ``explorable.js`` turns into a keyboard-usable slider without kernel or network;
- ``ends`` (tests): the figure is drawn at both ends of every slider; an error there is an error of the cell, and so is
  a slider that would answer too slowly in a live kernel.
"""

import base64
import gzip
import html
import io
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

MAX_BYTES = 400_000  # of one explorable figure's HTML, so that pages stay light and the repository small
FORMATS = ("svg", "webp")
PATIENCE = 0.4  # processor seconds of a slider's answer; the aim is 0.2, and processors differ by a factor

Draw = Callable[..., tuple[Figure, str]]


class Explorable:
    """An explorable figure; Jupyter shows it as sliders or frames. Made by ``explore``."""

    def __init__(self, draw: Draw, values, labels, start, frames, image):
        self.draw, self.values, self.labels = draw, values, labels
        self.start, self.frames, self.image = start, frames, image

    def text(self, name: str, value) -> str:
        """Value of a parameter as the slider shows it, with its label: ``N = 10,000``."""
        return f"{self.labels[name]} = {self._value(value)}"

    @staticmethod
    def _value(value) -> str:
        if isinstance(value, str):
            return value
        if value == int(value) and abs(value) < 1e9:
            return f"{int(value):,}"
        return f"{value:.3g}"

    def render(self, image: str, **parameters) -> tuple[bytes, str]:
        """Draw one frame in a format (svg, webp or png) and close its figure; gives the bytes and the sentence."""
        figure, sentence = self.draw(**parameters)
        buffer = io.BytesIO()
        if image == "webp":
            picture = io.BytesIO()
            figure.savefig(picture, format="png", dpi=150)
            Image.open(picture).convert("RGB").save(buffer, format="webp", quality=80)
        else:
            figure.savefig(buffer, format=image, metadata={"Date": None} if image == "svg" else None, dpi=110)
        plt.close(figure)
        return buffer.getvalue(), sentence

    def draw_ends(self) -> list[str]:
        """Draw at every combination of the sliders' ends, as a live kernel does; gives the sentences.

        Raises what ``draw`` raises, and ValueError where a sentence is short or half of the answers take too long.
        """
        ends = itertools.product(*({v[0]: 0, v[-1]: 0} for v in self.values.values()))
        sentences, seconds = [], []
        for end in ends:
            start = time.process_time()
            sentences.append(self.render("png", **dict(zip(self.values, end, strict=True)))[1])
            seconds.append(time.process_time() - start)
            if len(sentences[-1]) < 20:
                raise ValueError(f"draw's sentence is {sentences[-1]!r}; allowed are 20 letters or more")
        if statistics.median(seconds) > PATIENCE:
            raise ValueError(f"draw takes {statistics.median(seconds):.2f} s; allowed, for a slider, are {PATIENCE} s")
        return sentences

    def widget(self):
        """Sliders for all parameters and the figure at their start, as an ipywidgets box."""
        import ipywidgets  # not needed where frames are drawn

        sliders = {
            name: ipywidgets.SelectionSlider(
                options=[(self._value(v), v) for v in values], value=self.start[name], description=self.labels[name],
                style={"description_width": "14em"}, layout={"width": "36em", "max_width": "100%"},
            )
            for name, values in self.values.items()
        }  # fmt: skip
        picture = ipywidgets.Image(format="png", layout={"max_width": "100%", "width": "36em"})
        sentence = ipywidgets.HTML()

        def redraw(_change=None) -> None:
            data, text = self.render("png", **{name: slider.value for name, slider in sliders.items()})
            picture.value, sentence.value = data, html.escape(text)

        for slider in sliders.values():
            slider.observe(redraw, names="value")
        redraw()
        return ipywidgets.VBox([*sliders.values(), picture, sentence])

    def to_html(self) -> str:
        """Precomputed frames as one HTML element; without the page's script its first frame stands alone."""
        axes = [self.values[name] for name in self.frames]
        fixed = {name: value for name, value in self.start.items() if name not in self.frames}
        rendered = [
            self.render(self.image, **dict(zip(self.frames, point, strict=True)), **fixed)
            for point in itertools.product(*axes)
        ]
        shown = np.ravel_multi_index(
            [axis.index(self.start[name]) for name, axis in zip(self.frames, axes, strict=True)],
            [*map(len, axes)],
        )
        first, sentence = rendered[shown]
        mime = {"svg": "image/svg+xml", "webp": "image/webp"}[self.image]
        data = {
            "mime": mime,
            "sliders": [
                {
                    "label": self.labels[name],
                    "values": [self._value(v) for v in self.values[name]],
                    "start": self.values[name].index(self.start[name]),
                }
                for name in self.frames
            ],
            "sentences": [text for _, text in rendered],
            "frames": _pack([picture for picture, _ in rendered], self.image),
        }
        note = ", ".join(self.text(name, value) for name, value in fixed.items())
        note = f"Fixed here: {note}. Run the notebook to move these too." if note else ""
        payload = base64.b64encode(gzip.compress(json.dumps(data).encode(), mtime=0)).decode()
        element = (
            f'<figure class="explorable">'
            f'<img src="data:{mime};base64,{base64.b64encode(first).decode()}" alt="{html.escape(sentence)}">'
            f'<p class="explorable-sentence" aria-live="polite">{html.escape(sentence)}</p>'
            f'<p class="explorable-note">{html.escape(note)}</p>'
            f'<script type="application/octet-stream">{payload}</script></figure>'
        )
        if len(element) > MAX_BYTES:
            raise ValueError(
                f"the explorable figure has {len(element):,} bytes; allowed are {MAX_BYTES:,}: "
                "fewer frames, or the other image format"
            )
        return element

    def _ipython_display_(self) -> None:
        from IPython.display import display

        mode = os.environ.get("MEMOLIB_EXPLORE", "")
        if mode == "frames":
            display({"text/html": self.to_html(), "text/plain": "explorable figure"}, raw=True)
        elif mode == "ends":
            display({"text/plain": "\n".join(self.draw_ends())}, raw=True)
        else:
            display(self.widget())


def _pack(pictures: Sequence[bytes], image: str) -> dict[str, Any]:
    """Frames as JSON; SVG frames share most of their lines, so each line is stored once."""
    if image == "webp":
        return {"base64": [base64.b64encode(picture).decode() for picture in pictures]}
    index: dict[str, int] = {}
    frames = [[index.setdefault(line, len(index)) for line in p.decode().split("\n")] for p in pictures]
    return {"lines": list(index), "index": frames}


def explore(
    draw: Draw,
    *,
    labels: Mapping[str, str],
    start: Mapping[str, Any] | None = None,
    frames: Sequence[str] | None = None,
    image: str = "svg",
    **values: Sequence,
) -> Explorable:
    """Make a figure explorable: one slider for each parameter.

    Args:
        draw: function of all parameters by name, giving a Matplotlib figure and a sentence that says what it shows;
            the sentence is the text below the figure and its alternative text, so it is computed, not written.
        labels: for each parameter its name, with unit, beside the slider.
        start: where sliders stand at first, among the values; the middle where nothing is said.
        frames: one or two parameters that also move on the built page (the first parameter where nothing is said).
        image: format of the frames: ``svg`` for lines, ``webp`` for scatter and images.
        **values: for each parameter the values its slider takes, two or more.
    Returns: Explorable, which Jupyter displays. Raises: ValueError otherwise; on display, for more than 400 kB.
    """
    if image not in FORMATS:
        raise ValueError(f"image is {image!r}; allowed are {', '.join(FORMATS)}")
    for name, options in values.items():
        if len(options) < 2:
            raise ValueError(f"{name} has {len(options)} values; allowed are two or more")
        if name not in labels:
            raise ValueError(f"labels has no entry for {name}; allowed is one for each of {', '.join(values)}")
    values = {name: [getattr(v, "item", lambda v=v: v)() for v in options] for name, options in values.items()}
    start = {name: options[len(options) // 2] for name, options in values.items()} | dict(start or {})
    for name, value in start.items():
        if value not in values.get(name, ()):
            raise ValueError(
                f"start[{name!r}] is {value!r}; allowed are {values.get(name, 'no values: no such slider')}"
            )
    frames = tuple(frames or list(values)[:1])
    if not 1 <= len(frames) <= 2 or not set(frames) <= set(values):
        raise ValueError(f"frames is {frames}; allowed are one or two of {', '.join(values) or '(no parameters)'}")
    return Explorable(draw, values, dict(labels), start, frames, image)
