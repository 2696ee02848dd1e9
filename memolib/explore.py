"""The explorable figure: sliders in a live kernel, precomputed frames on the built page.

``explore(draw, ...)`` is one call with three behaviours, chosen by the environment variable
``MEMOLIB_EXPLORE``:

- unset, in a live kernel: ipywidgets sliders for every parameter; nothing is precomputed. Front
  ends without widgets show the picture or the sentence at the start;
- ``frames`` (``make execute``): a self-contained HTML figure over precomputed frames of one or two
  parameters, that the page's script ``explorable.js`` turns into a keyboard-usable slider without
  kernel or network;
- ``ends`` (tests): the figure is drawn at both ends of every slider; an error there is an error of
  the cell, and so is a slider that would answer too slowly in a live kernel.
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
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from memolib._extras import extra

with extra("book"):
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure
    from PIL import Image

if TYPE_CHECKING:  # not needed where frames are drawn
    from ipywidgets import VBox

MAX_BYTES = 400_000  # of one figure's HTML, so that pages stay light and the repository small
FORMATS = ("svg", "webp")
PATIENCE = 0.4  # processor seconds of a slider's answer; the aim is 0.2, and processors differ
WIDGET = "application/vnd.jupyter.widget-view+json"

Draw = Callable[..., tuple[Figure, str]]


class Explorable:
    """An explorable figure; Jupyter shows it as sliders or frames. Made by ``explore``.

    Attributes:
        draw: function of all parameters by name, giving a figure and a sentence.
        values: for each parameter the values of its slider.
        labels: for each parameter its name, with unit.
        start: for each parameter the value shown first.
        frames: parameters that move on the built page.
        image: format of the frames.

    Chapter:
        ``reference/contributing``.
    """

    def __init__(
        self,
        draw: Draw,
        values: dict[str, list],
        labels: dict[str, str],
        start: dict[str, Any],
        frames: tuple[str, ...],
        image: str,
    ) -> None:
        self.draw = draw
        self.values = values
        self.labels = labels
        self.start = start
        self.frames = frames
        self.image = image

    def text(self, name: str, value: float | str) -> str:
        """Give a parameter's value as the slider shows it, with its label: ``N = 10,000``.

        Args:
            name: of the parameter.
            value: of it.

        Returns:
            A text.
        """
        return f"{self.labels[name]} = {self._value(value)}"

    @staticmethod
    def _value(value: float | str) -> str:
        if isinstance(value, str):
            return value
        if value == int(value) and abs(value) < 1e9:
            return f"{int(value):,}"
        return f"{value:.3g}"

    def render(self, image: str, **parameters: Any) -> tuple[bytes, str]:
        """Draw one frame and close all figures that it opened, also where drawing fails.

        Args:
            image: format: svg, webp or png.
            **parameters: of ``draw``, one value each.

        Returns:
            The picture's bytes and the sentence.

        Raises:
            ValueError: where ``draw`` gives no figure and sentence; what ``draw`` raises passes on.
        """
        before = set(plt.get_fignums())
        try:
            figure, sentence = self._drawn(parameters)
            try:
                return _picture(figure, image), sentence
            finally:
                plt.close(figure)
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)

    def _drawn(self, parameters: dict[str, Any]) -> tuple[Figure, str]:
        """Call ``draw``, and refuse what is no figure and sentence."""
        drawn = self.draw(**parameters)
        pair = isinstance(drawn, tuple | list) and len(drawn) == 2
        if not pair or not hasattr(drawn[0], "savefig") or not isinstance(drawn[1], str):
            kind = type(drawn).__name__
            raise ValueError(f"draw gave {kind}; allowed is `return figure, sentence`")
        figure, sentence = drawn
        return figure, sentence

    def draw_ends(self) -> list[str]:
        """Draw at every combination of the sliders' ends, as a live kernel does.

        Returns:
            The sentences.

        Raises:
            ValueError: where a sentence is short, or half of the answers take too long; what
                ``draw`` raises passes on.
        """
        ends = itertools.product(*({v[0]: 0, v[-1]: 0} for v in self.values.values()))
        sentences = []
        seconds = []
        for end in ends:
            start = time.process_time()
            _, sentence = self.render("png", **dict(zip(self.values, end, strict=True)))
            seconds.append(time.process_time() - start)
            sentences.append(sentence)
            if len(sentence) < 20:
                raise ValueError(
                    f"draw's sentence is {sentence!r}; allowed are 20 letters or more",
                )
        typical = statistics.median(seconds)
        if typical > PATIENCE:
            raise ValueError(
                f"draw takes {typical:.2f} s; allowed, for a slider, are {PATIENCE} s",
            )
        return sentences

    def widget(self) -> "VBox":
        """Give sliders for all parameters and the figure at their start, as an ipywidgets box.

        Where ``draw`` fails for a value, its error stands in the sentence's place, and no picture.

        Returns:
            A box of the sliders, the picture and the sentence.
        """
        return self._live()[0]

    def _live(self) -> tuple["VBox", bytes, str]:
        """Give the box, and beside it the picture (empty where there is none) and sentence."""
        with extra("book"):
            import ipywidgets  # not needed where frames are drawn

        sliders = {}
        for name, values in self.values.items():
            sliders[name] = ipywidgets.SelectionSlider(
                options=[(self._value(v), v) for v in values],
                value=self.start[name],
                description=self.labels[name],
                style={"description_width": "14em"},
                layout={"width": "36em", "max_width": "100%"},
            )
        picture = ipywidgets.Image(format="png", layout={"max_width": "100%", "width": "36em"})
        sentence = ipywidgets.HTML()

        def redraw(_change: Any = None) -> tuple[bytes, str]:
            parameters = {name: slider.value for name, slider in sliders.items()}
            try:
                data, text = self.render("png", **parameters)
            except Exception as error:
                text, trace = self._failure(error, parameters)
                picture.layout.visibility = "hidden"  # an old picture would belong to other values
                sentence.value = f"{html.escape(text)}<pre>{html.escape(trace)}</pre>"
                return b"", f"{text}\n{trace}".rstrip()
            picture.layout.visibility = "visible"
            picture.value = data
            sentence.value = html.escape(text)
            return data, text

        for slider in sliders.values():
            slider.observe(redraw, names="value")
        data, text = redraw()
        return ipywidgets.VBox([*sliders.values(), picture, sentence]), data, text

    def _failure(self, error: Exception, parameters: dict[str, Any]) -> tuple[str, str]:
        """Say for which values ``draw`` failed and how, and give its lines that led there."""
        values = ", ".join(self.text(name, value) for name, value in parameters.items())
        last = "".join(traceback.format_exception_only(error)).strip()
        lines = error.__traceback__
        while lines is not None and lines.tb_frame.f_code.co_filename == __file__:
            lines = lines.tb_next
        trace = "".join(traceback.format_tb(lines))
        return f"No figure for {values}: {last}", trace

    def to_html(self) -> str:
        """Give precomputed frames as one HTML element; without a script its first stands alone.

        Returns:
            The element.

        Raises:
            ValueError: for more than 400 kB.
        """
        axes = [self.values[name] for name in self.frames]
        fixed = {name: value for name, value in self.start.items() if name not in self.frames}
        rendered = []
        for point in itertools.product(*axes):
            moved = dict(zip(self.frames, point, strict=True))
            rendered.append(self.render(self.image, **moved, **fixed))
        places = [self.values[name].index(self.start[name]) for name in self.frames]
        shown = np.ravel_multi_index(places, [*map(len, axes)])
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
        source = f"data:{mime};base64,{base64.b64encode(first).decode()}"
        sentence = html.escape(sentence)
        element = (
            f'<figure class="explorable">'
            f'<img src="{source}" alt="{sentence}">'
            f'<p class="explorable-sentence" aria-live="polite">{sentence}</p>'
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
        """Show the figure as the environment asks."""
        from IPython.display import display

        mode = os.environ.get("MEMOLIB_EXPLORE", "")
        if mode == "frames":
            display({"text/html": self.to_html(), "text/plain": "explorable figure"}, raw=True)
        elif mode == "ends":
            display({"text/plain": "\n".join(self.draw_ends())}, raw=True)
        else:
            bundle, metadata = self._bundle()
            display(bundle, metadata=metadata, raw=True)

    def _bundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Give the sliders, and for front ends without widgets the picture and the sentence.

        A front end shows one of them, the sliders where it can: Jupyter ranks them first.
        """
        box, data, text = self._live()
        view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
        bundle: dict[str, Any] = {WIDGET: view, "text/plain": text}
        if not data:
            return bundle, {}
        bundle["image/png"] = base64.b64encode(data).decode()
        return bundle, {"image/png": {"alt": text}}


