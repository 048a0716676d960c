"""Training on one GPU beside bare networks: `python -m benchmarks.gpu`, within 8 minutes on an H100.

Exit code 1 if a target is missed. `--tiny` takes small sizes and any device, to show that everything runs.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
import types
from collections.abc import Iterator

import torch

HEADER = f"{'rates, higher is better':<66} | {'beside':>9} | {'ours':>9} | {'ratio':>6}"


def main() -> None:
    """Print each row as soon as it is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="small sizes, on any device: shows only that it runs")
    tiny = parser.parse_args().tiny
    if not tiny and not torch.cuda.is_available():
        raise SystemExit("python -m benchmarks.gpu: torch finds no GPU here; --tiny runs without one")
    with missing_decoders_replaced():
        from benchmarks.gpu_rows import FULL, TINY, rows

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name() if device.type == 'cuda' else 'CPU'}")
    print(f"{HEADER}{'' if tiny else ' | target'}")
    if tiny:
        print("small sizes: the numbers mean nothing, and no target is set for them")
    missed = []
    for row in rows(TINY if tiny else FULL, device):
        print(row.line(judged=not tiny), flush=True)
        missed += [] if row.reached else [row.name.strip()]
    if missed and not tiny:
        raise SystemExit(f"MISSED: {'; '.join(missed)}")


@contextlib.contextmanager
def missing_decoders_replaced() -> Iterator[None]:
    """Put empty modules in place of decoders of sound files that are not installed, while the block imports them.

    No file is decoded here, and a rented machine may have neither.
    """
    missing = []
    for name in ("soundfile", "soxr"):
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = types.ModuleType(name)
            missing.append(name)
    yield
    for name in missing:
        del sys.modules[name]  # transformers looks whether there is one


if __name__ == "__main__":
    main()
