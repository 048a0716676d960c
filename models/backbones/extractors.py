"""Feature extractors and image processors of pretrained models: read the settings in the model's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.cli_utils import UserError
from utils.config_utils import read_json
from utils.pretrained_utils import find_model, local_only, reason_of

_SECTIONS = ("feature_extractor", "audio_processor", "image_processor")  # of processor_config.json


def read_extractor(kind: Any, model: str, key: str, absent: Mapping[str, Any] | None = None) -> Any:
    """Build a feature extractor or image processor of transformers with the settings of preprocessor_config.json.

    Not with its own `from_pretrained`, which reads JSON of any size and depth.

    Args:
        kind: its class, such as WhisperFeatureExtractor.
        model: see `find_model`.
        key: of the YAML, for messages.
        absent: settings for a model without such a file that differ from the class's defaults.
    Raises:
        UserError: no such model, or a file that cannot be used.
    """
    settings = _settings(model, key)
    try:
        return kind.from_dict(dict(absent or {}) if settings is None else settings)
    except (TypeError, ValueError, KeyError) as error:
        raise _unusable(model, key, error) from error


def check_bands(found: int, wanted: int, model: str, key: str) -> None:
    """Check that the extractor has the number of mel bands of the network.

    Raises:
        UserError: it has another.
    """
    if found != wanted:
        raise UserError(
            f"{key}: {model}: preprocessor_config.json says {found} mel bands, config.json {wanted}; "
            "take both files from one model"
        )


def _settings(model: str, key: str) -> dict[str, Any] | None:
    """Read the extractor's section of processor_config.json, or preprocessor_config.json; None: there is neither."""
    source = find_model(model, key)
    from transformers.utils import cached_file

    try:
        for name in ("processor_config.json", "preprocessor_config.json"):
            path = cached_file(
                str(source),
                name,
                local_files_only=local_only(source),
                _raise_exceptions_for_missing_entries=False,
            )
            if path is None:
                continue
            settings = read_json(Path(path))
            if name == "processor_config.json":  # only newer models have the extractor's settings in this file
                settings = next((settings[part] for part in _SECTIONS if settings.get(part)), None)
            if settings is not None:
                return dict(settings)
    except (OSError, ValueError, AttributeError, TypeError) as error:  # ValueError: not JSON, or not UTF-8
        raise _unusable(model, key, error) from error
    return None


def _unusable(model: str, key: str, error: Exception) -> UserError:
    return UserError(
        f"{key}: {model}: preprocessor_config.json cannot be used: {reason_of(error)}; get the model's files again"
    )
