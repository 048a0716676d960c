"""The options of scripts that apply a frozen encoder: batches, parts, threads, arrays, device, precision."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

from utils.cli_utils.checks import positive

if TYPE_CHECKING:
    from utils.model_utils.devices import DeviceName, Precision


class EncoderOptions(NamedTuple):
    """How the encoder is used, as the command line says it; None: as the YAML, or the script itself, says it."""

    batch_size: int  # windows or pictures computed at once
    part_clips: int  # clips a part
    workers: int | None  # threads that decode
    dtype: str | None  # of the arrays
    device: DeviceName | None
    precision: Precision | None

    @classmethod
    def of(cls, args: argparse.Namespace) -> EncoderOptions:
        """Of the arguments that `add_encoder_options` adds."""
        return cls(args.batch_size, args.checkpoint_every, args.workers, args.dtype, args.device, args.precision)


def add_encoder_options(parser: argparse.ArgumentParser, batch_of: str, section: str) -> None:
    """Add the options.

    Args:
        parser: of the script.
        batch_of: what a batch holds, such as "windows".
        section: of the YAML that names the encoder.
    """
    parser.add_argument("--batch-size", type=positive, default=16, help=f"{batch_of} computed at once (default 16)")
    parser.add_argument(
        "--checkpoint-every", type=positive, default=256, metavar="N", help="clips a part (default 256)"
    )
    parser.add_argument("--workers", type=positive, help="threads that decode (default: all cores)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--float32", dest="dtype", action="store_const", const="float32", help="default for vectors")
    size.add_argument("--float16", dest="dtype", action="store_const", const="float16", help="default for frames")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], help="default: training.device")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], help=f"default: {section}.precision")
