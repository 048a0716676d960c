"""The embedded default of pictures: captioned drawings in Flickr8k's layout, made from nothing.

    python -m preprocessing.synthetic_pictures [--pictures N] [--seed S] [--workers W] [--conf FILE]

Each picture shows one to three groups of shapes on a textured ground, and its five captions say what, in which
colours, how many, how large and where. A picture follows from seed, split and index alone: `pictures.plan_picture`.

    shapes      the outlines of the shapes, and the words for them
    scenes      which groups a picture shows, and where
    phrases     one group in words
    captions    a scene in words
    drawing     a scene in pixels
    pictures    a scene with its captions, from seed, split and index
    writing     pictures -> files, resumable and parallel
"""
