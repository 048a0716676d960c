"""What is compiled, that it computes the same, and what happens without a compiler."""

import functools

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from models.autoencoders.base import Autoencoder
from models.autoencoders.mlp import MLPAutoencoderSpec
from models.backbones import load_backbone
from tests import tiny_models
from tests.models.audio_encoders.test_panns import _encoder, _features, _padded
from tests.training import fit_of, keep_checkpoints, run_of
from utils.config_utils import to_mapping
from utils.model_utils.compiling import Compiled
from utils.model_utils.trials import checkpoint_folders

CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.fixture(autouse=True)
def _fresh():
    config = torch._dynamo.config
    names = ("recompile_limit", "accumulated_recompile_limit", "suppress_errors", "optimize_ddp")
    before = {name: getattr(config, name) for name in names}
    torch.compiler.reset()
    yield
    torch.compiler.reset()
    for name, value in before.items():
        setattr(config, name, value)


class Model(nn.Module):
    """An encoder that says how it is compiled, a stack of layers, a frozen stack, and a head."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.encoder = _encoder()
        self.stack = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.frozen = nn.ModuleList([nn.Linear(width, width)]).requires_grad_(False)
        self.head = nn.Linear(width, 2)


def test_networks_that_say_how_and_layers_of_stacks_are_compiled_where_they_learn():
    assert Compiled(Model(), CPU, True, "eager").networks == ["encoder", "stack.0", "stack.1"]
    model = Model()
    model.encoder.freeze_layers(trainable=False)
    assert Compiled(model, CPU, True, "eager").networks == ["stack.0", "stack.1"]


def test_auto_is_large_networks_on_a_gpu():
    assert Compiled(Model(), CPU, "auto", "eager").networks == []
    with torch.device("meta"):
        large = Model(4000)
    assert Compiled(large, META, "auto", "eager").networks == ["stack.0", "stack.1"]
    assert Compiled(large, META, False, "eager").networks == []


def test_a_compiled_training_is_that_of_an_eager_one_and_so_are_its_checkpoints(
    prepared, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("utils.model_utils.loop.Compiled", functools.partial(Compiled, backend="eager"))
    keys = ("model.audio_encoder.name=CNN6Encoder", "model.audio_encoder.dropout=0", "training.epochs=1")
    settings = (*keys, "optimizer={name: SGD, lr: 0.01}")  # Adam makes whole steps of roundings near 0
    found = {}
    for compiled in ("false", "true"):
        run = run_of(prepared, *settings, f"training.compile={compiled}")
        fit = fit_of(run)
        reports = []
        keep = keep_checkpoints(tmp_path / compiled)
        fit.run(
            lambda metrics, save, keep=keep, reports=reports: (reports.append(metrics), keep(metrics, save)),
            to_mapping(run),
        )
        assert ("training.compile: " in capsys.readouterr().out) == (compiled == "true")
        found[compiled] = fit.model.state_dict(), reports[0]
    (eager, metrics), (weights, also) = found["false"], found["true"]
    assert list(weights) == list(eager)
    for name, value in eager.items():
        torch.testing.assert_close(weights[name], value, atol=2e-4, rtol=2e-3, msg=lambda text, n=name: f"{n}: {text}")
    assert also["train_loss"] == pytest.approx(metrics["train_loss"], rel=1e-4)
    other = fit_of(run_of(prepared, *settings, "training.compile=false"))
    other.restore(checkpoint_folders(tmp_path / "true"))
    assert all(torch.equal(value, weights[name]) for name, value in other.model.state_dict().items())


def test_layers_of_a_transformer_are_one_graph_and_hooks_stay_outside(tmp_path):
    backbone = load_backbone(str(tiny_models.write_wav2vec2(tmp_path / "model")), "data.audio_embeddings.model")
    waves, lengths = torch.randn(2, 2000), torch.tensor([2000, 1500])
    with torch.no_grad():
        expected, _ = backbone.layer_frames(waves, lengths)
        counter = CompileCounter()
        assert Compiled(nn.Sequential(backbone), CPU, True, counter).networks == ["0"]
        counter.clear()
        for _ in range(3):
            found, _ = backbone.layer_frames(waves, lengths)
    assert counter.frame_count == 2  # the normalisation of the convolutions, and one graph for both layers
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_autoencoders_compute_the_same():
    torch.manual_seed(0)
    autoencoder = MLPAutoencoderSpec(name="MLPAutoencoder", latent_dim=2).build(6)
    assert isinstance(autoencoder, Autoencoder)
    x, ones = torch.randn(4, 6), torch.ones(4, dtype=torch.int64)
    expected = autoencoder(x, ones).reconstruction
    counter = CompileCounter()
    assert Compiled(autoencoder, CPU, True, counter).networks == ["layers"]
    counter.clear()
    torch.testing.assert_close(autoencoder(x, ones).reconstruction, expected)
    assert counter.frame_count == 2


def test_without_a_compiler_nothing_is_compiled_and_a_line_says_so(monkeypatch, capsys):
    from torch._inductor import config
    from torch._inductor.utils import fresh_cache

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    encoder = _encoder()
    batch = _padded(_features([40, 20]))
    with fresh_cache():
        compiled = Compiled(encoder.eval(), CPU, True)
    out = capsys.readouterr().out
    assert out.startswith("training.compile: no compiler works here, so that nothing is compiled: ")
    assert out.count("\n") == 1
    assert compiled.networks == []
    assert compiled.news() is None
    assert torch.equal(encoder(*batch), _encoder().eval()(*batch))
