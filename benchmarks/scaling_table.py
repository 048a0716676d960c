"""What a corpus of 10^6 or 10^8 clips costs on 1 to 256 GPUs: `python -m benchmarks.scaling_table`.

Prints the tables of docs/scaling.md, computed from `benchmarks.scaling_constants` and from the measurements in
benchmarks/scale_corpus.csv; `--write` puts them into the page. Communication is a formula, not a measurement.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.scale_corpus import TABLE, Measured, read_table
from benchmarks.scale_steps import STEPS
from benchmarks.scaling_constants import CONSTANTS, value

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
CORPORA = (10**6, 10**8)
GPUS = (1, 8, 64, 256)
_FLOAT = 4  # bytes: gradients and gathered embeddings are float32
_COLLECTIVES = 2  # of a synchronised batch norm: statistics forward, their gradients backward
_BACKWARD = 2 / 3  # of a step: gradients are summed while the others are still computed
_LOGITS = 6  # matrices of B x NB in memory: logits, softmax and gradient, in both directions

Rows = list[list[str]]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling_table", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    args = parser.parse_args(argv)
    if args.write:
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"wrote {PAGE}")
        return
    for name, table in TABLES.items():
        print(f"{name}\n\n{markdown(table())}\n")


def with_tables(text: str) -> str:
    """A page whose tables after `<!-- table NAME -->` are those of this script."""

    def replaced(found: re.Match[str]) -> str:
        return f"{found[1]}\n\n{markdown(TABLES[found[2]]())}\n\n"

    return re.sub(r"^(<!-- table (.+?) -->)\n\n(?:\|.*\n)*\n?", replaced, text, flags=re.MULTILINE)


def markdown(rows: Rows) -> str:
    """A table; its first row is the head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def number(quantity: float) -> str:
    """Three significant digits, without an exponent; a space between thousands."""
    if quantity == 0 or not math.isfinite(quantity):
        return f"{quantity:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(quantity))))
    text = f"{round(quantity, 2 - math.floor(math.log10(abs(quantity)))):,.{digits}f}".replace(",", " ")
    return text.rstrip("0").rstrip(".") if "." in text else text


def size(clips: int) -> str:
    """10^6 for a million."""
    return f"10^{round(math.log10(clips))}"


def constants() -> Rows:
    """The constants, with their sources."""
    rows = [[name, number(one.value), one.unit, one.source] for name, one in CONSTANTS.items()]
    return [["", "value", "unit", "source"], *rows]


def measured() -> Rows:
    """CPU microseconds a clip of each step, at every size that was measured, and peak memory."""
    table = read_table(TABLE)
    sizes = sorted({row.clips for row in table})
    found = {(row.step, row.clips): row for row in table}
    head = ["step", *(f"{size(n)} clips" for n in sizes), "peak memory, MB"]
    rows = []
    for step in STEPS:
        own = [found.get((step, n)) for n in sizes]
        rows.append([step, *(_cost(row) for row in own), " / ".join(_peak(row) for row in own)])
    return [head, *rows]


def _cost(row: Measured | None) -> str:
    return "" if row is None else number(row.us_a_clip)


def _peak(row: Measured | None) -> str:
    return "-" if row is None else f"{row.peak_mb:.0f}"


def largest(step: str) -> Measured:
    """The measurement of a step at the largest size."""
    return max((row for row in read_table(TABLE) if row.step == step), key=lambda row: row.clips)


def memory_a_clip(step: str) -> float:
    """Bytes a clip by which a process grows in a step."""
    row = largest(step)
    return 1e6 * (row.peak_mb - row.start_mb) / row.clips


def log_mel_bytes() -> float:
    """Of a clip, in the feature file."""
    frames = value("duration of a clip") * value("log-mel frames")
    return frames * value("bytes of a frame") + value("HDF5 around a clip")


def corpus() -> Rows:
    """What stage 1 needs and leaves, and what a process holds that trains on it."""
    clip_s, machine = value("duration of a clip"), value("GPUs of a machine") * value("cores beside a GPU")
    log_mels_s = clip_s / value("log-mels of MP3")
    steps = ("write tables", "write parts", "assemble")
    book_keeping_s = {step: largest(step).us_a_clip / 1e6 for step in steps}
    amounts: list[tuple[str, float, float]] = [  # label, amount of a clip, divisor
        ("raw sound, GB", clip_s * value("raw sound"), 1e9),
        ("log-mels, GB", log_mel_bytes(), 1e9),
        ("caption vectors, GB", value("width of an embedding") * _FLOAT, 1e9),
        ("log-mels, core hours", log_mels_s, 3600),
        (f"log-mels, hours on a machine of {machine:.0f} cores", log_mels_s / machine, 3600),
        ("caption vectors, core hours", 1 / value("caption vectors"), 3600),
        ("parts of the feature file, core hours", book_keeping_s["write parts"], 3600),
        ("assembly, hours on the one core that it uses", book_keeping_s["assemble"], 3600),
        ("opening the split, minutes of each process", largest("open").us_a_clip / 1e6, 60),
        ("memory of each process that trains, GB", memory_a_clip("open"), 1e9),
        ("core hours of stage 1, $", value("core hour") * (log_mels_s + 1 / value("caption vectors")), 3600),
        (
            "a month of raw sound and log-mels in object storage, $",
            value("month of a terabyte") * (clip_s * value("raw sound") + log_mel_bytes()),
            1e12,
        ),
    ]
    rows = [[label, *(number(n * amount / divisor) for n in CORPORA)] for label, amount, divisor in amounts]
    return [["", *(f"{size(n)} clips" for n in CORPORA)], *rows]


def step_s() -> float:
    """Seconds of a training step of one GPU, alone."""
    return value("batch of a GPU") * value("duration of a clip") / value("training CNN14")


