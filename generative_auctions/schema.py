"""Check configurations by pydantic models: a refusal is one line with the key, its value and what is valid."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

from generative_auctions.errors import RequestError


class Section(BaseModel):
    """A part of a configuration: frozen, with no other keys and no values of other types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=False)


_Config = TypeVar("_Config", bound=Section)


def read_config(schema: type[_Config], tree: dict[str, Any]) -> _Config:
    """Check a composed configuration.

    Args:
        schema: the schema of the application.
        tree: the configuration as plain values.

    Returns:
        The configuration as an instance of `schema`.

    Raises:
        RequestError: names the first key that is wrong, its value and what would be valid.
    """
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = _key(first["loc"], tree)
        if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
            key += "." + first["ctx"]["discriminator"].strip("'")
        raise RequestError(key, _shown(first), _expected(first)) from None


@dataclass(frozen=True)
class matching:
    """Require a text to match `pattern` as a whole; `words` say to users what that means."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "format": self.words}

    def _check(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise PydanticCustomError(_IN_WORDS, "{words}", {"words": self.words})
        return text


def _key(location: tuple[int | str, ...], tree: dict[str, Any]) -> str:
    """Return the key as a user writes it, without the variants and types that pydantic names in `location`."""
    key, chosen = str(location[0]), tree.get(str(location[0]))
    if len(location) > 2 and isinstance(chosen, dict) and location[1] in (chosen.get("name"), chosen.get("kind")):
        location = (location[0], *location[2:])
    for part in location[1:]:
        if isinstance(part, int):
            key += f"[{part}]"
        elif "[" not in part and part not in _TYPES:
            key += f".{part}"
    return key


def _shown(error: Any) -> object:
    if error["type"] == "union_tag_invalid":
        return error["ctx"]["tag"]
    if error["type"] in ("missing", "union_tag_not_found"):
        return "absent"
    return "null" if error["input"] is None else error["input"]


def _expected(error: Any) -> str:
    """Say what would be valid, in our own words for every kind of constraint that a schema here has."""
    kind, facts = error["type"], error.get("ctx", {})
    if kind == "union_tag_invalid":
        return f"one of {facts['expected_tags'].replace(chr(39), '')}"
    if kind == "literal_error":
        return f"one of {facts['expected'].replace(chr(39), '').replace(' or ', ', ')}"
    if kind in ("too_short", "too_long"):
        number = facts.get("min_length", facts.get("max_length"))
        return f"at {'least' if kind == 'too_short' else 'most'} {number} {'entry' if number == 1 else 'entries'}"
    if kind == "string_too_short" and facts["min_length"] == 1:
        return "a text that is not empty"
    return str(_EXPECTED.get(kind, error["msg"])).format(**facts)


_IN_WORDS = "in_words"
_TYPES = ("str", "int", "float", "bool")
_EXPECTED = {
    _IN_WORDS: "{words}",
    **dict.fromkeys(("missing", "union_tag_not_found"), "a value"),
    "extra_forbidden": "no such key",
    "string_type": "a text",
    "string_unicode": "a text in UTF-8",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    **dict.fromkeys(("int_type", "int_from_float", "int_parsing"), "an integer"),
    "float_type": "a number",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "list_type": "a list, as [a,b]",
    "dict_type": "keys with values, as {{a: 1}}",
    **dict.fromkeys(("model_type", "model_attributes_type"), "a group of keys"),
}


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `tree` with nested keys joined by dots."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return out


def is_within(key: str, groups: Collection[str]) -> bool:
    """Tell whether the flat `key` is one of `groups`, or a key inside one of them."""
    return any(key == group or key.startswith(f"{group}.") for group in groups)


def config_identity(config: Section, presentation: Collection[str]) -> dict[str, Any]:
    """Return the config identity, which two runs of one directory must share: what decides what a run makes.

    Args:
        config: the checked configuration.
        presentation: keys, or groups of keys, that decide only how a run is made or shown.

    Returns:
        The values of all other keys, by their names joined with dots.
    """
    keys = flat(config.model_dump(mode="json"))
    return {key: value for key, value in keys.items() if not is_within(key, presentation)}
