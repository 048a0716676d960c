"""Cost per clip and peak memory of each step between raw clips and batches: `python -m benchmarks.scale_corpus`.

A corpus of 10^4, 10^5 and 10^6 clips goes through tables, parts, assembly, opening, sampler and batches, every step in
a process of its own. The decoder is a stub that returns a small array, see `benchmarks.scale_steps`: measured is what
the number of clips costs, not what their sound does. Writes benchmarks/scale_corpus.csv and docs/scale_corpus.png.
Killed, it goes on when it is run again, where `--folder` has kept what it made. Afterwards:
`python -m benchmarks.scaling_table --write`.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.scale_steps import AFTER_OPENING, STEPS, WITH_ROWS, Corpus
from utils.cli_utils import positive
from utils.process_utils import peak_memory

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks" / "scale_corpus.csv"
CURVE = ROOT / "docs" / "scale_corpus.png"
_MEASURED = "measured.csv"  # in the folder of the corpora
SIZES = (10_000, 100_000, 1_000_000)
MB = 1e6


class Measured(NamedTuple):
    """One step of a corpus of some size."""

    step: str
    clips: int
    cpu_s: float  # of all threads: unlike the time on the wall, other work on the machine hardly changes it
    wall_s: float
    start_mb: float  # peak of the process before the step: imports, and what the step is handed
    peak_mb: float

    @property
    def us_a_clip(self) -> float:
        """CPU microseconds a clip."""
        return 1e6 * self.cpu_s / self.clips


_NUMBERS = Measured._fields[2:]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is not in the table yet, then draw the curve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale_corpus", description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=positive, nargs="+", default=SIZES, help="sizes of the corpus")
    parser.add_argument("--folder", type=Path, help="keeps the corpora, 3 GB for 10^6 clips (default: a temporary one)")
    parser.add_argument("--table", type=Path, default=TABLE, help="measurements (default: %(default)s)")
    parser.add_argument("--curve", type=Path, default=CURVE, help="picture (default: %(default)s)")
    args = parser.parse_args(argv)
    if tuple(args.clips) != SIZES and (args.table == TABLE or args.curve == CURVE):
        parser.error("--clips: the project's own table and curve are of other sizes; name --table and --curve too")
    for path in (args.table, args.curve):
        if not path.parent.is_dir():
            parser.error(f"{path}: there is no folder {path.parent}")
    folder = args.folder or Path(tempfile.mkdtemp(prefix="scale-corpus-"))
    try:
        for clips in args.clips:
            measure(folder, clips)
        rows = read_table(folder / _MEASURED)
    finally:
        if args.folder is None:
            shutil.rmtree(folder)
    write_table(args.table, rows)
    draw(rows, args.curve)
    print(f"wrote {args.table} and {args.curve}")


def measure(folder: Path, clips: int) -> None:
    """Run the steps of one size, but those that an earlier run has measured."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / _MEASURED
    known = {(row.step, row.clips) for row in read_table(table)}
    for step in STEPS:
        if (step, clips) in known:
            continue
        code = f"from benchmarks.scale_corpus import run; run({str(folder / str(clips))!r}, {clips}, {step!r})"
        process = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True)
        row = Measured(*json.loads(process.stdout.splitlines()[-1]))
        print(f"{clips:>9} clips | {step:<34} | {row.us_a_clip:8.1f} us of CPU a clip | {row.peak_mb:6.0f} MB")
        write_table(table, [*read_table(table), row])


def run(folder: str, clips: int, step: str) -> None:
    """Run one step in this process, and print what it cost as JSON."""
    corpus = Corpus(Path(folder), clips)
    if step in AFTER_OPENING:
        len(corpus.opened)
    elif step in WITH_ROWS:
        len(corpus.rows)
    before, wall, cpu = peak_memory(), time.perf_counter(), time.process_time()
    STEPS[step](corpus)
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
    row = Measured(step, clips, round(cpu_s, 3), round(wall_s, 3), round(before / MB), round(peak_memory() / MB))
    print(json.dumps(row))


def read_table(path: Path) -> list[Measured]:
    """The measurements of a table; none where there is no table."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [
        Measured(row["step"], int(row["clips"]), *(float(row[key]) for key in Measured._fields[2:])) for row in rows
    ]


def write_table(path: Path, rows: Sequence[Measured]) -> None:
    """Write the measurements, by step and size."""
    order = {step: number for number, step in enumerate(STEPS)}
    ordered: list[Measured] = sorted(rows, key=lambda row: (order[row.step], row.clips))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(Measured._fields)
        writer.writerows(ordered)


def draw(rows: Sequence[Measured], path: Path) -> None:
    """Draw the cost per clip and the memory of each step over the number of clips."""
    import matplotlib.pyplot as plt

    figure, (cost, memory) = plt.subplots(1, 2, figsize=(13, 5.5), layout="constrained")
    for number, step in enumerate(STEPS):
        own = [row for row in rows if row.step == step]
        style = {"marker": "os^"[number % 3], "linestyle": ("-", "--")[number // 10], "color": f"C{number % 10}"}
        cost.plot([row.clips for row in own], [row.us_a_clip for row in own], label=step, **style)
        memory.plot([row.clips for row in own], [row.peak_mb for row in own], **style)
    cost.set(title="cost per clip", ylabel="CPU microseconds a clip", ylim=(0.5, None))
    memory.set(title="peak memory", ylabel="MB, all of the process", ylim=(100, None))
    for axes in (cost, memory):
        axes.set(xscale="log", yscale="log", xlabel="clips")
        axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
