"""The embedded default corpus: captioned clips in Clotho's layout, synthesised from nothing.

    python -m preprocessing.synthetic_corpus [--clips N] [--seed S] [--workers W] [--conf FILE]
    python -m preprocessing.synthetic_corpus --single-kind --conf tasks/classification.yaml

Each clip holds one to three sounds, in sequence or at once, and its five captions say which, how often,
how loud, how high and in which order. A clip follows from seed, split and index alone: `clips.plan_clip`.
With --single-kind each clip holds one sound, in a folder named by its kind, and has no captions.

    synthesis       building blocks of sounds: noise, modes, tones, envelopes
    struck_sounds   recipes of countable sounds, one strike each: bell, knock, bark ...
    steady_sounds   recipes of sounds that go on: rain, engine, siren ...
    kinds           the table of kinds: recipe, durations, rates, pitches
    scenes          which events a clip holds, and when
    vocabulary      the words of each kind
    phrases         one event in words
    captions        a scene in words
    clips           scene -> wave, captions, events
    writing         clips -> files, resumable and parallel
    single_kinds    clips of one kind -> files in folders of kinds
"""
