"""Random captions of few words, so that n-grams repeat, between captions and within."""

import numpy as np

_WORDS = "a the dog bird rain engine barks sings falls hums and then loudly far away"


def random_captions(clips: int, seed: int = 0, most_references: int = 5) -> tuple[list[str], list[list[str]]]:
    """Make a hypothesis and 1 to `most_references` references of each clip, 1 to 12 words each."""
    rng = np.random.default_rng(seed)

    def caption() -> str:
        return " ".join(rng.choice(_WORDS.split(), rng.integers(1, 13)))

    references = [[caption() for _ in range(rng.integers(1, most_references + 1))] for _ in range(clips)]
    return [caption() for _ in range(clips)], references
