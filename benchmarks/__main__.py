"""Run every benchmark, print one table and write benchmarks/results/results.json.

    python -m benchmarks

Every module `bench_*.py` of this folder has a function `measure() -> Result`. Exit code 1 if a target is missed.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import pkgutil
import platform
from pathlib import Path

import numpy as np
import torch

import benchmarks
from benchmarks.timing import HEADER, Result

RESULTS = Path(__file__).parent / "results" / "results.json"

# The order of the rows; benchmarks that are not listed here come last.
_ORDER = [
    "bench_log_mel",
    "bench_log_mel_mp3",
    "bench_log_mel_cores",
    "bench_track_features",
    "bench_wave_windows",
    "bench_captions",
    "bench_info_nce",
    "bench_retrieval_metrics",
    "bench_large_retrieval",
    "bench_caption_metrics",
    "bench_recommend",
    "bench_search_index",
    "bench_epoch",
    "bench_accumulate",
    "bench_projection",
    "bench_projection_loading",
    "bench_captioner_step",
    "bench_cached_frames",
    "bench_caption_generation",
    "bench_metrics_memory",
    "bench_large_retrieval_memory",
    "bench_recommend_memory",
]


def main() -> None:
    """Run all benchmarks, also after a missed target, and print each row as soon as it is measured."""
    print(HEADER)
    results = []
    for name in benchmark_names():
        result = importlib.import_module(f"benchmarks.{name}").measure()
        print(result.row(), flush=True)
        results.append(result)
    write(results, RESULTS)
    print(f"wrote {RESULTS}")
    missed = [result.name for result in results if not result.reached]
    if missed:
        print(f"MISSED: {', '.join(missed)}")
        raise SystemExit(1)


def benchmark_names() -> list[str]:
    """List the modules `bench_*` of this folder, in the order of the table."""
    found = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name.startswith("bench_"))
    return [name for name in _ORDER if name in found] + [name for name in found if name not in _ORDER]


def write(results: list[Result], path: Path) -> None:
    """Write the results as JSON, with a description of the machine."""
    rows = [{**dataclasses.asdict(result), "ratio": result.ratio, "reached": result.reached} for result in results]
    machine = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "results": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
