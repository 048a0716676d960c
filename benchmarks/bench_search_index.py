"""The 10 best of 100 000 clips for one query, by an index: `python -m benchmarks.bench_search_index`.

The reference is exact: the product with every vector, and numpy's partition. Both have one thread.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.clustered_embeddings import draw, draw_queries
from benchmarks.timing import Result, alternate, one_thread, report, seconds
from utils.index_utils import VectorSearch, build_index, plan_index, tuned
from utils.metric_utils.nearest import top_k_in_blocks

CLIPS = 100_000
WIDTH = 128
QUERIES = 64
TOP = 10


def measure() -> Result:
    """Measure the seconds of a query, and the recall of the index."""
    import faiss

    vectors, queries = draw(CLIPS, WIDTH, seed=1), draw_queries(QUERIES, WIDTH)
    plan = plan_index(None, CLIPS, WIDTH, 4e9)
    threads = faiss.omp_get_max_threads()
    search = VectorSearch(build_index(plan, vectors, "dot", 0, lambda added: None), plan, vectors, "dot", 0)
    found = tuned(search, queries, top_k_in_blocks(queries, vectors, TOP)[0])

    def ours() -> None:
        for query in queries:
            search.search(query[None], TOP)

    def reference() -> NDArray[np.int64]:
        lists = []
        for query in queries:
            scores = vectors @ query
            best = np.argpartition(scores, -TOP)[-TOP:]
            lists.append(best[np.argsort(-scores[best])])
        return np.stack(lists)

    faiss.omp_set_num_threads(1)
    try:
        with one_thread(), threadpool_limits(1):
            times = alternate({"ours": seconds(ours), "reference": seconds(reference)}, repeats=3)
    finally:
        faiss.omp_set_num_threads(threads)
    return Result(
        name=f"best {TOP} of {CLIPS} clips by an index ({plan.kind})",
        reference=times["reference"] / QUERIES,
        ours=times["ours"] / QUERIES,
        unit="s",
        minimum_ratio=2,
        note=f"reference: exact, numpy; recall {found.recall:.3f}; {found.effort} of {plan.lists} lists; one thread",
    )


if __name__ == "__main__":
    report(measure)
