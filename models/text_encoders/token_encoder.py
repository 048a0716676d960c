"""Base class of the text encoders on tokens: a pretrained network, frozen or not, and one linear layer."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from models.frozen.hold import PartlyFrozen


class TokenEncoder(PartlyFrozen, ABC):
    """Tokens -> the shared space; a caption's embedding is the same alone and in any batch, in evaluation mode.

    Args:
        network: the pretrained text network.
        width: E of what `embed` gives.
        out_dim: E of the output.
        frozen_source: the model that the weights come from, if only the last layer is to learn; None: all learns.
    """

    def __init__(self, network: nn.Module, width: int, out_dim: int, frozen_source: str | None) -> None:
        super().__init__()
        self.network, self.width, self.out_dim = network, width, out_dim
        self.fc_out = nn.Linear(width, out_dim)
        nn.init.xavier_uniform_(self.fc_out.weight)
        nn.init.zeros_(self.fc_out.bias)
        self.train()
        self.first_frozen = frozen_source is not None
        if frozen_source is not None:
            self.freeze_modules(network, source=frozen_source)

    @abstractmethod
    def embed(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Compute the network's own embedding of captions; arguments as in `forward`.

        Returns:
            (B, E of the network).
        """

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embed captions in the shared space.

        Args:
            ids: (B, L) int64 tokens, padded on the right; or what `embed` has made of them.
            mask: (B, L) padding mask: 1 or True at a caption's own tokens; None: `ids` are embeddings.
        Returns:
            (B, out_dim), not normalised.
        """
        return self.fc_out(ids if mask is None else self.embed(ids, mask))
