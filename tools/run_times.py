"""Write the page of run times from results/run_times.json and results/benchmarks: python tools/run_times.py."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

from memolib import plots
from tools.notebooks import ROOT, chapters

RUN_TIMES = ROOT / "results" / "run_times.json"
PAGE = ROOT / "book" / "reference" / "run_times.md"
FIGURE = PAGE.with_name("scaling.svg")
WAYS = "memolib", "softmax of expanded distances"


def markdown(columns: list[str], rows: list[list[str]]) -> str:
    """Give a table, its first column to the left and the others to the right."""
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float, form: str = "#.3g") -> str:
    """Write a number with thousands separators, or as a power of ten where it is very small."""
    if value == 0:
        return "0"
    if 0 < abs(value) < 1e-3:
        mantissa, power = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(power)}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:{form}}".removesuffix(".")


def benchmark(name: str) -> tuple[dict, dict]:
    """Record and tables of a benchmark."""
    stored = json.loads((ROOT / "results" / "benchmarks" / f"{name}.json").read_text())
    return stored["record"], stored["tables"]


def notebooks() -> str:
    """Seconds and memory of every chapter."""
    times, rows = json.loads(RUN_TIMES.read_text()), []
    for path in chapters():
        name = path.relative_to(ROOT).as_posix()
        seconds, megabytes = times[name]
        rows.append([f"[{path.stem}](../{name.removeprefix('book/')})", f"{seconds:.0f}", f"{megabytes:.0f}"])
    return f"""Each notebook of the book, run from top to bottom in a clean kernel on one core, including the frames
that it draws for its explorable figures.

{markdown(["notebook", "time, s", "peak memory, MB"], rows)}"""


def denoiser(record: dict, tables: dict) -> str:
    """The empirical denoiser against the plain ways, and how its time grows."""
    parts = []
    for title, rows in tables.items():
        if "N = " not in title or "noise" in title:
            continue
        bare = rows[0]["s"]
        lines = [
            [
                row["way"],
                number(row["s"]),
                f"{row['s'] / bare:.2f}",
                number(max(row["MB"], 0), ".0f") if "MB" in row else "",
                number(row["error"]) if "error" in row else "",
            ]
            for row in rows
        ]
        parts.append(
            f"### {title}\n\n{markdown(['way', 'time, s', 'over two products', 'memory, MB', 'error'], lines)}"
        )
    slopes = {name: tables[f"time against {name}"][-1] for name in "NQd"}
    fits = [[name, *(f"{v[way]:.2f} ± {v[f'{way}, error']:.2f}" for way in WAYS)] for name, v in slopes.items()]
    single = [[f"{row['t']:g}", *(number(row[way]) for way in WAYS)] for row in tables["float32 against float64"]]
    noises = tables["40 noise variances, N = 60,000, d = 784, float32"]
    return f"""{record["queries"]:,} queries to the empirical denoiser of random points of a data set's size: best time of a few runs,
memory beyond the inputs, and the largest error against float64, in units of the coordinates.
The two bare products of matrices (queries by data, weights by data) are what every way needs.
Public attention, `torch.cdist` and the softmax of expanded distances are the usual few lines; NumPy and KeOps take the
differences themselves, which costs them the fast product of matrices. KeOps was {record["keops"]}.

{chr(10).join(part + chr(10) for part in parts)}
### How the time grows

```{{figure}} {FIGURE.name}
:name: fig-run-scaling
:alt: Three panels, one above the other, with rising straight lines on logarithmic axes, time against the number of points, of queries and of dimensions. The line of memolib lies on or below that of the plain softmax in every panel, most clearly for few dimensions.

Seconds of the empirical denoiser against the number of points N, of queries Q and of dimensions d, the other two held at 20,000, 500 and 784, in float32.
```

Fitted exponents, with the standard error of the fit:

{markdown(["time grows with the power", *WAYS], fits)}

memolib's are near 1, as the count of operations, 4NQd, says. The plain way spends a part of its time on the stored table of
weights, which does not grow with d.

### Small noise in float32

Largest error in units of the data's spread, on smooth random images of 784 pixels:

{markdown(["t", *WAYS], single)}

### Forty noise variances at once

Own weight, N_eff and information of all 60,000 points of MNIST's size:

