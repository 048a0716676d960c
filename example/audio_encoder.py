"""The trained audio encoder on one sound file.

python -m postprocessing.export
python example/audio_encoder.py example/example.wav runs/demo/audio_encoder.json
"""

import json
import sys
from pathlib import Path

import torch
from pydantic import TypeAdapter

sys.path.insert(0, str(Path(__file__).parents[1]))  # run from anywhere

from models.audio_encoders import AudioEncoderSpec
from utils.audio_utils import FrontEnd, log_mel, read_wave

if len(sys.argv) != 3:
    raise SystemExit(__doc__)
sound, facts_file = Path(sys.argv[1]), Path(sys.argv[2])
facts = json.loads(facts_file.read_text())
front_end = FrontEnd(**facts["front_end"])
spec = TypeAdapter(AudioEncoderSpec).validate_python(facts["audio_encoder"] | {"weights": None})
encoder = spec.build(facts["out_dim"], front_end.n_mels).eval()
encoder.load_state_dict(torch.load(facts_file.with_suffix(".pth"), weights_only=True)["model"])

features = torch.from_numpy(log_mel(read_wave(sound, front_end.sample_rate_hz), front_end))  # (T, F)
with torch.inference_mode():
    embedding = encoder(features[None], torch.tensor([len(features)]))[0]  # (E,)
print(f"{sound}: {len(features)} frames -> {len(embedding)} numbers, norm {embedding.norm():.3f}")
print(embedding[:8])
