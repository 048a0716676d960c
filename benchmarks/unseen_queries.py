"""Search the embedded corpus in words that none of its captions uses, one query for each kind of sound.

    python -m benchmarks.unseen_queries                              data.splits.eval of the YAML's experiment
    python -m benchmarks.unseen_queries --split val
    python -m benchmarks.unseen_queries --queries mine.csv           kind,query: another list, any number a kind
    python -m benchmarks.unseen_queries --any-words --queries benchmarks/everyday_queries.csv

The retrieval metrics ask for one clip by a caption in the corpus's own words. This asks what a user asks: whether the
clips found are of the kind that was meant. A list is refused where a word of it is in a caption.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks import TrainedRun, command, open_trained_run
from tasks.encoders import encoder_of
from tasks.retrieval.dual_encoder import DualEncoderRun, DualEncoderTask
from tasks.retrieval.scores import trained_dual_encoder
from utils.cli_utils import UserError
from utils.report_utils import print_table

CUTOFF = 5

# Settings and the words of the corpus were chosen on validation, by other queries; this list was measured at the end.
QUERIES: tuple[tuple[str, str], ...] = (
    ("bell", "a gong announces the meal"),
    ("alarm", "an oven timer says that the cake is done"),
    ("knock", "a policeman pounding against the gate"),
    ("dog", "a dachshund snarls at the postman"),
    ("drip", "a leaky pipe in the cellar"),
    ("footsteps", "hikers marching in boots"),
    ("bird", "a blackbird warbles at sunrise"),
    ("horn", "a cabbie loses patience in the jam"),
    ("whistle", "the umpire interrupts a basketball game"),
    ("owl", "tu-whit tu-whoo at midnight"),
    ("clap", "the crowd applauds the pianist"),
    ("telephone", "a mobile that nobody answers"),
    ("siren", "police chasing a thief"),
    ("engine", "a bulldozer idling"),
    ("rain", "drizzle on an umbrella"),
    ("wind", "a hurricane shakes the palms"),
    ("clock", "a wristwatch marks the seconds"),
    ("saw", "a carpenter shortens a plank"),
    ("waves", "the sea at a beach"),
    ("insect", "a mosquito near my ear"),
    ("thunder", "a bolt of lightning"),
    ("typing", "a secretary writes an email"),
    ("cricket", "a locust stridulating"),
    ("helicopter", "a chopper lands on the hospital"),
)
# They say nothing of what sounds.
_FUNCTION_WORDS = (
    "a above after again all an and around at away be by down for from going he her his in into is it its my no nobody "
    "not of off on one onto out outside over she so somebody someone that the their them there they this through to "
    "two under up uses was were while who with"
)

Hits = NDArray[np.bool_]


class Findings(NamedTuple):
    """What every query has found."""

    hits: Hits  # (Q, 5): whether a clip holds the kind, the best clip first
    clips: int  # among which they were found

    @property
    def precision(self) -> float:
        """Mean precision@5 over the queries."""
        return float(self.hits.mean())

    @property
    def first_right(self) -> int:
        """Queries whose first clip holds the kind."""
        return int(self.hits[:, 0].sum())


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Print what each query finds, mean precision@5, and how many first hits are right."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unseen_queries", description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=Path, metavar="FILE", help="a CSV with the columns kind and query")
    parser.add_argument("--any-words", action="store_true", help="queries may use words of captions")
    with open_trained_run(argv, parser, DualEncoderRun) as (trained, args):
        queries = QUERIES if args.queries is None else read_queries(args.queries)
        found = find(trained, queries, args.any_words)
        rows = [
            [kind, text, "yes" if row[0] else "no", f"{row.mean():.1f}"]
            for (kind, text), row in zip(queries, found.hits, strict=True)
        ]
        words = "any words" if args.any_words else "words of no caption"
        title = f"{len(queries)} queries in {words}, {found.clips} clips of '{trained.split}'"
        print_table(title, ["kind", "query", "first hit right", f"precision@{CUTOFF}"], rows, texts=2)
        print(f"{trained.checkpoint}: precision@{CUTOFF} {found.precision:.3f} on average, ", end="")
        print(f"first hit right for {found.first_right} of {len(queries)}")


def find(trained: TrainedRun[DualEncoderRun], queries: Sequence[tuple[str, str]], any_words: bool = False) -> Findings:
    """Search the split of a trained run.

    Args:
        trained: its split is searched.
        queries: (kind, query).
        any_words: let queries use words of captions.
    Raises:
        UserError: a word of a query is in a caption and may not be, no clip holds its kind, or the data set has no
            kinds.
    """
    task = trained_dual_encoder(trained)
    texts = [text for _, text in queries]
    if not any_words:
        check_unseen(texts, _captions(task, trained.run.data.splits.names()))
    kinds_of = read_kinds(trained.run.data.root / f"{trained.split}_events.csv")
    _check_kinds(queries, kinds_of)
    encoder = encoder_of(trained, task)
    with torch.inference_mode():
        clips = task.outputs(trained.split).audio
    best, _ = encoder.search(encoder.encode_text(texts), clips, CUTOFF)
    names = np.array([clip.fname for clip in task.data(trained.split).clips])[best]  # (Q, 5)
    hits = [[kind in kinds_of[name] for name in row] for (kind, _), row in zip(queries, names.tolist(), strict=True)]
    return Findings(np.array(hits), len(clips))


def read_queries(path: Path) -> tuple[tuple[str, str], ...]:
    """Read (kind, query) pairs of a CSV.

    Raises:
        UserError: it cannot be read, or has other columns, or no row.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = tuple((row["kind"], row["query"]) for row in csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise UserError(f"--queries {path}: {error!r}; expected a CSV with the columns kind and query") from error
    if not rows:
        raise UserError(f"--queries {path}: no row; expected a kind and a query in each")
    return rows


def read_kinds(path: Path) -> dict[str, set[str]]:
    """Read which kinds each clip of a split of the embedded corpus holds, by file name.

    Raises:
        UserError: there is no such table: the data set is another one.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; only the embedded corpus says which kinds of sound a clip holds")
    kinds: dict[str, set[str]] = {}
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            kinds.setdefault(row["file_name"], set()).add(row["kind"])
    return kinds


def check_unseen(queries: Iterable[str], captions: Iterable[str]) -> None:
    """Make sure that no word of a query but the little ones is in a caption, in any form of it.

    Raises:
        UserError: there is such a word.
    """
    little = set(words_of(_FUNCTION_WORDS))
    seen = {stem(word) for caption in captions for word in words_of(caption)}
    for query in queries:
        known = [word for word in words_of(query) if word not in little and stem(word) in seen]
        if known:
            raise UserError(f"'{query}': captions use {', '.join(known)}; say it in other words")


def words_of(text: str) -> list[str]:
    """Split a text into words, in lower case; the owner of something is a word without its 's."""
    return re.findall(r"[a-z]+", text.lower().replace("'s", ""))


def stem(word: str) -> str:
    """Cut the endings of plurals and verbs, so that `claps` and `clapping` are one word."""
    root = re.sub(r"(?<=...)(ing|ed|es|s|e)$", "", word)
    return re.sub(r"(?<=..)([^aeiou])\1$", r"\1", root)


def _captions(task: DualEncoderTask, splits: Iterable[str]) -> list[str]:
    return [caption.raw_text for split in splits for caption in task.data(split).captions]


def _check_kinds(queries: Iterable[tuple[str, str]], kinds_of: Mapping[str, set[str]]) -> None:
    known = set().union(*kinds_of.values())
    for kind, text in queries:
        if kind not in known:
            raise UserError(f"'{text}': no clip holds {kind!r}; kinds: {', '.join(sorted(known))}")


if __name__ == "__main__":
    main()
