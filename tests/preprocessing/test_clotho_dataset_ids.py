"""Ids follow content and name; what is known is not decoded again."""

import pytest

from tests.preprocessing.clotho_corpus import SPLITS, Corpus, contents, write_clip
from utils.artefact_utils import load_pickle
from utils.dataset_utils import clips as clips_module


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


def ids(corpus):
    fids = {(split, name): clip.fid for split in SPLITS for name, clip in corpus.clips(split).items()}
    tids = {(split, c.source_id): c.tid for split in SPLITS for c in corpus.captions(split)}
    return fids, tids


def changed(before, after):
    return {key for key in before if before[key] != after[key]}


@pytest.fixture
def probed(monkeypatch):
    """The names of the files that are decoded."""
    names = []
    probe = clips_module.probe

    def counting(path, **given):
        names.append(path.name)
        return probe(path, **given)

    monkeypatch.setattr(clips_module, "probe", counting)
    return names


def test_ids_are_those_of_content_and_name_and_what_is_known_is_not_decoded_again(corpus, probed):
    folder = corpus.root / "development"
    write_clip(folder / "twin.wav", seed=0)  # the same samples as ok.wav
    corpus.rows["development"].append(["twin.wav", "A dog.", "Wind."])
    corpus.write()
    corpus.run()
    first = ids(corpus)
    assert len(set(first[0].values())) == 4
    assert len(set(first[1].values())) == 8
    assert sorted(probed) == ["ok.wav", "ok.wav", "ok.wav", "twin.wav"]
    probed.clear()
    tables = contents(corpus.features)
    corpus.run()
    assert probed == []
    assert contents(corpus.features) == tables
    (corpus.features / "audio_info.pkl").unlink()
    corpus.run()
    assert ids(corpus) == first
    probed.clear()

    write_clip(folder / "twin.wav", seed=9)  # as long as before
    corpus.rows["development"][1][1] = "A cat."
    corpus.write()
    corpus.run()
    assert probed == ["twin.wav"]
    second = ids(corpus)
    assert changed(first[0], second[0]) == {("development", "twin.wav")}
    assert changed(first[1], second[1]) == {("development", "ok.wav#1")}

    (folder / "twin.wav").rename(folder / "renamed.wav")
    corpus.rows["development"][2][0] = "renamed.wav"
    corpus.write()
    corpus.run()
    assert corpus.clips()["renamed.wav"].fid != second[0]["development", "twin.wav"]


def test_a_clip_that_breaks_later_is_decoded_again_and_refused(corpus, probed):
    write_clip(corpus.root / "development" / "b.wav")
    corpus.rows["development"].append(["b.wav", "A bell.", "Rain."])
    corpus.write()
    corpus.run()
    probed.clear()
    (corpus.root / "development" / "b.wav").write_bytes(b"")
    corpus.run()
    assert probed == ["b.wav"]
    assert set(corpus.clips()) == {"ok.wav"}
    assert [row[:2] for row in corpus.rejected()] == [("clip", "b.wav"), ("caption", "b.wav#1"), ("caption", "b.wav#2")]


def test_another_root_with_the_same_names_is_decoded_anew(corpus, tmp_path, probed):
    corpus.write()
    corpus.run()
    probed.clear()
    corpus.root.rename(tmp_path / "moved")
    assert corpus.run("--set", f"data.root={tmp_path / 'moved'}") == 0
    assert len(probed) == 3


def test_workers_write_the_same(corpus):
    for number in range(9):
        write_clip(corpus.root / "development" / f"{number}.wav", seed=number)
        corpus.rows["development"].append([f"{number}.wav", "A dog.", "Rain."])
    (corpus.root / "development" / "5.wav").write_bytes(b"RIFF")
    corpus.write()
    corpus.run()
    one = corpus.clips(), corpus.captions(), corpus.rejected()
    (corpus.features / "audio_info.pkl").unlink()
    corpus.run("--workers", "3")
    assert (corpus.clips(), corpus.captions(), corpus.rejected()) == one


def test_notes_name_the_root_and_the_command(corpus):
    corpus.write()
    corpus.run()
    notes = load_pickle(corpus.features / "audio_info.pkl", "")[1]
    assert notes["root"] == str(corpus.root)
    assert notes["made_by"] == f"python -m preprocessing.clotho_dataset --conf {corpus.conf}"
