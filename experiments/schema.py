"""What a configuration must be: a pydantic model of it, every refusal one line with key, value and what is valid."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from experiments.errors import RequestError
from launchers.config import NAMES as LAUNCHERS


class Section(BaseModel):
    """A part of a configuration: no key beside those named, no value of another type, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=False)


_Config = TypeVar("_Config", bound=Section)


def read_config(schema: type[_Config], tree: dict[str, Any], variants: Collection[str] = ()) -> _Config:
    """Check the composed configuration `tree`; raises `RequestError` naming the first key that is wrong.

    `variants` are the tags that pydantic puts into the place of an error and nobody writes in a key.
    """
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = _key(first["loc"], (*variants, *LAUNCHERS))
        if first["type"] == "union_tag_invalid":
            key += "." + first["ctx"]["discriminator"].strip("'")
        raise RequestError(key, _shown(first), _expected(first)) from None


def _key(location: tuple[int | str, ...], variants: Collection[str]) -> str:
    """The key as one writes it: names of variants and types that pydantic puts into a location are no keys."""
    key = str(location[0])
    for place, part in enumerate(location[1:], start=1):
        if isinstance(part, int):
            key += f"[{part}]"
        elif "[" not in part and not (place == 1 and part in variants):
            key += f".{part}"
    return key


def _shown(error: Any) -> object:
    if error["type"] == "union_tag_invalid":
        return error["ctx"]["tag"]
    return "absent" if error["type"] == "missing" else error["input"]


def _expected(error: Any) -> str:
    if error["type"] == "missing":
        return "a value"
    if error["type"] == "extra_forbidden":
        return "no such key"
    if error["type"] == "union_tag_invalid":
        return f"one of {error['ctx']['expected_tags']}"
    text = error["msg"].removeprefix("Input should be ")
    if text.startswith("'"):
        return f"one of {text}"
    return f"a number {text}" if text.startswith(("greater", "less")) else text[0].lower() + text[1:]


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`tree` with nested keys joined by dots."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            out |= flat(value, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = value
    return out


def identity(config: Section, presentation: Iterable[str]) -> dict[str, Any]:
    """The flat keys that decide what a run makes, what two runs of one directory must share: all but `presentation`."""
    skipped = tuple(presentation)
    return {
        key: value
        for key, value in flat(config.model_dump(mode="json")).items()
        if not any(key == skip or key.startswith(f"{skip}.") for skip in skipped)
    }