def gradient_bytes() -> float:
    """Of a step."""
    return 1e6 * value("parameters of CNN14") * _FLOAT


def gathered_bytes(gpus: int) -> float:
    """Embeddings of sound and text of the whole batch."""
    return gpus * value("batch of a GPU") * 2 * value("width of an embedding") * _FLOAT


def gradients_s(gpus: int, network: str) -> float:
    """Seconds to sum the gradients: within each machine, then between machines, each GPU a share of them."""
    inside = min(gpus, int(value("GPUs of a machine")))
    machines = gpus / inside
    # a network card for each GPU, or one that all GPUs of a machine share
    between = value(network) * (inside if network == "fast network" else 1)
    ring_gb = (inside - 1) / inside / value("within a machine") + (machines - 1) / machines / between
    return 2 * ring_gb * gradient_bytes() / 1e9


def waiting_s(gpus: int, network: str) -> float:
    """Seconds of a step in which a GPU waits for the others."""
    if gpus == 1:
        return 0.0
    link = value("within a machine" if gpus <= value("GPUs of a machine") else network)
    gather = 2 * (gpus - 1) / gpus * gathered_bytes(gpus) / (1e9 * link)  # there, and the gradients back
    norms = _COLLECTIVES * value("layers of batch norm") * value("latency of a collective") / 1e6 * math.log2(gpus)
    return max(0.0, gradients_s(gpus, network) - _BACKWARD * step_s()) + gather + norms


def efficiency(gpus: int, network: str) -> float:
    """Share of a step in which a GPU computes."""
    return step_s() / (step_s() + waiting_s(gpus, network))


def communication() -> Rows:
    """What is sent in a step of N GPUs, and how long each waits for it."""
    head = ["GPUs", "batch", "gradients, MB", "gathered, MB", "logits of a GPU, MB"]
    for network in ("fast network", "plain network"):
        head += [f"{network}: gradients, ms", "waits, ms", "efficiency"]
    rows = []
    for gpus in GPUS:
        batch = gpus * value("batch of a GPU")
        row = [
            str(gpus),
            f"{batch:.0f}",
            number(gradient_bytes() / 1e6 if gpus > 1 else 0),
            number(gathered_bytes(gpus) / 1e6),
            number(_LOGITS * value("batch of a GPU") * batch * _FLOAT / 1e6),
        ]
        for network in ("fast network", "plain network"):
            row += [number(1e3 * gradients_s(gpus, network)), number(1e3 * waiting_s(gpus, network))]
            row.append(f"{efficiency(gpus, network):.2f}")
        rows.append(row)
    return [head, *rows]


def training() -> Rows:
    """Hours and money of a run, and what the disk must deliver."""
    sound_s = value("epochs") * value("duration of a clip")
    start_s = value("Ray") + value("imports") + value("torch.compile of CNN14")
    head = ["GPUs", *(f"{size(n)} clips, {what}" for n in CORPORA for what in ("hours", "$"))]
    rows = []
    for gpus in GPUS:
        rate = gpus * value("training CNN14") * efficiency(gpus, "fast network")  # seconds of sound a second
        row = [str(gpus)]
        for clips in CORPORA:
            opening_s = largest("open").us_a_clip * clips / 1e6
            hours = (clips * sound_s / rate + start_s + opening_s) / 3600
            row += [number(hours), number(hours * gpus * value("GPU hour"))]
        rows.append([*row, number(opening_share(gpus, CORPORA[-1])), number(read_gb_s(gpus))])
    return [[*head, f"share of opening, {size(CORPORA[-1])}", "read, GB/s"], *rows]


def opening_share(gpus: int, clips: int) -> float:
    """Share of a run in which the split is opened, by every process for itself."""
    opening_s = largest("open").us_a_clip * clips / 1e6
    rate = gpus * value("training CNN14") * efficiency(gpus, "fast network")
    return opening_s / (opening_s + clips * value("epochs") * value("duration of a clip") / rate)


def read_gb_s(gpus: int) -> float:
    """What GPUs that train read of the feature file, GB/s."""
    rate = gpus * value("training CNN14") * efficiency(gpus, "fast network")
    return rate * value("log-mel frames") * value("bytes of a frame") / 1e9


def limits() -> Rows:
    """What breaks, and at which number of clips or GPUs."""
    whole = int(value("GPUs of a machine"))
    gpus = [*range(1, whole), *range(whole, 10**5, whole)]
    disk = next(n for n in gpus if read_gb_s(n) > value("shared disk"))
    plain = next(n for n in gpus if efficiency(n, "plain network") < 0.8)
    fast = next(n for n in gpus if efficiency(n, "fast network") < 0.8)
    memory = 1e9 * value("memory of a machine") / (value("GPUs of a machine") * memory_a_clip("open"))
    return [
        ["what", "from", "since"],
        ["the shared disk, features read anew in every epoch", f"{disk} GPUs", f"{number(value('shared disk'))} GB/s"],
        ["a plain network between machines", f"{plain} GPUs", "a GPU computes for less than 0.8 of a step"],
        ["a fast network", f"{fast} GPUs", "the same"],
        ["the open split takes an hour", f"{number(3.6e9 / largest('open').us_a_clip)} clips", "in every process"],
        ["the assembly takes an hour", f"{number(3.6e9 / largest('assemble').us_a_clip)} clips", "on one core"],
        ["the memory of a machine is full", f"{number(memory)} clips", "each process holds ids, places and captions"],
    ]


TABLES: dict[str, Callable[[], Rows]] = {
    "constants": constants,
    "measured": measured,
    "corpus": corpus,
    "training": training,
    "communication": communication,
    "limits": limits,
}

if __name__ == "__main__":
    main()