{markdown(["way", "time, s"], [[row["way"], number(row["s"])] for row in noises])}"""


def spectra(tables: dict) -> str:
    """Jacobian spectra."""
    (rows,) = tables.values()
    lines = [[f"{row['t']:g}", *(number(v) for k, v in row.items() if k != "t")] for row in rows]
    return f"""Eigenvalues of the Jacobian of the empirical denoiser of 60,000 points in 784 dimensions, in milliseconds a noisy point
(average of 100 points; automatic differentiation, forward mode, is timed on two). The data are smooth functions of 15 hidden
coordinates, in float32; the last column is the largest deviation between the two. The cost falls with the number of points that
matter; where these are fewer than the 784 dimensions, their Gram matrix gives the spectrum.

{markdown(list(rows[0]), lines)}"""


def network_spectra(tables: dict) -> str:
    """Jacobian spectra of networks, and where the aim is missed."""
    (rows,) = tables.values()
    columns = "memolib, s", "plain, s", "ratio", "memolib, MB", "plain, MB", "deviation"
    lines = [[r["what"], r["network"], str(r["d"]), *(number(r[c]) for c in columns)] for r in rows]
    aims = [r for r in rows if ("full" in r["what"] and r["d"] == 784) or ("leading" in r["what"])]
    missed = [f"{r['network']}, {r['what'].split(' (')[0]} ({r['ratio']:.1f})" for r in aims if r["ratio"] < 5]
    return f"""The Jacobian of networks as denoisers, on one thread, at smooth random images with noise; the U-Net of 784 coordinates is a
stored one, the others were trained for a moment. memolib takes many coordinates of the answer, kicks or noisy copies at once, a
part of them at a time; the plain way is a loop: automatic differentiation of one coordinate after the other, or one kick or
noisy copy at a time. A U-Net's convolutions keep one core busy even one at a time: there, less is gained, for more memory.

Deviations are relative to the largest number. The leading eigenvalues (`spectra.leading`) are compared with memolib's own full
spectrum; their deviation is the error of so few blocks, the others are by rounding. The aim is a fifth of the time, for the full spectrum at d = 784 and for the leading eigenvalues.
It is missed (ratio below 5) by: {"; ".join(missed) or "none"}.

{markdown(["what", "network", "d", *columns], lines)}"""


def dimension(tables: dict) -> str:
    """Estimators of the dimension: time against plain ways, and accuracy on flat manifolds."""
    *timed, flat = tables.items()
    columns = "memolib, s", "plain, s", "ratio", "memolib, MB", "plain, MB", "answer", "deviation"
    parts = []
    for title, rows in timed:
        lines = [[r["way"], *(number(r[c]) for c in columns)] for r in rows]
        parts.append(f"{title[0].upper()}{title[1:]}:\n\n{markdown(['way', *columns], lines)}")
    lines = [[str(r["m"]), f"{r['t']:g}", *(f"{v:.1f}" for v in list(r.values())[2:])] for r in flat[1]]
    return f"""FLIPD and the normal bundle's gap (`memolib.dimension`) against straightforward ways: the trace by a loop of automatic
derivatives, the scores one copy at a time with all singular values. With probes the deviation is the scatter of a hundred random directions.
On one core an exact trace through a U-Net gains next to nothing: its convolutions are busy either way.

{(chr(10) * 2).join(parts)}

How right are they? On flat manifolds of m dimensions in 784, variances from 0.01 to 1 in equal ratios, seen by the population's denoiser
at points of the manifold; means over ten points (three for the normal bundle, 0 where it sees no gap):

{markdown(list(flat[1][0]), lines)}"""


def training() -> str:
    """Training of memolib against the public recipe, on equal seconds, and ensembles against single runs."""
    record, tables = benchmark("training")
    if (ROOT / "results" / "benchmarks" / "training_500.json").exists():  # a longer run
        longer = benchmark("training_500")[1]
        tables = {title: rows for title, rows in tables.items() if "N = 500" not in title} | longer
    parts = []
    for N in ("20,000", "500"):
        ways = {}
        for title, rows in tables.items():  # such as "N = 500, 1,800 s: public recipe, last"
            if title.startswith(f"N = {N}, "):
                after, way = title.removeprefix(f"N = {N}, ").split(" s: ")
                ways.setdefault(way, {})[int(after.replace(",", ""))] = rows
        shown = {f"memolib, {after} s": rows for after, rows in ways["memolib"].items() if after in (20, 60)}
        for way in ("public recipe, last", "public recipe, averaged"):
            longest = max(ways[way])
            shown[f"{way}, {longest:,} s"] = ways[way][longest]
        for distance, what in (
            ("to population, C", "the exact denoiser of the population, at fresh points (C)"),
            ("to empirical, A", "the exact denoiser of the data, at training points (A)"),
        ):
            each = zip(*shown.values(), strict=True)
            lines = [[f"{at[0]['sigma']:g}", *(number(row[distance]) for row in at)] for at in each]
            parts.append(f"N = {N}, distance to {what}:\n\n{markdown(['sigma', *shown], lines)}")
    ensembles = tables["nine data-set sizes as one ensemble"]
    lines = [[str(r["batch"]), *(number(v) for k, v in r.items() if k != "batch")] for r in ensembles]
    return f"""memolib's training and the recipe of the public experiments (a network of 535,198 parameters, most of which serve the noise level;
