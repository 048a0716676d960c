"""Pictures of parquet files, which stage 1 extracted: their page shows them where they are."""

import json

from postprocessing import caption_metrics, captions
from tests import tiny
from tests.pages import targets
from tests.tasks.captioning.conftest import _corpora, pictures  # noqa: F401 - fixtures
from tests.training import write_trial
from utils.artefact_utils import read_clips, write_audio_info


def test_the_page_shows_extracted_pictures(pictures, tmp_path):  # noqa: F811
    data = pictures.run().data
    (tmp_path / "corpus" / "Images").rename(data.extracted)
    clips = {split: read_clips(data.clip_info, split, "") for split in data.splits.names()}
    moved = {
        split: [clip._replace(path=data.picture_path(data.extracted / clip.fname)) for clip in rows]
        for split, rows in clips.items()
    }
    write_audio_info(data.clip_info, moved, {})
    write_trial(pictures.run())
    tiny.write_sentence_encoder(tmp_path / "sentences")
    captions.main(["--conf", pictures.conf])
    networks = [part for name in ("--sentence-model", "--bert-model") for part in (name, str(tmp_path / "sentences"))]
    caption_metrics.main(["--conf", pictures.conf, *networks, "--bert-layers", "1"])
    folder = pictures.run().folder
    report = json.loads((folder / "evaluation_caption_metrics.json").read_text())
    assert report["clips"] == len(clips["evaluation"])
    shown = {path.resolve() for path in targets(folder / "evaluation_captions.html") if path.suffix == ".png"}
    assert shown == {(data.extracted / clip.fname).resolve() for clip in clips["evaluation"]}
