"""Front-ends: presets that cannot be changed, numbers that fit together."""

import math

import pytest

from utils.audio_utils import FrontEnd
from utils.cli_utils import ConfigError
from utils.config_utils import parse, to_mapping

CUSTOM = {
    "name": "custom",
    "sample_rate_hz": 16_000,
    "window_samples": 400,
    "hop_samples": 160,
    "fft_size": 512,
    "n_mels": 40,
    "fmin_hz": 20.0,
    "fmax_hz": 7600.0,
    "log": "dB",
    "offset": 1e-8,
    "padding": "reflect",
}


def front_end(**numbers):
    return parse(numbers, FrontEnd, "conf.yaml")


def test_presets_spell_out_the_numbers_of_their_sources():
    # DCASE 2023 task 6B: 40 / 20 ms at 44.1 kHz, ln(power + np.spacing(1)); PANNs: pytorch/main.py
    dcase, panns = front_end(name="dcase2023"), front_end(name="panns")
    assert (dcase.window_samples, dcase.hop_samples, dcase.fft_size, dcase.n_mels) == (1764, 882, 2048, 64)
    assert (dcase.fmin_hz, dcase.fmax_hz, dcase.log, dcase.offset) == (0, 22_050, "ln", 2.0**-52)
    assert (panns.sample_rate_hz, panns.window_samples, panns.hop_samples, panns.fft_size) == (32_000, 1024, 320, 1024)
    assert (panns.fmin_hz, panns.fmax_hz, panns.log, panns.offset) == (50, 14_000, "dB", 1e-10)


@pytest.mark.parametrize("name", ["dcase2023", "panns"])
def test_a_preset_read_back_from_params_json_is_itself(name):
    assert front_end(**to_mapping(front_end(name=name))) == front_end(name=name)


@pytest.mark.parametrize(("key", "value"), [("fft_size", 4096), ("n_mels", 128), ("log", "dB"), ("offset", 1e-5)])
def test_a_preset_refuses_another_number(key, value):
    with pytest.raises(ConfigError, match=rf"dcase2023 fixes {key}; to change a setting use name: custom"):
        front_end(name="dcase2023", **{key: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window_samples": 513}, r"window_samples 513 exceeds fft_size 512"),
        ({"fmin_hz": 7600.0}, r"needs fmin_hz < fmax_hz <= sample_rate_hz / 2, found 7600\.0, 7600\.0, 8000\.0"),
        ({"fmax_hz": 8000.5}, r"needs fmin_hz < fmax_hz <= sample_rate_hz / 2"),
        ({"fft_size": 513}, r"fft_size: Input should be a multiple of 2 \(got 513\)"),
        ({"offset": 0}, r"offset: Input should be greater than 0"),
        ({"hop_samples": 0}, r"hop_samples"),
        ({"log": "log10"}, r"log: Input should be 'ln' or 'dB'"),
        ({"n_mel": 3}, r"n_mel: unknown key; did you mean 'n_mels'\?"),
    ],
)
def test_numbers_that_do_not_fit_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        front_end(**CUSTOM | changes)


def test_custom_needs_every_number_and_a_name_must_be_one():
    with pytest.raises(ConfigError, match=r"10 bad keys\n  sample_rate_hz: missing"):
        front_end(name="custom")
    with pytest.raises(ConfigError, match="name: Input should be 'dcase2023', 'panns' or 'custom'"):
        front_end(name=["dcase2023"])
    with pytest.raises(ConfigError, match="Input should be a valid dictionary"):
        parse("dcase2023", FrontEnd, "conf.yaml")


def test_floor_frames_and_hop_by_hand():
    dcase = front_end(name="dcase2023")
    assert dcase.floor == pytest.approx(-52 * math.log(2))
    assert front_end(**CUSTOM).floor == pytest.approx(-80)
    assert [dcase.frames(seconds) for seconds in (0, 0.0199, 0.02, 1, 30)] == [1, 1, 2, 51, 1501]
    assert (
        front_end(name="panns").describe()
        == "panns (32000 Hz, window 1024, hop 320, FFT 1024, 64 mels 50-14000 Hz, dB)"
    )
