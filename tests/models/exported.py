"""A tiny PANNs encoder, saved as the project's own scripts save theirs."""

import json

import torch

from tests.models.plain_panns import randomise
from utils.audio_utils import FrontEnd
from utils.weight_utils import write_weights

FRONT_END = FrontEnd.model_validate({"name": "panns"})


def write_panns(folder, kind, export=True, front_end=FRONT_END, name="audio_encoder", seed=0):
    """audio_encoder.json and .pth as postprocessing.export writes them, or a .pth as cnn14_transfer does."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    encoder = kind(5, front_end.n_mels, 2)
    randomise(encoder, seed)
    write_weights(folder / f"{name}.pth", encoder.state_dict(), {"encoder": kind.__name__, "out_dim": 5})
    if not export:
        return folder / f"{name}.pth"
    spec = {"name": kind.__name__, "base_channels": 2, "weights": "/no/such.pth"}
    facts = {"audio_encoder": spec, "out_dim": 5, "out_norm": "L2", "front_end": front_end.model_dump(mode="json")}
    (folder / f"{name}.json").write_text(json.dumps(facts | {"made_from": "trial/checkpoint"}))
    return folder / f"{name}.json"
