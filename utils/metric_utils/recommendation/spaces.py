"""From raw embeddings to unit vectors whose dot product compares tracks: centred, standardised or whitened.

All vectors of a network share a large mean, so that the cosine of any two tracks is close to 1: without it, the angle
says how two tracks differ from an average one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Values

Scaling = Literal["centred", "standardised", "whitened"]
SHRINKAGE = 0.1
_FLOOR = 1e-12
_RESOLUTION = 1e-7  # of float32


@dataclass(frozen=True, eq=False)
class EmbeddingSpace:
    """An affine map of embeddings, fitted on training tracks.

    Attributes:
        mean: (E,) of the training tracks.
        matrix: (E,) factors of each dimension, or (E, E).
    """

    mean: Values
    matrix: Values

    @classmethod
    def fit(cls, training: NDArray[Any], scaling: Scaling = "centred", shrinkage: float = SHRINKAGE) -> EmbeddingSpace:
        """Fit the mean, and what scales the dimensions.

        Args:
            training: (M, E) embeddings of training tracks, M at least 2.
            scaling: "centred": the mean alone. "standardised": each dimension also gets a standard deviation of 1, for
                features of different units. "whitened": the principal components get one, so that a direction counts
                the same however much of the variance it explains.
            shrinkage: of "whitened", in [0, 1]: how far each component's variance moves to their mean; 0 amplifies
                noise in components that hardly vary, 1 is "centred".
        Raises:
            ValueError: no (M, E) finite numbers, M below 2, or a shrinkage outside [0, 1].
        """
        wide = _checked(training, "training")
        if len(wide) < 2 or not 0 <= shrinkage <= 1 or scaling not in get_args(Scaling):
            found = f"{len(wide)} training tracks, scaling {scaling!r}, shrinkage {shrinkage}"
            raise ValueError(f"{found}; expected at least 2, one of {', '.join(get_args(Scaling))}, and 0 to 1")
        mean = wide.mean(axis=0)
        apart = wide - mean
        if scaling == "whitened":
            return cls(mean, _whitening(apart, shrinkage))
        return cls(mean, _inverse(apart.std(axis=0)) if scaling == "standardised" else np.ones(len(mean)))

    def __call__(self, embeddings: NDArray[Any]) -> NDArray[np.float32]:
        """Map embeddings to unit vectors.

        Args:
            embeddings: (N, E) of any floating dtype.
        Returns:
            (N, E) float32; an embedding equal to the mean becomes 0, whose cosine with every track is 0: a network
            that says the same of all tracks is at chance.
        Raises:
            ValueError: another shape, or a number that is not finite.
        """
        apart = _checked(embeddings, "embeddings") - self.mean
        # what rounding leaves of equal embeddings has a direction, but no meaning
        apart[np.linalg.norm(apart, axis=1) <= _RESOLUTION * np.linalg.norm(self.mean)] = 0
        mapped = apart * self.matrix if self.matrix.ndim == 1 else apart @ self.matrix
        return np.asarray(unit_vectors(mapped), np.float32)


def unit_vectors(vectors: NDArray[Any]) -> Values:
    """Scale (N, E) vectors to length 1, in float64; one of length 0 remains."""
    wide = np.asarray(vectors, np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), _FLOOR))


def _whitening(apart: Values, shrinkage: float) -> Values:
    """Return the (E, E) matrix of Mahalanobis (ZCA) whitening with shrunken variances; a rotation changes no cosine."""
    variances, components = np.linalg.eigh(apart.T @ apart / len(apart))
    shrunken = (1 - shrinkage) * np.maximum(variances, 0) + shrinkage * variances.mean()
    return np.asarray(components * _inverse(np.sqrt(shrunken)) @ components.T)


def _inverse(deviations: Values) -> Values:
    """Return 1 / each, and 0 of what never varies: it cannot tell tracks apart."""
    varies = deviations > _RESOLUTION * deviations.max()
    return np.where(varies, 1 / np.where(varies, deviations, 1), 0)


def _checked(embeddings: NDArray[Any], name: str) -> Values:
    wide = np.asarray(embeddings, np.float64)
    if wide.ndim != 2 or not wide.size:
        raise ValueError(f"{name} are {wide.shape}; expected (tracks, E), at least one track")
    bad = np.flatnonzero(~np.isfinite(wide).all(axis=1))
    if len(bad):
        raise ValueError(f"row {bad[0]} of {name} holds a number that is not finite")
    return wide
