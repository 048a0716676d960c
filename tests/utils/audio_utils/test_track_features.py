"""FMA's features: their order, their values by other means, and those of FMA's own librosa."""

import warnings

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import scipy.stats
from numba.np.ufunc.gufunc import GUFunc

from utils.audio_utils.track_features import (
    COLUMNS,
    FEATURE_ROWS,
    MFCC,
    estimate_tuning,
    frame_features,
    mfcc_features,
    rate_of,
    track_features,
    zero_crossing_rate,
)

RATE = 44_100


def music(seconds=3):
    """Decaying tones, a steady one and a rising one."""
    t = np.arange(seconds * RATE) / RATE
    beat = np.exp(-8 * (t % 0.5))
    wave = 0.3 * beat * np.sin(2 * np.pi * 221 * t) + 0.2 * np.sin(2 * np.pi * 330 * t)
    wave += 0.1 * beat * np.sin(2 * np.pi * (1000 * t + 300 * t * t)) + 0.02 * np.sin(9000 * t) * np.sin(31 * t)
    return wave.astype(np.float32)


def rows_of(wave, rate=RATE):
    """Feature -> its rows."""
    ends = np.cumsum(list(FEATURE_ROWS.values()))
    return dict(zip(FEATURE_ROWS, np.split(frame_features(wave, rate), ends[:-1]), strict=True))


def spectrum_of(wave):
    """(1025, T) magnitudes, frame by frame."""
    padded = np.pad(wave.astype(np.float64), 1024, mode="reflect")
    window = scipy.signal.get_window("hann", 2048)
    starts = range(0, len(padded) - 2047, 512)
    return np.abs([np.fft.rfft(window * padded[start : start + 2048]) for start in starts]).T


# What features.py of FMA gives with its librosa, 0.5.0: the mean of each row over the frames of `music()`.
IN_LIBROSA_0_5 = {
    "chroma_cens": [
        0.008313664,
        0.002006821,
        0.001157234,
        0.3969775,
        0.6379111,
        0.5254079,
        0.0193164,
        0.01491331,
        0.1248301,
        0.2805125,
        0.1829899,
        0.01451503,
    ],
    "chroma_cqt": [
        0.0608508,
        0.05722146,
        0.06218092,
        0.4825367,
        0.9789293,
        0.5947685,
        0.1148162,
        0.07722984,
        0.2137786,
        0.4098642,
        0.2714951,
        0.07243094,
    ],
    "chroma_stft": [
        0.02958562,
        0.02486787,
        0.06432266,
        0.4234961,
        0.9949305,
        0.6839025,
        0.1026357,
        0.04200991,
        0.1115629,
        0.1456645,
        0.1228289,
        0.08644515,
    ],
    "mfcc": [
        -491.9413,
        104.8612,
        46.79657,
        26.64976,
        39.61443,
        50.12133,
        36.49129,
        6.116171,
        -22.88161,
        -40.34801,
        -42.61411,
        -32.47704,
        -23.58264,
        -29.85478,
        -45.95284,
        -50.67079,
        -34.04046,
        -10.55335,
        -0.4205835,
        -6.611031,
    ],
    "rmse": [4.436417],
    "spectral_bandwidth": [250.6067],
    "spectral_centroid": [239.7075],
    "spectral_contrast": [37.97853, 25.9562, 38.30704, 42.2474, 11.58349, 9.694196, 8.718906],
    "spectral_rolloff": [315.5986],
    "tonnetz": [-0.03492514, 0.07041441, -0.1719504, 0.2612513, 0.03337197, -0.01156487],
    "zcr": [0.01700124],
}
# of those made from the constant-Q transform, whose filters librosa has changed since
OTHER_FILTERS = {"chroma_cens": 0.01, "chroma_cqt": 0.01, "tonnetz": 0.005}