RAdam, an average over some 10,000 steps), after so many seconds on {record["threads"]} thread, for the book's example of 30 dimensions. Distances
are root mean squares in units of the noise that the exact denoiser removes: 0 is exact, 1 is as far off as no denoising. Of the
recipe, the last parameters and the averaged ones are shown after the longest run. At N = 20,000 and
small noise all stay far from the denoiser of the data (A); at N = 500 longer training turns to it, away from the population's (C).

{chr(10).join(part + chr(10) for part in parts)}
Nine data-set sizes as one ensemble against nine runs, in seconds:

{markdown(list(ensembles[0]), lines)}"""


def cluster(record: dict, tables: dict) -> str:
    """The denoiser on worker processes, and an estimate for larger data."""
    measured = [[r["where"], number(r["s"]), number(r["deviation"])] for r in tables["measured"]]
    columns = list(tables["estimated"][0])
    estimated = [
        [r["data"], *(f"{r[c]:.2g}" if r[c] > 1e6 else number(r[c]) for c in columns[1:])] for r in tables["estimated"]
    ]
    return f"""`memolib.cluster.Sharded` takes the same queries to shards of the data on the workers of a Dask cluster.
1,000 queries to 60,000 points in 784 dimensions, in float32:

{markdown(["where", "time, s", "deviation"], measured)}

*What would larger data cost?* A query needs $4Nd$ operations, whatever the noise: $2Nd$ for the exponents and $2Nd$ for the
average. The two workers above did {record["rate"] / 1e9:.0f} billion operations per second and core. At this rate:

{markdown(columns, estimated)}

(Data and one centred copy of them must fit the workers' memory; the answers, $Qd$ numbers a shard, travel, the data do not.)"""


def page() -> str:
    """Text of the page."""
    record, tables = benchmark("empirical")
    (_, spectra_tables), (cluster_record, cluster_tables) = benchmark("spectra"), benchmark("cluster")
    machine, versions = f"{record['machine']} ({record['threads']} threads)", record["versions"]
    return f"""# Run times

Written by `make execute` and `make bench` from what they measured.

## Notebooks

{notebooks()}

## The empirical denoiser

{denoiser(record, tables)}

## Spectra

{spectra(spectra_tables)}

## Spectra of networks

{network_spectra(benchmark("network_spectra")[1])}

## Intrinsic dimension

{dimension(benchmark("dimension")[1])}

## Training

{training()}

## Past one machine

{cluster(cluster_record, cluster_tables)}

Measured on {machine} with Python {versions["python"]} and torch {versions["torch"]}. `make bench` measures again.
"""


def draw(tables: dict) -> None:
    """Draw seconds against N, Q and d."""
    plots.use_style()
    figure, axes = plt.subplots(3, 1, figsize=(4.5, 6.6))
    for ax, name in zip(axes, "NQd", strict=True):
        rows = tables[f"time against {name}"][:-1]
        for way, mark in zip(WAYS, "os", strict=True):
            ax.loglog([r[name] for r in rows], [r[way] for r in rows], f"{mark}-", ms=4, label=way)
        ax.set(xlabel={"N": "points $N$", "Q": "queries $Q$", "d": "dimensions $d$"}[name], ylabel="seconds")
        ax.xaxis.set_minor_formatter("")
    axes[0].legend()
    figure.savefig(FIGURE, metadata={"Date": None})


def write_page() -> None:
    """Write page and figure."""
    PAGE.write_text(page())
    draw(benchmark("empirical")[1])


if __name__ == "__main__":
    write_page()
