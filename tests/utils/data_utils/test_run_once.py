import numpy as np
import torch
from torch import nn

from tests.training import StubTraining
from utils.data_utils.run_once import Memory, RunOnceClips
from utils.data_utils.windows import overlapping_windows, windows_of

LENGTHS = np.array([3, 10, 2, 4])  # the second one is longer than a window


class Clips:
    """Clip n holds n in all frames of one band; notes what is read."""

    lengths, max_length, width = LENGTHS, 4, 1

    def __init__(self):
        self.read = []

    def batch(self, clips, starts, lengths):
        self.read.extend(zip(clips.tolist(), starts.tolist(), lengths.tolist(), strict=True))
        found = torch.full((len(clips), int(lengths.max()), 1), float("nan"))
        for row, clip, length in zip(found, clips, lengths, strict=True):
            row[:length] = float(clip)
        return found


class Encoder(nn.Module):
    """Doubles what it is given, and keeps every frame, or the first one alone."""

    first_frozen = True

    def __init__(self, every_frame):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.every_frame = every_frame

    def frozen_output(self, features, lengths):
        output = self.weight * features[:, :, None]
        return (output, lengths) if self.every_frame else (output[:, :1], None)


def once(audio, every_frame=False, limit=10**6, recurring=None):
    recurring = recurring or [windows_of(audio)]
    return RunOnceClips(audio, recurring, Encoder(every_frame), StubTraining(batch_size=2), Memory(limit))


def rows(*windows):
    return tuple(np.array(values) for values in zip(*windows, strict=True))


def test_a_window_that_comes_again_is_computed_once_and_others_each_time():
    audio = Clips()
    clips = once(audio)
    short, random = [(0, 0, 3), (2, 0, 2)], (1, 5, 4)
    first = clips.batch(*rows(*short, random))
    assert first.flatten().tolist() == [0, 4, 2]
    # in the groups of two, by length, that hold the short ones
    assert sorted(audio.read[:-1]) == [(0, 0, 3), (1, 0, 3), (1, 7, 3), (2, 0, 2)]
    assert audio.read[-1] == random
    audio.read.clear()
    assert clips.batch(*rows(*short, random)).equal(first)
    assert audio.read == [random]
    everything = clips.batch(*windows_of(audio))
    audio.read.clear()
    assert clips.batch(*windows_of(audio)).equal(everything)
    assert audio.read == []
    assert not first.requires_grad


def test_frames_lose_their_padding_and_get_that_of_the_batch():
    audio = Clips()
    clips = once(audio, every_frame=True)
    found = clips.batch(*rows((0, 0, 3), (2, 0, 2)))
    assert found[:, :, 0, 0].tolist() == [[0, 0, 0], [4, 4, 0]]


def test_an_output_of_an_evaluation_may_be_trained_on():
    audio = Clips()
    clips = once(audio)
    with torch.inference_mode():
        clips.batch(*rows((0, 0, 3)))
    weight = torch.ones(1, requires_grad=True)
    (weight * clips.batch(*rows((0, 0, 3)))).sum().backward()


def test_overlapping_windows_of_training_come_again_too():
    audio = Clips()
    training = overlapping_windows(LENGTHS, 4, 0.5)
    clips = once(audio, recurring=[windows_of(audio), training])
    for windows in (training, windows_of(audio)) * 2:
        assert clips.batch(*windows).flatten().tolist() == (2.0 * windows.clips).tolist()
    assert len(audio.read) == len(training.clips) + len(windows_of(audio).clips)


def test_what_finds_no_room_is_computed_each_time_and_said_once(capsys):
    audio = Clips()
    clips = once(audio, limit=11)  # two outputs of four bytes
    for _ in range(2):
        assert clips.batch(*windows_of(audio)).flatten().tolist() == (2.0 * windows_of(audio).clips).tolist()
    held = sum(output is not None for output in clips._outputs)
    assert held == 2
    out = capsys.readouterr().out
    assert out.startswith("outputs of frozen layers fill 1.02e-08 GB; those of further clips are computed in every ")
    assert out.count("\n") == 1
