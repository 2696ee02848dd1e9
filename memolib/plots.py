"""House style of figures and tables, and what is read off curves and repetitions.

Figures are phone-sized, colour-blind safe, and the same bytes each run.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from memolib._extras import extra
from memolib._files import printable
from memolib._validate import real, real_array

with extra("book"):
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

# Okabe and Ito's qualitative palette, darkest first; sequences of N or t use viridis.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")

STYLE = {
    "axes.grid": True,
    "axes.prop_cycle": plt.cycler(color=COLORS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "figure.figsize": (4.5, 3.2),  # inches: on a phone it shrinks to 80%, and 10 pt stay readable
    "font.size": 10,
    "grid.alpha": 0.3,
    "image.cmap": "viridis",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "memolib",
}


def use_style() -> None:
    """Set the house style for every figure from here on; chapters call it in their import cell.

    Chapter:
        ``reference/contributing``.
    """
    plt.rcParams.update(STYLE)


def shades(n: int) -> np.ndarray:
    """Give ``n`` colours of a sequential, colour-blind-safe map, dark to light.

    Args:
        n: number of colours, 1 or more.

    Returns:
        RGBA colours, shape (n, 4).

    Chapter:
        ``reference/contributing``.
    """
    return plt.get_cmap("viridis")(np.linspace(0, 0.85, n))


def show_images(
    axes: Sequence[Axes],
    images: np.ndarray,
    shape: tuple[int, int],
    titles: Sequence[str],
) -> None:
    """Draw one grey image on each of the axes: ink is dark, 0 is white and 1 black.

    Args:
        axes: n axes.
        images: shape (n, d), values 0 to 1.
        shape: of one image, with product d.
        titles: n short texts.

    Chapter:
        ``reference/contributing``.
    """
    for ax, image, title in zip(axes, images, titles, strict=True):
        # "none" stores the few pixels as they are, which keeps SVG frames small
        ax.imshow(image.reshape(shape), cmap="gray_r", vmin=0, vmax=1, interpolation="none")
        ax.set(title=title, xticks=[], yticks=[])
        ax.title.set_fontsize(9)
        ax.grid(False)
        for side in ("top", "right"):
            ax.spines[side].set_visible(True)


class MeanAndError(NamedTuple):
    """A mean and its standard error: a symbol and its error bar.

    Attributes:
        mean: over repetitions, in the unit of the values.
        error: its standard error, of the same shape and unit.
    """

    mean: np.ndarray
    error: np.ndarray


def mean_and_error(values: ArrayLike, axis: int = 0) -> MeanAndError:
    """Give mean and standard error over independent repetitions.

    Args:
        values: one entry for each repetition along ``axis``, two or more.
        axis: of the repetitions.

    Returns:
        ``MeanAndError``, both of the shape without that axis.

    Raises:
        ValueError: for fewer than two repetitions.

    Chapter:
        ``reference/contributing``.

    Example:
        >>> from memolib.plots import mean_and_error
        >>> mean, error = mean_and_error([[1.0, 5.0], [3.0, 5.0]])
        >>> mean.tolist(), error.tolist()
        ([2.0, 5.0], [1.0, 0.0])
    """
    values = np.asarray(values)
    n = values.shape[axis] if values.ndim else 1
    if n < 2:
        raise ValueError(f"values has {n} repetition along axis {axis}; allowed are two or more")
    error = values.std(axis=axis, ddof=1) / np.sqrt(n)
    return MeanAndError(values.mean(axis=axis), error)


def crossing(x: ArrayLike, y: ArrayLike, level: float) -> float:
    """Where a curve crosses a level, by interpolation that is linear in ln x.

    Args:
        x: abscissae, such as noise variances or numbers of data, above 0, growing or falling, shape
            (K,).
        y: the curve there, shape (K,); it may rise or fall.
        level: to cross, in the unit of y.

    Returns:
        The x of the first crossing in the order given; nan where there is none between two of them.

    Raises:
        ValueError: for other arguments.

    Chapter:
        ``networks/data_and_capacity``.

    Example:
        >>> from memolib.plots import crossing
        >>> round(crossing([1, 100, 1_000], [0.9, 0.1, 0.0], 0.5), 9)  # halfway in ln x
        10.0
        >>> crossing([1, 100], [0.9, 0.6], 0.5)
        nan
    """
    log_x = np.log(real_array("x", x, minimum=0, strict=True))
    above = real_array("y", y) - real("level", level)
    if log_x.ndim != 1 or len(log_x) < 2 or above.shape != log_x.shape:
        given = f"x has shape {log_x.shape} and y {above.shape}"
        raise ValueError(f"{given}; allowed is (K,) for both, with K at least 2")
    steps = np.diff(log_x)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError("x is neither growing nor falling; allowed is one of them")
    (found,) = np.nonzero(np.diff(np.sign(above)))
    if not len(found):
        return np.nan
    k = found[0]
    return float(np.exp(log_x[k] + steps[k] * above[k] / (above[k] - above[k + 1])))


def print_table(columns: Mapping[str, Sequence], formats: str = ".4f") -> None:
    """Print numbers as a table, one column an entry; text stays as it is.

    Args:
        columns: for each heading its values, all of one length.
        formats: format of each column's numbers, separated by blanks; the last one goes for all
            that follow.

    Chapter:
        ``reference/contributing``.
    """
    forms = formats.split()
    cells = []
    for k, (heading, values) in enumerate(columns.items()):
        form = forms[min(k, len(forms) - 1)]
        texts = [value if isinstance(value, str) else format(value, form) for value in values]
        cells.append([printable(text) for text in [heading, *texts]])
    widths = [max(map(len, column)) for column in cells]
    lines = []
    for row in zip(*cells, strict=True):
        padded = [text.rjust(width) for text, width in zip(row, widths, strict=True)]
        lines.append("   ".join(padded))
    print("\n".join(lines))
