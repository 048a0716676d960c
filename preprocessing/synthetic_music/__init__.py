"""The embedded default of music: a tonal corpus in FMA's layout, synthesised from nothing.

    python -m preprocessing.synthetic_music [--tracks N] [--seed S] [--workers W] [--conf FILE]

Genres differ by rhythm and by their mixture of instruments, artists by tempo, scale, instruments, tuning and
brightness. Some artists have several albums, live versions, remasters and reissues under another title. Loudness, hiss
and brightness are drawn without regard to the genre, so that no single number tells it. A track follows from seed,
split and index alone: `discography.plan_track`.

    styles        the genres: rhythms, tempi, mixtures of instruments
    artists       an artist's own parameters and names
    discography   albums, songs and versions of an artist; the plan of a track
    songs         a song: harmony, melody, rhythm
    instruments   notes and strikes in samples
    recordings    a plan in samples: the mix, and what a live recording or a remaster changes
    tables        tracks.csv and genres.csv
    writing       tracks -> files, resumable and parallel
"""
