"""Measure the error of a trained network on a split.

python -m postprocessing.regression_error --conf tasks/regression.yaml
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from tasks.regression import RegressionRun

from tasks import command, open_trained_run


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Print the error of the best checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    with open_trained_run(argv, parser, RegressionRun) as (trained, _):
        task = trained.task()
        with torch.inference_mode():
            error = task.metrics(task.outputs(trained.split))["val_rmse"]
        print(f"{trained.checkpoint}: rmse {error:.6f} on '{trained.split}'")


if __name__ == "__main__":
    main()