def test_columns_are_in_the_order_of_fma():
    moments = ("mean", "std", "skew", "kurtosis", "median", "min", "max")
    sizes = {"chroma_stft": 12, "chroma_cqt": 12, "chroma_cens": 12, "tonnetz": 6, "mfcc": 20, "rmse": 1, "zcr": 1}
    sizes |= {"spectral_centroid": 1, "spectral_bandwidth": 1, "spectral_contrast": 7, "spectral_rolloff": 1}
    names = sorted((f, m, f"{n + 1:02d}") for f, size in sizes.items() for m in moments for n in range(size))
    assert list(COLUMNS) == ["_".join(name) for name in names]
    assert len(COLUMNS) == 518
    assert (COLUMNS[0], COLUMNS[12], COLUMNS[-1]) == ("chroma_cens_kurtosis_01", "chroma_cens_max_01", "zcr_std_01")
    assert len(COLUMNS[MFCC]) == 140
    assert all(name.startswith("mfcc_") for name in COLUMNS[MFCC])


def test_rows_equal_those_of_the_librosa_of_fma():
    rows = rows_of(music())
    assert list(rows) == sorted(IN_LIBROSA_0_5)
    for name, expected in IN_LIBROSA_0_5.items():
        tolerance = {"atol": OTHER_FILTERS[name]} if name in OTHER_FILTERS else {"rtol": 2e-6}
        np.testing.assert_allclose(rows[name].mean(axis=1), expected, err_msg=name, **{"rtol": 0, **tolerance})


