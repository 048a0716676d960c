"""Random valid settings of a run, drawn from the annotations of its Spec, so that a new key is drawn too."""

import math
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from utils.audio_utils import FrontEnd
from utils.config_utils import Spec
from utils.data_utils.spec import AudioEmbeddingsSpec
from utils.model_utils import TrainingSpec
from utils.tune_utils import Distribution

# What a name may look like in a file: spaces, other scripts, words that YAML takes for something else.
_NAMES = st.sampled_from(
    ["a", "1e-10", "yes", "null", "010", "2024-01-02", "a b", "été", "音", "0x1f", "~", "1:30", "#"]
)
_FRONT_ENDS = st.sampled_from(
    [
        {"name": "dcase2023"},
        {"name": "panns"},
        FrontEnd.model_validate({"name": "panns"}).model_dump() | {"name": "custom", "offset": 1e-12, "fmin_hz": 1e-7},
    ]
)
_DISTRIBUTIONS = st.sampled_from(
    [
        {"grid": [1, 2.5, "no"]},
        {"loguniform": [1e-10, 1e3]},
        {"qrandint": [8, 64, 8]},
        {"choice": [{"name": "SGD"}, None]},
    ]
)


def settings_of(spec: type[Spec]) -> st.SearchStrategy[dict[str, Any]]:
    """The keys of a Spec, each given or left out where it has a default."""
    metrics = _metrics_of(spec)
    required, optional = {}, {}
    for name, field in spec.model_fields.items():
        if name in ("select_on", "early_stop_watch", "watch"):
            values = st.sampled_from(metrics)
        else:
            values = _values(field.annotation, field.metadata)
        (required if field.is_required() else optional)[name] = values
    return st.fixed_dictionaries(required, optional=optional)


def _metrics_of(spec: type[Spec]) -> list[str]:
    """Those that the run can be chosen by; for the sections that watch one, val_loss, which every task has."""
    return list(spec.higher_is_better) if issubclass(spec, TrainingSpec) else ["val_loss"]


def _values(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [
            part for found in arguments[1:] for part in (found.metadata if isinstance(found, FieldInfo) else [found])
        ]
        return _values(arguments[0], [*metadata, *inner])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of(*(_values(argument, metadata) for argument in arguments))
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return st.lists(_values(arguments[0], []), max_size=2, unique=True)
        return st.tuples(*(_values(argument, []) for argument in arguments)).map(list)
    if origin is dict:
        return st.dictionaries(_NAMES, _values(arguments[1], []), max_size=2)
    return _plain_values(annotation, metadata)


def _plain_values(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    special = {
        FrontEnd: _FRONT_ENDS,
        Distribution: _DISTRIBUTIONS,
        AudioEmbeddingsSpec: _NAMES,  # of a file
        type(None): st.none(),
        bool: st.booleans(),
        str: _NAMES,
        Path: _NAMES,
    }
    if annotation in special:
        return special[annotation]
    if issubclass(annotation, Spec):
        return settings_of(annotation)
    bounds = _bounds(metadata)
    if annotation is int:
        low = max(bounds.get("ge", -math.inf), bounds.get("gt", -math.inf) + 1)
        high = min(bounds.get("le", math.inf), bounds.get("lt", math.inf) - 1)
        return st.integers(*(int(end) if math.isfinite(end) else default for end, default in ((low, 0), (high, 10**6))))
    assert annotation is float, f"no random values of {annotation}"
    return st.floats(
        bounds.get("ge", bounds.get("gt")),
        bounds.get("le", bounds.get("lt")),
        exclude_min="gt" in bounds,
        exclude_max="lt" in bounds,
        allow_nan=False,
        allow_infinity=False,
    )


def _bounds(metadata: list[Any]) -> dict[str, float]:
    kinds = {
        annotated_types.Ge: "ge",
        annotated_types.Gt: "gt",
        annotated_types.Le: "le",
        annotated_types.Lt: "lt",
    }
    return {name: getattr(part, name) for part in metadata for kind, name in kinds.items() if isinstance(part, kind)}
