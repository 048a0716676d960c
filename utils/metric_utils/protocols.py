"""The protocols of the DCASE challenge's retrieval task: the metrics of each year, and the one that ranks systems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from utils.metric_utils.retrieval import AUDIO_TO_TEXT, Cutoffs


@dataclass(frozen=True)
class Protocol:
    """The metrics of one year.

    Attributes:
        name: the value of `--protocol`.
        leading: the text-to-audio metric that ranks systems.
        text_to_audio: cut-offs with captions as queries.
        audio_to_text: cut-offs with clips as queries; not part of the challenge.
        several_relevant: whether a query has a list of relevant clips, not one.
        interval: the kind of confidence interval in the table.
    """

    name: str
    leading: str
    text_to_audio: Cutoffs
    audio_to_text: Cutoffs = AUDIO_TO_TEXT
    several_relevant: bool = False
    interval: Literal["bootstrap", "jackknife"] = "bootstrap"


_ONE_CLIP = Cutoffs(recall=(1, 5, 10), average_precision=(10, 16))

# Source: DCASE 2022-2024 task 6B / 8 and DCASE 2025 task 6, dcase.community; 2022 reports jackknife intervals beside
# its metrics. The organisers' code of 2025 logs k = 10 for several relevant clips, while its README and ranking use 16.
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("dcase2022", "mAP@10", _ONE_CLIP, interval="jackknife"),
        Protocol("dcase2023", "mAP@10", _ONE_CLIP),
        Protocol("dcase2024", "mAP@10", _ONE_CLIP),
        Protocol(
            "dcase2025",
            "mAP@16",
            Cutoffs(recall=(1, 5, 10), average_precision=(10, 16), ndcg=(10, 16)),
            several_relevant=True,
        ),
    )
}
DEFAULT_PROTOCOL = "dcase2023"
