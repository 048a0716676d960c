"""Frames and captions as batches: sounds and pictures alike, every caption once, nothing cut."""

import pickle

import numpy as np
import pytest
import torch

from tests.utils.data_utils.frames_corpus import CAPTIONS, LENGTHS, FramesCorpus, letters
from utils.artefact_utils import write_text_table
from utils.cli_utils import ArtefactError
from utils.data_utils import CaptionedFrames, SamplingSpec, TrainLoader

TEXTS = [" ".join(raw.split()) for _, raw in CAPTIONS if raw.strip()]


@pytest.fixture(params=["sounds", "pictures"])
def corpus(tmp_path, request):
    return FramesCorpus(tmp_path, request.param).write()


def opened(corpus, caption_ids=letters):
    return CaptionedFrames(corpus.data, corpus.split, caption_ids)


def epoch(split, number=1, size=2, **sampling):
    sampler = split.sampler(size, 0, SamplingSpec(**sampling))
    loader = TrainLoader(split, sampler)
    loader.set_epoch(number)
    return list(loader)


def text_in(batch, row):
    *ids, end = batch["ids"][row, : batch["id_lengths"][row]].tolist()
    assert end == 1
    return "".join(map(chr, ids))


def test_the_share_of_unknown_tokens_by_hand(corpus):
    assert opened(corpus).unknown_share == 0
    text = "".join(TEXTS[:-1])  # without the caption of the refused clip
    split = CaptionedFrames(corpus.data, corpus.split, letters, unknown=ord("a"))
    assert split.unknown_share == pytest.approx(text.count("a") / len(text)) if len(TEXTS) > 5 else True


def test_empty_captions_and_refused_clips_are_left_out_and_counted(corpus, capsys):
    split = opened(corpus)
    printed = capsys.readouterr().out
    assert "x: 1 clips are left out, which the encoder refuses, such as: too short" in printed
    assert "x: 1 captions are left out, which have no words" in printed
    assert "x: 1 clips are left out, which have no caption" in printed
    assert [clip.fid for clip in split.clips] == ["f0", "f1", "f3"]
    assert split.left_out == {"f4": "too short"}
    assert split.references == [["A dog barks.", "Two dogs bark"], ["Rain."], ["a bell", "a b"]]
    assert split.revisions == {"frames": "sha256:1"}
    assert split.summary() == {
        "clips": "3",
        "captions": "5",
        "frames a clip": "3-5 x 2",
        "tokens": str(sum(map(len, TEXTS)) + 5),
    }
    assert split.longest_caption == len("Two dogs bark") + 1


def test_a_batch_holds_whole_clips_and_their_captions(corpus):
    split = opened(corpus)
    seen = []
    for batch in [*epoch(split), *split.pairs(2)]:
        assert batch["frames"].dtype == torch.float32
        assert batch["ids"].dtype == torch.int64
        for row, clip in enumerate(batch["clip_ids"].tolist()):
            number = [0, 1, 3][clip]
            length = int(batch["lengths"][row])
            assert length == LENGTHS[number]
            np.testing.assert_array_equal(batch["frames"][row, :length], corpus.frames[number])
            assert not batch["frames"][row, length:].any()
            assert not batch["ids"][row, batch["id_lengths"][row] :].any()
            seen.append((number, text_in(batch, row)))
    expected = [(clip, " ".join(raw.split())) for clip, raw in CAPTIONS if raw.strip()]
    assert sorted(seen) == sorted([*expected, *expected])  # once by the sampler, once by `pairs`


def test_batches_depend_on_seed_and_epoch_alone(corpus):
    one, two = opened(corpus), pickle.loads(pickle.dumps(opened(corpus)))  # noqa: S301 - for the workers of a loader
    epochs = [[[text_in(batch, row) for row in range(len(batch["ids"]))] for batch in epoch(one, n)] for n in range(9)]
    assert epochs[3] == [[text_in(b, row) for row in range(len(b["ids"]))] for b in epoch(two, 3)]
    assert len({str(drawn) for drawn in epochs}) > 1


def test_by_clip_one_caption_of_each_is_drawn(corpus):
    split = opened(corpus)
    drawn = [[text_in(b, row) for b in epoch(split, n, by="clip") for row in range(len(b["ids"]))] for n in range(20)]
    references = split.references
    for texts in drawn:
        assert len(texts) == 3
        assert all(any(text in texts for text in own) for own in references)
    assert {text for texts in drawn for text in texts} == set(TEXTS)


def test_a_batch_of_one_pair_will_do(corpus):
    assert [len(batch["ids"]) for batch in epoch(opened(corpus), size=1)] == [1] * 5


def test_clips_alone_come_in_batches_of_similar_length(corpus):
    split = opened(corpus)
    batches = list(split.without_captions(np.array([2, 0, 1]), 2))
    assert [batch.clips.tolist() for batch in batches] == [[0, 2], [1]]
    np.testing.assert_array_equal(batches[0].frames[1, :4], corpus.frames[3])
    assert [batch.lengths.tolist() for batch in batches] == [[3, 4], [5]]


def test_the_digest_changes_with_all_that_training_reads(corpus):
    first = opened(corpus).digest()
    assert opened(corpus).digest() == first
    assert opened(corpus, lambda text: letters(text.lower())).digest() != first  # another tokenizer
    assert opened(corpus.write(revision="sha256:2")).digest() != first
    assert opened(corpus.write()).digest() == first
    corpus.frames[1][4, 1] += 1
    corpus.data.frames_source(corpus.split).path.unlink()
    assert opened(corpus.write()).digest() != first


def test_damage_and_nothing_left_are_named(corpus):
    write_text_table(corpus.data.text_table("x"), [c._replace(raw_text=" ") for c in corpus.captions])
    message = (
        r"split 'x': no clip has both frames and a caption with words \(7 of 7 captions are empty, .* 1 of 5 clips"
    )
    with pytest.raises(ArtefactError, match=message):
        opened(corpus)
    corpus.frames[3][0, 0] = np.nan
    corpus.data.frames_source(corpus.split).path.unlink()
    product = "image-embeddings" if corpus.kind == "pictures" else "audio-embeddings --frames"
    with pytest.raises(ArtefactError, match=rf"clip f3 \(3\.x\) hold NaN .* write it again: <make {product}>"):
        opened(corpus.write()).check()


def test_recordings_of_other_splits_are_left_out(tmp_path, capsys):
    corpus = FramesCorpus(tmp_path, split="development").write()
    from utils.artefact_utils import write_audio_info

    clips = [clip._replace(sound=f"s{n}") for n, clip in enumerate(corpus.clips)]
    tables = {"development": clips, "validation": [clips[1]._replace(fid="v")], "evaluation": []}
    write_audio_info(corpus.data.clip_info, tables | {"evaluation": [clips[0]._replace(fid="e", sound="z")]}, {})
    corpus.data = corpus.data.model_copy(update={"exclude_duplicates": True})
    assert [clip.fid for clip in opened(corpus).clips] == ["f0", "f3"]
    assert "development: 1 clips are left out, whose recordings are in another split too" in capsys.readouterr().out
