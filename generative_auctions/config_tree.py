"""The Hydra tree `conf/`: where it is, and the part of `--help` that follows from it and from a schema."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml
from hydra.utils import get_class
from omegaconf import OmegaConf
from pydantic import BaseModel

_HERE = Path(__file__).resolve().parent
CONF = _HERE.parent / "conf" if (_HERE.parent / "conf" / "diffusion_auction.yaml").exists() else _HERE / "conf"
"""The folder `conf/`: beside the packages in a checkout, inside this package once installed."""

_WIDTH, _COLUMN = 98, 24  # the keys of an option are moved to the right by two more
_TYPES = {"string": "text", "boolean": "true | false", "object": "keys with values"}
_LIMITS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
    "multipleOf": "multiple of",
    "minItems": "of length ≥",
    "maxItems": "≤",
}
"""The names of limits in a JSON schema, and how `--help` writes each."""

Shape = Mapping[str, Any]
"""The JSON schema of one key or of one section."""


def describe(schema: str, primary: str, *more: str) -> str:
    """Describe the keys and config groups of an application, for its template of `--help`.

    Args:
        schema: the full name of the `Section` that is its schema: type, range and meaning of each key.
        primary: the name of its primary configuration: the defaults.
        more: further config groups, each as ``GROUP: MEANING``, of which only the options are described.
    """
    described: type[BaseModel] = get_class(schema)
    tree = described.model_json_schema()
    keys, values = tree["properties"], yaml.safe_load((CONF / f"{primary}.yaml").read_text())
    groups = [key for key in keys if (CONF / key).is_dir()]
    lines = ["== Keys (KEY=VALUE) ==", ""]
    lines += [_entry(key, shape, [values]) for key, shape in keys.items() if key not in groups]
    lines += ["", "== Config groups (GROUP=OPTION, GROUP.KEY=VALUE) =="]
    shapes = {group: keys[group] for group in groups}
    shapes |= {group: {"description": meaning} for group, _, meaning in (each.partition(": ") for each in more)}
    for group, shape in shapes.items():
        lines += ["", *_group(group, shape, tree["$defs"])]
    return "\n".join(lines).replace("$", "$$")  # Hydra substitutes $CONFIG in the template


OmegaConf.register_new_resolver("describe", describe, replace=True)  # conf/hydra/help asks for it


def _group(group: str, shape: Shape, sections: Mapping[str, Shape]) -> Iterator[str]:
    """Describe a config group: the keys that all options have, then each option with the keys of its own."""
    options: dict[str, dict[str, Any]] = {}  # by the section that they fill
    for path in sorted((CONF / group).glob("*.yaml")):
        values = yaml.safe_load(path.read_text())
        mapping = shape.get("discriminator", {"mapping": {}})["mapping"]
        reference = mapping.get(values.get("name", values.get("kind")), shape.get("$ref", ""))
        options.setdefault(reference.rpartition("/")[2], {})[path.stem] = values
    entries = {name: list(_entries(sections, name, alike.values())) for name, alike in options.items()}
    shared = [entry for entry in next(iter(entries.values())) if all(entry in own for own in entries.values())]
    yield _wrapped(group, shape["description"], 2)
    yield from shared
    for name, alike in options.items():
        yield from (_wrapped(option, _heading(CONF / group / f"{option}.yaml"), 4) for option in alike)
        yield from (f"  {entry}" for entry in entries[name] if entry not in shared)


def _entries(sections: Mapping[str, Shape], name: str, values: Iterable[Any], prefix: str = ".") -> Iterator[str]:
    """Yield a text on each key of the section `name`, those of sections inside it too."""
    for key, shape in sections.get(name, {"properties": {}})["properties"].items():
        inside = [each.get(key) for each in values]
        if "$ref" in shape:
            yield from _entries(sections, shape["$ref"].rpartition("/")[2], inside, f"{prefix}{key}.")
        elif "description" in shape:  # others say which option was chosen
            yield _entry(prefix + key, shape, values, 4)


def _entry(key: str, shape: Shape, values: Iterable[Mapping[str, Any]], indent: int = 2) -> str:
    """Write what the key means and takes, and its default: those of several options are in `values`."""
    kept = {json.dumps(each.get(key.rpartition(".")[2]), ensure_ascii=False).strip('"') for each in values}
    default = kept.pop() if len(kept) == 1 else "by option"
    stated = "" if "${" in default else f"; default {default}"
    return _wrapped(key, f"{shape['description']} [{_kind(shape)}{stated}]", indent)


def _kind(shape: Shape) -> str:
    """Say which values a key takes: its choices, or its type and range."""
    if parts := shape.get("anyOf"):
        return " | ".join(map(_kind, parts))
    if "enum" in shape:
        return " | ".join(shape["enum"])
    kind = str(shape.get("format") or _TYPES.get(shape["type"], shape["type"]))
    if kind == "array":
        kind = f"list of {_kind(shape['items'])}"
    limits = (f"{sign} {_number(shape[name])}" for name, sign in _LIMITS.items() if name in shape)
    return f"{kind} {', '.join(limits)}".rstrip()


def _number(value: float) -> str:
    """Write a limit; those of seeds are powers of two."""
    return f"2^{value.bit_length() - 1}" if isinstance(value, int) and value > 1 << 62 else f"{value:,.10g}"


def _wrapped(name: str, text: str, indent: int) -> str:
    """Write a name and, in a column beside it, a text about it."""
    start, rest = " " * indent + f"{name:<{_COLUMN - indent}} ", " " * (_COLUMN + 1)
    return textwrap.fill(text, _WIDTH, initial_indent=start, subsequent_indent=rest, break_on_hyphens=False)


def _heading(path: Path) -> str:
    """Return the comment that a file of the tree begins with."""
    comment = takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
    return " ".join(line.lstrip("# ") for line in comment if not line.startswith("# @package"))
