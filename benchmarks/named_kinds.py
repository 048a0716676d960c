"""How many captions name the kind of sound of their clip, where file names say it.

    python -m benchmarks.named_kinds --conf tasks/captioning.yaml --kind '^(.+?) [0-9]'

Reads <split>_captions.csv of the best trial, which postprocessing.captions writes. A word belongs to a kind when
training captions with it are nearly all of clips of that kind; a caption names the kind of which it has most words, and
none where two kinds have equally many. What people said of the same clips is measured beside it.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tasks import command, open_trained_run
from tasks.captioning.chosen import Captions, own_captions
from tasks.captioning.run import CaptioningRun
from tasks.trained import keys_set
from utils.artefact_utils import read_text_table
from utils.cli_utils import UserError, printable
from utils.cli_utils.repairs import make
from utils.report_utils import print_table
from utils.text_utils.captions import normalise_caption

LEAST_CAPTIONS = 3  # of training with a word; a rarer one belongs to no kind
LEAST_SHARE = 0.8  # of them that are of the kind


class Named(NamedTuple):
    """Whether captions name the kind of their clip."""

    kind: str  # of the clip
    by_system: bool
    by_people: float  # share of what people said of the clip


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Print the share of each kind, and of all clips."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.named_kinds", description=__doc__.splitlines()[0])
    parser.add_argument("--kind", type=re.compile, required=True, help="regular expression; its group is the kind")
    with open_trained_run(argv, parser, CaptioningRun) as (trained, args):
        captions = own_captions(trained, keys_set(args.set))
        found = measure(captions, args.kind)
    kinds = sorted({row.kind for row in found})
    rows = [_row(kind, [row for row in found if row.kind == kind]) for kind in kinds]
    title = f"Captions of '{trained.split}' that name the kind of sound, {captions.label}"
    print_table(title, ["kind", "clips", "system", "people"], [*rows, _row("all", found)])
    if captions.remark is not None:
        print(printable(captions.remark))


def measure(captions: Captions, pattern: re.Pattern[str]) -> list[Named]:
    """Look for the kind of every clip in its captions.

    Args:
        captions: of a split.
        pattern: its first group is the kind in a clip's file name.
    Raises:
        UserError: a file name does not match.
    """
    data = captions.run.data
    training = read_text_table(data.text_table(data.splits.train), make("tables"))
    words = words_of_kinds((kind_of(caption.fname, pattern), caption.text) for caption in training)
    found = []
    for row in captions.matched.rows:
        kind = kind_of(captions.matched.clips[row.id].fname, pattern)
        by_people = [named_kind(text, words) == kind for text in row.references]
        found.append(Named(kind, named_kind(row.hypothesis, words) == kind, sum(by_people) / len(by_people)))
    return found


def kind_of(fname: str, pattern: re.Pattern[str]) -> str:
    """The kind that a file name says.

    Raises:
        UserError: the pattern has no group, or does not match.
    """
    match = pattern.search(fname)
    if match is None or not match.groups():
        raise UserError(
            f"--kind {pattern.pattern}: does not say the kind of '{fname}'; expected a group that matches it"
        )
    return str(match[1])


def words_of_kinds(captions: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Find the words that belong to one kind.

    Args:
        captions: the kind of the clip, and the normalised text.
    Returns:
        Word -> kind.
    """
    counts: dict[str, Counter[str]] = {}
    for kind, text in captions:
        for word in set(text.split()):
            counts.setdefault(word, Counter())[kind] += 1
    first = {word: (*found.most_common(1)[0], found.total()) for word, found in counts.items()}
    return {
        word: kind
        for word, (kind, own, total) in first.items()
        if total >= LEAST_CAPTIONS and own / total > LEAST_SHARE
    }


def named_kind(caption: str, words: Mapping[str, str]) -> str | None:
    """The kind that a caption has most words of; None if it has none, or as many of another one."""
    counts = Counter(words[word] for word in set(normalise_caption(caption).split()) if word in words)
    best = counts.most_common(2)
    return best[0][0] if best and (len(best) == 1 or best[0][1] > best[1][1]) else None


def _row(kind: str, found: Sequence[Named]) -> list[str]:
    by_system, by_people = sum(row.by_system for row in found), sum(row.by_people for row in found)
    return [kind, str(len(found)), f"{by_system} ({by_system / len(found):.2f})", f"{by_people / len(found):.2f}"]


if __name__ == "__main__":
    main()
