"""The interface of all frozen encoders, of audio and of text."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from utils.cli_utils import UserError
from utils.pretrained_utils import model_revision

Array = NDArray[np.float32]
Item = TypeVar("Item")


class FrozenEncoder(ABC, Generic[Item]):
    """A frozen pretrained network; an item's output is the same alone and in any batch.

    Attributes:
        name: as the YAML names it.
        width: E of the vectors.

    Args:
        name: see above.
        width: see above.
    """

    def __init__(self, name: str, width: int) -> None:
        self.name = name
        self.width = width

    @functools.cached_property
    def revision(self) -> str:
        """A digest of the weights; it changes when a model of the same name does."""
        return model_revision(self.name)

    @abstractmethod
    def vectors(self, items: Sequence[Item]) -> Array:
        """Embed items, each as one vector.

        Args:
            items: any number, such as waves or texts.
        Returns:
            (n, width) float32, in order, as the network gives them: not normalised.
        """

    def frames(self, items: Sequence[Item]) -> list[Array]:
        """Embed the frames of each item.

        Args:
            items: as for `vectors`.
        Returns:
            Of each item (T, D) float32.
        Raises:
            UserError: this network gives one vector an item, and no frames.
        """
        raise UserError(f"{self.name}: gives one vector an item and no frames; name another model")


Encoder = TypeVar("Encoder", bound=FrozenEncoder[Any])


def load_same(load: Callable[[], Encoder], revision: str) -> Encoder:
    """Load an encoder in another process, maybe of another machine, which must find the same weights.

    Args:
        load: loads it.
        revision: of the weights where the command was given.
    Raises:
        UserError: this machine has others under the same name.
    """
    encoder = load()
    if encoder.revision != revision:
        raise UserError(
            f"{encoder.name}: the weights here ({encoder.revision}) are not those of the machine where the command was "
            f"given ({revision}); copy them, or name a folder on a shared disk"
        )
    return encoder
