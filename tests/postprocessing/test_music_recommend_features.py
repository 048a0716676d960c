"""`music_recommend` of an autoencoder of hand-crafted features: copies and users' files get their features too."""

import json

from postprocessing import music_recommend
from tests.tasks.music.conftest import _corpus, music  # noqa: F401 - fixtures
from tests.training import write_trial


def test_copies_and_files_are_embedded_by_their_features(music, capsys):  # noqa: F811
    write_trial(music.run("features", "training.epochs=1"))
    conf = ["--conf", music.conf("features")]
    music_recommend.main([*conf, "--control-tracks", "1", "--length", "2"])
    found = json.loads((music.folder / "runs" / "tiny-features" / "recommendation_metrics.json").read_text())
    assert found["chosen"] == "trial_00000/MLPAutoencoder"
    assert found["controls"]["softer_10db"]["tracks"] == 1
    out = music.folder / "own.m3u"
    own = str(music.folder / "corpus" / "test 3.wav")
    music_recommend.main([*conf, "--file", own, "--length", "2", "--baseline", "features", "--m3u", str(out)])
    listed = [line for line in out.read_text().splitlines() if not line.startswith("#")]
    assert len(listed) == 2  # the features of this corpus are random, so that the file is not near itself
    assert set(listed) <= {str(path) for path in (music.folder / "corpus").glob("test *.wav")}