def test_rows_equal_their_definitions():
    wave = music(1)
    rows, magnitude = rows_of(wave), spectrum_of(wave)
    weights = magnitude / magnitude.sum(axis=0)
    # of half the rate, which FMA left at librosa's default
    bins_hz = np.arange(1025)[:, None] * 22_050 / 2048
    centroid = (weights * bins_hz).sum(axis=0)
    cumulated = np.cumsum(magnitude, axis=0)
    expected = {
        "rmse": np.sqrt((magnitude**2).mean(axis=0)),
        "spectral_centroid": centroid,
        "spectral_bandwidth": np.sqrt((weights * (bins_hz - centroid) ** 2).sum(axis=0)),
        "spectral_rolloff": bins_hz[np.argmax(cumulated >= 0.85 * cumulated[-1], axis=0), 0],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(rows[name][0], values, rtol=1e-4, err_msg=name)
    padded = np.pad(wave, 1024, mode="edge")
    crossings = [
        sum((frame[n] < 0) != (frame[n - 1] < 0) for n in range(1, 2048)) / 2048
        for frame in (padded[start : start + 2048] for start in range(0, len(padded) - 2047, 512))
    ]
    np.testing.assert_allclose(rows["zcr"][0], crossings, rtol=1e-6)


def test_mfcc_are_the_cosine_transform_of_log_mels():
    from librosa.filters import mel

    wave = music(1)
    mels = mel(sr=RATE, n_fft=2048, n_mels=128) @ spectrum_of(wave) ** 2
    decibels = 10 * np.log10(np.maximum(mels, 1e-10))
    decibels = np.maximum(decibels, decibels.max() - 80)
    expected = scipy.fft.dct(decibels, axis=0, type=2, norm="ortho")[:20]
    np.testing.assert_allclose(rows_of(wave)["mfcc"], expected, atol=2e-2)


def test_statistics_are_those_of_scipy():
    wave = music(1)
    found = dict(zip(COLUMNS, track_features([wave], RATE), strict=True))
    for name, rows in rows_of(wave).items():
        for number, row in enumerate(rows.astype(np.float64), start=1):
            expected = {
                "kurtosis": scipy.stats.kurtosis(row),
                "max": row.max(),
                "mean": row.mean(),
                "median": np.sort(row)[(len(row) - 1) // 2 : len(row) // 2 + 1].mean(),
                "min": row.min(),
                "skew": scipy.stats.skew(row),
                "std": np.sqrt(((row - row.mean()) ** 2).mean()),
            }
            for statistic, value in expected.items():
                column = f"{name}_{statistic}_{number:02d}"
                assert found[column] == pytest.approx(value, rel=1e-5, abs=1e-6), column


@pytest.mark.parametrize("rate", [11_025, 22_050, 44_100, 48_000])
def test_an_a_is_heard_as_an_a(rate):
    t = np.arange(rate) / rate
    rows = rows_of(np.sin(2 * np.pi * 440 * t).astype(np.float32), rate)
    for name in ("chroma_cens", "chroma_cqt"):
        assert rows[name].mean(axis=1).argmax() == 9, name
    if rate in (22_050, 44_100):  # where the assumed rate is whole octaves away
        assert rows["chroma_stft"].mean(axis=1).argmax() == 9


@pytest.mark.parametrize("semitones", [-0.4, -0.1, 0.0, 0.25])
def test_tuning(semitones):
    t = np.arange(2 * RATE) / RATE
    tones = [440 * 2 ** ((semitones + note) / 12) for note in (0, 4, 7, 12)]
    wave = sum(np.sin(2 * np.pi * tone * t) for tone in tones)
    assert estimate_tuning(spectrum_of(wave), RATE) == pytest.approx(semitones, abs=0.06)
    assert estimate_tuning(np.zeros((1025, 4), np.float32), RATE) == 0.0


def test_zero_crossings_of_a_square_wave():
    """A change every 100 samples: 20 or 21 in 2048, and nothing where the wave is repeated at its ends."""
    wave = np.where(np.arange(20_480) // 100 % 2, -1.0, 1.0).astype(np.float32)
    rate = zero_crossing_rate(wave)
    assert rate.shape == (1, 41)
    assert set(np.round(rate[0, 2:-2] * 2048)) <= {20, 21}
    assert np.round(rate[0, 0] * 2048) == 10  # half of the first frame
    assert not zero_crossing_rate(np.tile(np.float32([1e-11, -1e-11]), 4096)).any()  # inaudible


@pytest.mark.parametrize("samples", [1, 100, 2047, 2049, 44_100])
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_silence_and_short_waves_have_finite_features_without_a_warning(samples, level):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = dict(zip(COLUMNS, track_features([np.full(samples, level, np.float32)], RATE), strict=True))
    assert np.isfinite(list(found.values())).all()
    if not level:  # all frames are the same
        assert {found[name] for name in COLUMNS if "_skew_" in name} == {0.0}
        assert {found[name] for name in COLUMNS if "_kurtosis_" in name} == {-3.0}
        assert {found[name] for name in COLUMNS if "_std_" in name} == {0.0}
        assert found["rmse_max_01"] == found["zcr_max_01"] == found["spectral_centroid_mean_01"] == 0


def test_windows_of_a_long_track_count_as_one():
    wave = music()
    halves = [wave[: RATE * 2], wave[RATE * 2 :]]
    found = dict(zip(COLUMNS, track_features(halves, RATE), strict=True))
    frames = np.concatenate([rows_of(half)["mfcc"] for half in halves], axis=1)
    np.testing.assert_allclose([found[f"mfcc_median_{n:02d}"] for n in range(1, 21)], np.median(frames, axis=1))
    whole = track_features([wave], RATE)
    at = COLUMNS.index("spectral_centroid_mean_01")
    assert found["spectral_centroid_mean_01"] == pytest.approx(whole[at], rel=0.02)


def test_rates():
    assert [rate_of(rate) for rate in (8000, 11_025, 44_100, 48_000, 192_000)] == [
        11_025,
        11_025,
        44_100,
        48_000,
        48_000,
    ]


def test_machine_code_that_numba_may_have_spoiled_is_not_called(monkeypatch):
    """Two processes that compile librosa at once may leave files that crash whoever calls what is in them."""
    called = []
    monkeypatch.setattr(GUFunc, "__call__", lambda *given, **named: called.append(given))
    assert np.isfinite(track_features([music(1)], RATE)).all()
    assert not called


def test_mfcc_alone_equal_their_columns():
    wave = music(1)
    halves = [wave[:30_000], wave[30_000:]]
    for waves in ([wave], halves):
        np.testing.assert_array_equal(mfcc_features(waves, RATE), track_features(waves, RATE)[MFCC])
