"""The constants of docs/scaling.md: what was measured, with its source, and what is assumed."""

from __future__ import annotations

from typing import NamedTuple


class Constant(NamedTuple):
    """One number, and where it comes from."""

    value: float
    unit: str
    source: str  # a command or a page; "assumed": nobody has measured it for these tables


H100 = "one H100, torch 2.11, from disk, 32 clips of 15 to 30 s a batch"
CONSTANTS = {
    # the corpus
    "duration of a clip": Constant(10.0, "s", "assumed, as in AudioSet and AudioCaps"),
    "raw sound": Constant(16_000, "bytes/s", "MP3 of 128 kbit/s; 16-bit WAV at 44.1 kHz: 88 200"),
    "log-mel frames": Constant(50, "frames/s", "front-end `dcase2023`: a hop of 20 ms"),
    "bytes of a frame": Constant(128, "bytes", "64 bands, float16 (`--float16`; without: 256)"),
    "HDF5 around a clip": Constant(242, "bytes", "`make bench-scale`: size of the file less its arrays"),
    "width of an embedding": Constant(384, "numbers", "MiniLM, `conf.yaml`"),
    # a core
    "log-mels of MP3": Constant(361, "s of sound/s", "a core: 30 s of noise, decoded and computed in 0.083 CPU s"),
    "log-mels of WAV": Constant(1304, "s of sound/s", "the same, 0.023 CPU s; `python -m benchmarks.bench_log_mel`"),
    "caption vectors": Constant(194, "captions/s", "a core: 7750 captions in 20 s on 2, docs/results.md"),
    "aiSFX vectors": Constant(8.6, "clips/s", "a core: 1550 clips in 90 s on 2, docs/results.md"),
    # a GPU
    "training CNN14": Constant(13_455, "s of sound/s", f"598 clips/s, bf16: {H100}"),
    "the bare network, compiled": Constant(45_270, "s of sound/s", "1509 clips/s of 30 s: same GPU, batches on it"),
    "embedding with CNN14": Constant(3_130, "s of sound/s", "64 clips in 0.46 s: same GPU, a validation pass"),
    "fine-tuning wav2vec2-base": Constant(1_568, "s of sound/s", "209 clips/s of 5 to 10 s: same GPU, bf16"),
    "parameters of CNN14": Constant(80.46, "10^6", "counted, with its last layer of 384"),
    "layers of batch norm": Constant(13, "layers", "counted, CNN14"),
    # start-up
    "Ray": Constant(5, "s", "until the first trial begins"),
    "imports": Constant(3, "s", "of a process: at most, tested"),
    "torch.compile of CNN14": Constant(60, "s", "assumed, for each process and shape"),
    # machines and networks
    "GPUs of a machine": Constant(8, "GPUs", "assumed"),
    "cores beside a GPU": Constant(16, "cores", "assumed"),
    "within a machine": Constant(300, "GB/s", "assumed: two thirds of NVLink's 450 GB/s a direction"),
    "fast network": Constant(40, "GB/s", "assumed: 400 Gbit/s for each GPU, 80 % of it reached"),
    "plain network": Constant(10, "GB/s", "assumed: 100 Gbit/s for each machine, 80 % of it reached"),
    "latency of a collective": Constant(20, "us", "assumed, times log2 of the number of GPUs"),
    "shared disk": Constant(2, "GB/s", "assumed: a network disk, for all machines together"),
    "memory of a machine": Constant(1000, "GB", "assumed"),
    # a run
    "epochs": Constant(10, "epochs", "`conf.yaml`"),
    "batch of a GPU": Constant(32, "clips", "as measured"),
    # money
    "GPU hour": Constant(2.5, "$", "assumed"),
    "core hour": Constant(0.04, "$", "assumed"),
    "month of a terabyte": Constant(20, "$", "assumed: object storage"),
}


def value(name: str) -> float:
    """The number of this name."""
    return CONSTANTS[name].value
