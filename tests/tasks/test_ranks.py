"""Two ranks, or a batch in parts, give the losses, gradients and metrics of one process and a whole batch."""

import contextlib

import pytest
import torch

from tests import tiny
from tests.tasks import ranks_jobs
from tests.tasks.captioning import corpora as captioning
from tests.tasks.classification import corpora as classification
from tests.tasks.music import corpora as music
from tests.training import differences
from tests.two_ranks import on_ranks
from utils.cli_utils import UserError
from utils.model_utils.step import GradientStep

SYSTEMS = ["retrieval", "captioning", "classification", "music", "clap"]
NO_DROPOUT = ("model.audio_encoder.dropout=0", "model.audio_encoder.fc_dropout=0")
# Adam would make differences of the last bit in gradients near 0 large ones
PLAIN = ("optimizer={name: SGD, lr: 0.01}",)
LEARNABLE = ("criterion.learnable_temperature=true", "criterion.same_clip=positive", "training.batch_size=8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def confs(folder, _made):
    """The YAML of a run of each system."""
    classification.write(folder / "classification")
    for name in ("captioning", "music", "clap"):
        (folder / name).mkdir()
    music.write(folder / "music")
    tiny.write_vectors(folder / "clap" / "vectors.npz")
    clap = tiny.clap_conf(_made)
    clap["data"]["audio_embeddings"] = str(folder / "clap" / "vectors.npz")
    return {
        "retrieval": (str(_made / "conf.yaml"), *NO_DROPOUT, *LEARNABLE),
        "captioning": (str(captioning.write(folder / "captioning", "sounds")), "training.batch_size=5"),
        "classification": (str(folder / "classification" / "conf.yaml"), *NO_DROPOUT, "training.batch_size=7"),
        "music": (str(folder / "music" / "logmel.yaml"), "model.dropout=0", "training.batch_size=5"),
        "clap": (str(tiny.write_conf(folder / "clap", clap)), "training.batch_size=5"),
    }


def jobs_of(confs, folder):
    """What two ranks compute, in one start of them: name -> function and arguments."""
    retrieval = confs["retrieval"]
    return {
        **{f"step {name}": ("first_step", conf) for name, conf in confs.items()},
        "step parts": ("first_step", (*retrieval, "model.audio_encoder.trainable=false", "training.accumulate=2")),
        **{f"contrast {s} {n}": ("contrast", (s, n)) for s in ("mask", "positive") for n in (1, 2)},
        **{
            f"train {name}": ("train", (conf[0], f"{folder}/{name}", None, *conf[1:], *PLAIN))
            for name, conf in confs.items()
        },
        # with dropout, so that the random states of both ranks count
        "whole": ("train", (retrieval[0], f"{folder}/whole", None)),
        "killed": ("train", (retrieval[0], f"{folder}/killed", 1)),
        "resumed": ("train", (retrieval[0], f"{folder}/killed", None)),
    }


@pytest.fixture(scope="module")
def found(confs, folder):
    """Name of a job -> what each of two ranks gave."""
    jobs = jobs_of(confs, folder / "two")
    results = on_ranks(2, folder / "meeting", ranks_jobs.several, list(jobs.values()))
    return {name: pair for name, *pair in zip(jobs, *results, strict=True)}


def assert_close(found, expected, tolerance):
    assert found.keys() == expected.keys()
    scale = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        assert float((found[name] - value).abs().max()) <= tolerance * scale, name


@pytest.mark.parametrize("same_clip", ["mask", "positive"])
@pytest.mark.parametrize("parts", [1, 2])
def test_gathered_negatives_give_loss_and_gradients_of_one_batch(found, same_clip, parts):
    loss, gradients = ranks_jobs.contrast(same_clip, 1)
    for rank in range(2):
        two_loss, two_gradients = found[f"contrast {same_clip} {parts}"][rank]
        assert two_loss == pytest.approx(loss, rel=1e-6)
        assert_close(two_gradients, gradients, 1e-6)


@pytest.mark.parametrize("same_clip", ["mask", "positive"])
@pytest.mark.parametrize("parts", [2, 5, 11])
def test_parts_give_loss_and_gradients_of_one_batch(same_clip, parts):
    loss, gradients = ranks_jobs.contrast(same_clip, 1)
    cut_loss, cut_gradients = ranks_jobs.contrast(same_clip, parts)
    assert cut_loss == pytest.approx(loss, rel=1e-6)
    assert_close(cut_gradients, gradients, 1e-6)


@pytest.mark.parametrize("system", SYSTEMS)
def test_two_ranks_give_the_first_step_of_one(confs, found, system):
    losses, gradients = ranks_jobs.first_step(*confs[system])
    for rank in range(2):
        two_losses, two_gradients = found[f"step {system}"][rank]
        assert two_losses == pytest.approx(losses, rel=1e-6)
        assert_close(two_gradients, gradients, 1e-6)


@pytest.mark.parametrize("system", ["captioning", "classification"])
def test_parts_give_the_first_step_of_a_whole_batch(confs, system):
    # batch normalisation would take statistics of each part
    frozen = () if system == "captioning" else ("model.audio_encoder.trainable=false",)
    losses, gradients = ranks_jobs.first_step(*confs[system], *frozen)
    cut_losses, cut_gradients = ranks_jobs.first_step(*confs[system], *frozen, "training.accumulate=3")
    assert cut_losses == pytest.approx(losses, rel=1e-6)
    assert_close(cut_gradients, gradients, 1e-6)


@pytest.mark.parametrize("system", SYSTEMS)
def test_two_ranks_train_as_one(confs, found, folder, system):
    conf, *settings = confs[system]
    one = ranks_jobs.train(conf, str(folder / f"one {system}"), None, *settings, *PLAIN)
    first, second = found[f"train {system}"]
    assert not differences(first["weights"], second["weights"])
    measured = [name for name in one["rows"][0] if name.startswith(("train_loss", "val_", "mAP", "R@", "acc", "macro"))]
    for ours, theirs in zip(one["rows"], first["rows"], strict=True):
        assert {name: theirs[name] for name in measured} == pytest.approx({n: ours[n] for n in measured}, rel=1e-4)


def test_two_ranks_resumed_equal_two_that_were_never_killed(found):
    for rank in range(2):
        whole, resumed = found["whole"][rank], found["resumed"][rank]
        assert not differences(whole["weights"], resumed["weights"])
        assert [row["train_loss"] for row in whole["rows"]][1:] == [row["train_loss"] for row in resumed["rows"]]


def test_ranks_draw_different_dropout(found, folder):
    """Equal draws would halve the noise."""
    checkpoint = folder / "two" / "killed" / "checkpoint_000001" / "checkpoint.pt"
    one, two = torch.load(checkpoint, weights_only=True)["random_of_ranks"]
    assert not torch.equal(one["torch"], two["torch"])


def test_a_checkpoint_of_two_ranks_goes_on_with_one(confs, found, folder, capsys):
    conf = confs["retrieval"][0]
    gone_on = ranks_jobs.train(conf, str(folder / "two" / "killed"), None, "training.epochs=3")
    assert [row["epoch"] for row in gone_on["rows"]] == [3]
    assert "was written by 2 workers, and 1 go on" in capsys.readouterr().out


def test_a_batch_with_fewer_clips_than_parts_is_cut_between_pairs(confs):
    """8 captions of fewer than 7 clips."""
    settings = (*confs["retrieval"], "training.sampling={by: caption}", "model.audio_encoder.trainable=false")
    losses, gradients = ranks_jobs.first_step(*settings)
    cut_losses, cut_gradients = ranks_jobs.first_step(*settings, "training.accumulate=7")
    assert cut_losses == pytest.approx(losses, rel=1e-6)
    assert_close(cut_gradients, gradients, 1e-6)


def test_a_last_batch_with_fewer_items_than_parts_is_refused(confs):
    with pytest.raises(
        UserError, match=r"training.accumulate: the smallest batch, of \d items?, cannot be shared out to"
    ):
        ranks_jobs.first_step(*confs["music"], "training.accumulate=5")


@pytest.mark.parametrize("learns", [(), ("criterion.log_scale",)])
def test_parts_where_nothing_but_the_loss_learns(learns):
    task = ranks_jobs.Pairs("mask")
    for name, parameter in task.network.named_parameters():
        parameter.requires_grad_(name in learns)
    step = GradientStep(task, torch.amp.GradScaler("cpu", enabled=False), contextlib.nullcontext)
    parts = [
        {name: value[rows] for name, value in ranks_jobs.pairs().items()} for rows in torch.arange(11).tensor_split(3)
    ]
    loss, gradients = ranks_jobs.contrast("mask", 1)
    assert float(step(parts)["loss"]) == pytest.approx(loss, rel=1e-6)
    found = {name: parameter.grad for name, parameter in task.network.named_parameters() if parameter.grad is not None}
    assert found.keys() == set(learns)
    for name in learns:
        assert float(found[name]) == pytest.approx(float(gradients[name]), rel=1e-6)


def test_dropout_is_replayed_in_the_second_pass():
    """In parts the embeddings that gradients are handed to are those that the loss compared."""
    seen = []

    class Noisy(ranks_jobs.Pairs):
        def embed(self, batch):
            noise = torch.randn(len(batch["ids"]), 5, dtype=torch.double)
            seen.append(noise)
            return super().embed(batch | {"audio": batch["audio"] + noise})

    step = GradientStep(Noisy("mask"), torch.amp.GradScaler("cpu", enabled=False), contextlib.nullcontext)
    step(
        [{name: value[rows] for name, value in ranks_jobs.pairs().items()} for rows in torch.arange(11).tensor_split(3)]
    )
    first, second = seen[:3], seen[3:]
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])
