"""A section whose `name` chooses one of several Specs, such as a network with keys of its own."""

from __future__ import annotations

from typing import Any, get_args


def keys_of_chosen(given: Any, union: Any) -> Any:
    """Leave out the keys that only other choices have, so that `search:` can go over `name`.

    Args:
        given: the section, as the YAML has it.
        union: `Annotated` union of Specs, discriminated on `name`.
    Returns:
        The section with the keys of the chosen Spec and those of no Spec, which are refused as unknown; unchanged where
        the name is missing or unknown. A null counts as the default where the chosen Spec does not take null.
    """
    specs = get_args(get_args(union)[0])
    fields_of = {name: spec.model_fields for spec in specs for name in get_args(spec.model_fields["name"].annotation)}
    if not isinstance(given, dict) or str(given.get("name")) not in fields_of:
        return given
    own, of_any = fields_of[str(given["name"])], {key for fields in fields_of.values() for key in fields}

    def counts(key: str, value: object) -> bool:
        # a number of this choice may be optional in the one that the YAML names
        return value is not None or type(None) in get_args(own[key].annotation) if key in own else key not in of_any

    return {key: value for key, value in given.items() if counts(key, value)}
