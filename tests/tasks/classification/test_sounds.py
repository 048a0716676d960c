"""Files are classified as the recordings of a split are, in the memory of a few windows."""

import numpy as np
import pytest
import soundfile
import torch

from tasks.classification import sounds
from tasks.classification.compared import clusters_of
from tests.tasks.classification import corpora
from tests.tiny_models import write_wav2vec2
from utils.artefact_utils.labels import LabelledRecording
from utils.audio_utils import AudioError
from utils.metric_utils.classification.windows import average_windows


@pytest.mark.parametrize("kind", ["logmel", "wave"])
def test_they_have_the_windows_of_the_split(trained, kind):
    run = corpora.run_of(trained)
    if kind == "wave":
        write_wav2vec2(trained / "wav2vec2")
        encoder = f"model.audio_encoder={{name: Wav2Vec2Encoder, model: {trained}/wav2vec2}}"
        run = corpora.run_of(trained, encoder)
    task = run.build("eval")
    task.model().eval()
    with torch.inference_mode():
        found = task.outputs("eval")
        classify = sounds.SoundClassifier(run, task, "evaluation")
        mean = average_windows(found.windows.logits, found.windows.recording, len(found.targets))
        for row, clip in enumerate(task.data("eval").clips):
            one = classify(trained / "clips" / clip.path)
            assert len(one.windows) == (found.windows.recording == row).sum() == (3 if clip.duration_s > 1 else 1)
            np.testing.assert_allclose(one.log_probs, mean[row], atol=1e-4)
            assert one.edges_s[0] == 0
            assert one.edges_s[-1] == pytest.approx(clip.duration_s, abs=1e-9)


def test_a_long_file_is_decoded_as_a_stream(trained, monkeypatch):
    rng = np.random.default_rng(0)
    path = trained / "long.wav"
    soundfile.write(path, 0.1 * rng.standard_normal(300 * corpora.RATE_HZ), corpora.RATE_HZ)
    run = corpora.run_of(trained)
    task = run.build("eval")
    task.model().eval()
    monkeypatch.setattr(sounds, "_BLOCK_S", 5.0)
    sizes = []
    forward = task.classifier.forward
    monkeypatch.setattr(task.classifier, "forward", lambda *args: sizes.append(len(args[0])) or forward(*args))
    with torch.inference_mode():
        found = sounds.SoundClassifier(run, task, "evaluation")(path)
    frames, of_a_window = (run.data.front_end.frames(seconds) for seconds in (300, 1))
    assert len(found.windows) == sum(sizes) == -(-frames // of_a_window)
    assert max(sizes) == run.training.batch_size


def test_a_file_that_is_held_and_one_that_is_read_again_have_the_same_windows(trained, monkeypatch):
    rng = np.random.default_rng(1)
    path = trained / "minutes.wav"  # of three blocks, at another rate
    soundfile.write(path, 0.1 * rng.standard_normal(75 * 22_050), 22_050)
    run = corpora.run_of(trained)
    task = run.build("eval")
    task.model().eval()
    classify = sounds.SoundClassifier(run, task, "evaluation")
    with torch.inference_mode():
        held = classify(path)
        monkeypatch.setattr(sounds, "_HELD_S", 40.0)
        again = classify(path)
    np.testing.assert_allclose(held.windows, again.windows, atol=1e-4)
    np.testing.assert_array_equal(held.edges_s, again.edges_s)


@pytest.mark.parametrize(
    ("samples", "message"), [(np.zeros(16000), "silent"), (np.zeros(0), "holds no samples")], ids=["silent", "empty"]
)
def test_what_is_no_sound_is_refused(trained, samples, message):
    soundfile.write(trained / "x.wav", samples, corpora.RATE_HZ)
    run = corpora.run_of(trained)
    classify = sounds.SoundClassifier(run, run.build("eval"), "evaluation")
    with pytest.raises(AudioError, match=message):
        classify(trained / "x.wav")


def test_recordings_of_a_channel_or_of_an_address_are_drawn_together():
    def one(number, channel="", url=""):
        return LabelledRecording(str(number), str(number), "evaluation", "x.wav", "dog", channel, url)

    rows = [one(0, "a"), one(1, "", "u"), one(2, "a", "v"), one(3, "", "u"), one(4), one(5), one(6, "u")]
    assert clusters_of(rows).tolist() == [0, 1, 0, 1, 2, 3, 4]
    video = "abcdefghijk"
    spelled = [one(0, "", f"https://youtu.be/{video}"), one(1, "", f"https://www.youtube.com/watch?v={video}")]
    assert clusters_of(spelled).tolist() == [0, 0]
