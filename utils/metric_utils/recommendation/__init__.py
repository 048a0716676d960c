"""Recommendations of similar tracks: embeddings in, neighbours and metrics out; no files, no networks.

spaces      raw embeddings -> centred, standardised or whitened unit vectors
similarity  unit vectors -> scores in blocks: cosine, local scaling, mutual proximity; mean cosine of kinds of pairs
titles      the title of a track without what marks a version of it
tracks      genre, artist, album, version of each track as integers, and the four filters
neighbours  scores -> the nearest tracks of each track, under a filter; several seed tracks
system      all metrics of one system under each filter, with intervals and paired differences
hubness     how often each track is recommended
controls    whether an altered copy of a track finds its original
"""
