"""A captioner of a tiny language model, with sixteen pairs of frames and captions."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.captioner import Captioner
from models.frozen.language import FrozenLanguageModel, load_frozen_language
from tests.tiny import WORDS

WIDTH = 6  # D of the frames


class Pairs(NamedTuple):
    """Clips and their captions."""

    frames: Tensor  # (B, T, D)
    lengths: Tensor  # (B,)
    captions: list[str]
    ids: Tensor  # (B, L)
    id_lengths: Tensor  # (B,)


class FrameAdapter(nn.Module):
    """One token a frame, through a hidden layer; learned prompt tokens before them."""

    def __init__(self, hidden_size: int, scale: float, prompt_tokens: int = 0) -> None:
        super().__init__()
        self.prompt_tokens = prompt_tokens
        self.prompt = nn.Parameter(torch.randn(prompt_tokens, hidden_size) * scale) if prompt_tokens else None
        self.layers = nn.Sequential(nn.Linear(WIDTH, 64), nn.Tanh(), nn.Linear(64, hidden_size))
        self.scale = scale

    def token_count(self, frames: int) -> int:
        """As many as frames, and the prompt."""
        return frames + self.prompt_tokens

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, P, H), and the lengths."""
        tokens = self.layers(frames) * self.scale
        if self.prompt is None:
            return tokens, lengths
        return torch.cat([self.prompt.expand(len(frames), -1, -1), tokens], dim=1), lengths + self.prompt_tokens


def captioner_of(
    folder: Path, prompt: str = "", chat: bool = False, seed: int = 0, prompt_tokens: int = 0
) -> Captioner:
    """A captioner with an untrained adapter."""
    language = load_frozen_language(str(folder))
    torch.manual_seed(seed)
    adapter = FrameAdapter(language.hidden_size, language.embedding_scale, prompt_tokens)
    return Captioner(adapter, language, prompt, chat)  # type: ignore[arg-type]


def sixteen_pairs(language: FrozenLanguageModel) -> Pairs:
    """Clips of four to seven frames, each with a caption of its own of two to five words.

    With fewer frames a random network is not steered to all words of a caption, whatever the adapter gives it.
    """
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([4 + number % 4 for number in range(16)])
    frames = torch.randn(16, 7, WIDTH, generator=generator)
    captions = [
        " ".join(WORDS[(number + step * step) % len(WORDS)] for step in range(2 + number % 4)) for number in range(16)
    ]
    return pairs_of(language, frames, lengths, captions)


def pairs_of(language: FrozenLanguageModel, frames: Tensor, lengths: Tensor, captions: list[str]) -> Pairs:
    """The captions as tokens."""
    tokens = [torch.tensor(language.caption_ids(caption)) for caption in captions]
    id_lengths = torch.tensor([len(row) for row in tokens])
    return Pairs(frames, lengths, captions, nn.utils.rnn.pad_sequence(tokens, batch_first=True), id_lengths)


def overfit(captioner: Captioner, pairs: Pairs, steps: int = 400) -> float:
    """Train the adapter on all pairs at once; returns the last loss."""
    optimizer = torch.optim.Adam(captioner.adapter.parameters(), lr=2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    captioner.train()
    loss = torch.tensor(0.0)
    for _ in range(steps):
        total, count = captioner.losses(pairs.frames, pairs.lengths, pairs.ids, pairs.id_lengths)
        loss = total / count
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(captioner.adapter.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    captioner.eval()
    return loss.item()