def _picture(figure: Figure, image: str) -> bytes:
    """Give a figure's bytes in a format."""
    buffer = io.BytesIO()
    if image == "webp":
        pixels = io.BytesIO()
        figure.savefig(pixels, format="png", dpi=150)
        Image.open(pixels).convert("RGB").save(buffer, format="webp", quality=80)
    else:
        metadata = {"Date": None} if image == "svg" else None
        figure.savefig(buffer, format=image, metadata=metadata, dpi=110)
    return buffer.getvalue()


def _pack(pictures: Sequence[bytes], image: str) -> dict[str, Any]:
    """Give frames as JSON; SVG frames share most of their lines, so each line is stored once."""
    if image == "webp":
        return {"base64": [base64.b64encode(picture).decode() for picture in pictures]}
    index: dict[str, int] = {}
    frames = []
    for picture in pictures:
        lines = picture.decode().split("\n")
        frames.append([index.setdefault(line, len(index)) for line in lines])
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
        draw: function of all parameters by name, giving a Matplotlib figure and a sentence that
            says what it shows; the sentence is the text below the figure and its alternative text,
            so it is computed, not written.
        labels: for each parameter its name, with unit, beside the slider.
        start: where sliders stand at first, among the values; the middle where nothing is said.
        frames: one or two parameters that also move on the built page (the first parameter where
            nothing is said).
        image: format of the frames: ``svg`` for lines, ``webp`` for scatter and images.
        **values: for each parameter the values its slider takes, two or more.

    Returns:
        Explorable, which Jupyter displays.

    Raises:
        ValueError: otherwise; on display, for frames of more than 400 kB.

    Chapter:
        ``reference/contributing``.
    """
    if image not in FORMATS:
        raise ValueError(f"image is {image!r}; allowed are {', '.join(FORMATS)}")
    for name, options in values.items():
        if len(options) < 2:
            raise ValueError(f"{name} has {len(options)} values; allowed are two or more")
        if name not in labels:
            allowed = f"one for each of {', '.join(values)}"
            raise ValueError(f"labels has no entry for {name}; allowed is {allowed}")
    plain = {name: [_plain(value) for value in options] for name, options in values.items()}
    middle = {name: options[len(options) // 2] for name, options in plain.items()}
    start = middle | dict(start or {})
    for name, value in start.items():
        if value not in plain.get(name, ()):
            allowed = plain.get(name, "no values: no such slider")
            raise ValueError(f"start[{name!r}] is {value!r}; allowed are {allowed}")
    frames = tuple(frames or list(plain)[:1])
    if not 1 <= len(frames) <= 2 or not set(frames) <= set(plain):
        allowed = ", ".join(plain) or "(no parameters)"
        raise ValueError(f"frames is {frames}; allowed are one or two of {allowed}")
    return Explorable(draw, plain, dict(labels), start, frames, image)


def _plain(value: Any) -> Any:
    """Give NumPy's numbers as Python's own, everything else as it is."""
    return value.item() if hasattr(value, "item") else value
