"""What each kind of index costs and finds, a row a kind: the table of docs/results.md.

    OMP_NUM_THREADS=1 python -m benchmarks.search_index_sizes --clips 1000000 --width 300 --folder /tmp/index

The embeddings are drawn (benchmarks/clustered_embeddings.py), written to the folder once, and mapped. The index is
written and mapped too. Times are those of the processor, which other work on the machine does not lengthen; one thread
builds, and one searches.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.clustered_embeddings import draw_queries, on_disk
from utils.artefact_utils.retrieval.search_index import write_search_index
from utils.cli_utils import positive
from utils.index_utils import INDEX_KINDS, IndexPlan, VectorSearch, build_index, plan_index, tuned
from utils.metric_utils.nearest import top_k_in_blocks
from utils.process_utils import peak_memory, reset_peak_memory
from utils.report_utils import progress_bar

Array = NDArray[np.float32]

QUERIES = 256
TOP = 10
MEMORY_BYTES = 4e9
HEAD = (
    "| clips x width | kind | build, s | peak MB | index MB | effort | recall@10 | ms a query | of 64 at once |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search_index_sizes", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--clips", type=positive, default=1_000_000)
    parser.add_argument("--width", type=positive, default=300)
    parser.add_argument("--kinds", nargs="+", choices=INDEX_KINDS, default=["ivf", "pq"])
    parser.add_argument("--lists", type=positive, help="of ivf and pq (default: as the rule says)")
    parser.add_argument("--folder", type=Path, required=True, help="for embeddings and indexes, on a disk with room")
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    vectors = on_disk(args.folder / f"{args.clips}x{args.width}.npy", args.clips, args.width)
    queries = draw_queries(QUERIES, args.width)
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    best, _ = top_k_in_blocks(queries, vectors, TOP)
    one, _ = _ms_per_query(lambda some: _exact(vectors, some), queries[:4], 4)
    _, many = _ms_per_query(lambda some: top_k_in_blocks(some, vectors, TOP), queries[:64], 0)
    name = f"{args.clips} x {args.width}"
    print(HEAD)
    print(f"| {name} | exact, numpy | | | | | 1 | {one:.0f} | {many:.1f} |", flush=True)
    for kind in args.kinds:
        plan = plan_index(kind, args.clips, args.width, MEMORY_BYTES)
        plan = plan._replace(lists=args.lists) if args.lists and plan.lists else plan
        print(f"| {name} | {_row(plan, vectors, queries, best, args.folder)} |", flush=True)


def _exact(vectors: Array, queries: Array) -> None:
    for query in queries:
        np.argpartition(vectors @ query, -TOP)


def _row(plan: IndexPlan, vectors: Array, queries: Array, best: NDArray[np.int64], folder: Path) -> str:
    kind = plan.kind
    reset_peak_memory()
    start = time.process_time()
    with progress_bar(plan.clips, kind, "clip") as bar:
        index = build_index(plan, vectors, "dot", 0, bar.update)
    path = folder / f"{plan.clips}x{plan.width}_{kind}.faiss"
    facts = write_search_index(path, index)
    build_s, peak = time.process_time() - start, peak_memory()
    del index
    search = VectorSearch(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC), plan, vectors, "dot", 0)
    found = tuned(search, queries, best)
    one, many = _ms_per_query(lambda some: search.search(some, TOP), queries, 64)
    effort = {"flat": "", "hnsw": f"{found.effort} nodes"}.get(kind, f"{found.effort} of {plan.lists} lists")
    code = f"pq, {plan.code_bytes} bytes" if kind == "pq" else kind
    cells = [code, f"{build_s:.0f}", f"{peak / 1e6:.0f}", f"{facts['bytes'] / 1e6:.0f}", effort]
    return " | ".join([*cells, f"{found.recall:.3f}", f"{one:.2f}", f"{many:.2f}"])


def _ms_per_query(search: Callable[[Array], object], queries: Array, alone: int) -> tuple[float, float]:
    """Milliseconds of the processor a query: of so many, one at a time, and of all, 64 at a time."""
    times = []
    for some, size in ((queries[:alone], 1), (queries, 64)):
        start = time.process_time()
        for first in range(0, len(some), size):
            search(some[first : first + size])
        times.append(1000 * (time.process_time() - start) / max(1, len(some)))
    return times[0], times[1]


if __name__ == "__main__":
    main()
