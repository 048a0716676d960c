"""Recognise the front-end that published weights were trained on, by the mel filters in their file."""

from __future__ import annotations

import torch

from models.audio_encoders.panns_published import Published
from utils.audio_utils import FrontEnd, mel_filters
from utils.cli_utils import ArtefactError

# Mel filters differ this much between versions of librosa, and in half precision; their peaks are 0.02 or more.
_TOLERANCE = 1e-4


def _like_panns(sample_rate_hz: int, window: int, hop: int, fmax_hz: int) -> FrontEnd:
    numbers = {"sample_rate_hz": sample_rate_hz, "window_samples": window, "fft_size": window, "hop_samples": hop}
    bands = {"n_mels": 64, "fmin_hz": 50, "fmax_hz": fmax_hz}
    return FrontEnd(name="custom", log="dB", offset=1e-10, padding="reflect", **numbers, **bands)


PANNS = FrontEnd.model_validate({"name": "panns"})
DCASE = FrontEnd.model_validate({"name": "dcase2023"})
# Source: PANNs, pytorch/main.py and models.py (Cnn14_16k, Cnn14_8k); MS-CLAP 2022, configs/config_2022.yml.
_KNOWN = {
    "PANNs": PANNS,
    "PANNs at 16 kHz": _like_panns(16_000, 512, 160, 8_000),
    "PANNs at 8 kHz": _like_panns(8_000, 256, 80, 4_000),
    "MS-CLAP 2022": _like_panns(44_100, 1024, 320, 14_000),
}


def front_end_of(published: Published, own: FrontEnd) -> FrontEnd | None:
    """Return the front-end that weights were trained on, if their file shows it.

    Args:
        published: the weights.
        own: the run's front-end, compared before the known ones.
    Returns:
        None if the file has no mel filters, or unknown ones. A file of the DCASE 2023 baseline has none; its front-end
        is always the baseline's.
    """
    if published.of_baseline:
        return DCASE
    return next((known for known in (own, *_KNOWN.values()) if _fits(published, known)), None)


def check_front_end(published: Published, own: FrontEnd, repair: str) -> None:
    """Check that weights were trained on the run's front-end.

    PANNs' own weights are also accepted with the front-end of the DCASE 2023 baseline, since the baseline fine-tunes
    them with it.

    Args:
        published: the weights.
        own: `data.front_end`.
        repair: another repair, for messages.
    Raises:
        ArtefactError: other mel filters or another FFT; both front-ends are named.
    """
    if published.n_mels != own.n_mels:
        raise ArtefactError(
            f"{published.path}: made for {published.n_mels} mel bands, data.front_end has {own.n_mels}; "
            "set data.front_end: {name: panns}"
        )
    found = front_end_of(published, own)
    if published.mel is None or found == own or (found == PANNS and own == DCASE):
        return
    start = f"{published.path}: a {published.kind.__name__.removesuffix('Encoder')} of"
    if found is None:
        raise ArtefactError(
            f"{start} a front-end with an FFT of {published.fft_size} and other mel filters than data.front_end, which "
            f"is {own.describe()}; {repair}"
        )
    name = next(name for name, known in _KNOWN.items() if known == found)
    numbers = ", ".join(f"{key}: {value}" for key, value in found.model_dump(mode="json").items())
    wanted = "name: panns" if found == PANNS else numbers
    raise ArtefactError(
        f"{start} {name}, trained on {found.describe()}, data.front_end is {own.describe()}; "
        f"set data.front_end: {{{wanted}}}, or {repair}"
    )


def _fits(published: Published, front_end: FrontEnd) -> bool:
    """Return whether a front-end has the FFT and the mel filters of the file."""
    mel = published.mel
    if mel is None or published.fft_size not in (None, front_end.fft_size):
        return False
    if mel.shape != (front_end.fft_size // 2 + 1, front_end.n_mels):
        return False
    return bool(torch.allclose(mel.T, torch.from_numpy(mel_filters(front_end)), rtol=0, atol=_TOLERANCE))
