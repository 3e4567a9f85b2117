"""Scenarios: a base prompt and the agents' prompts, and the one template that joins them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diffusion_auction.config import PromptsConfig
from generative_auctions.errors import RequestError

_AGENT_FIELD = re.compile(r"agent([1-9]\d*)_prompt")


def join_prompts(base: str, prompts: Sequence[str]) -> str:
    """Return the conditioning text of a coalition.

    No agent: the base prompt alone. Otherwise ``{base}, featuring {c_1}``, and with several agents
    ``{base}, featuring {c_1}, {c_2} and {c_3}``, in the order given.
    """
    if not prompts:
        return base
    *head, last = prompts
    return f"{base}, featuring {', '.join(head)} and {last}" if head else f"{base}, featuring {last}"


@dataclass(frozen=True)
class Scenario:
    """A base prompt c and the agents' prompts c_1…c_n."""

    base_prompt: str
    agent_prompts: tuple[str, ...]

    @property
    def n_agents(self) -> int:
        """The number n of agents."""
        return len(self.agent_prompts)

    @property
    def key(self) -> str:
        """A digest of the scenario's texts. It names the scenario's noise and images, whatever its place in a file."""
        text = json.dumps([self.base_prompt, *self.agent_prompts])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def entry(self) -> dict[str, str]:
        """Return the scenario as an entry of a prompts file."""
        agents = {f"agent{i}_prompt": text for i, text in enumerate(self.agent_prompts, start=1)}
        return {"base_prompt": self.base_prompt, **agents}

    def coalition_prompt(self, coalition: Sequence[int]) -> str:
        """Return the conditioning text of `coalition`: agent indices from 0, in the order of their prompts in it."""
        return join_prompts(self.base_prompt, [self.agent_prompts[i] for i in coalition])


def load_scenarios(path: Path, key: str = "prompts.path") -> list[Scenario]:
    """Read a JSON list of ``{"base_prompt": …, "agent1_prompt": …, "agent2_prompt": …}``.

    Args:
        path: the file, in UTF-8. All entries must have the same number of agents.
        key: the configuration key that errors name.

    Returns:
        The scenarios, in the order of the file.

    Raises:
        RequestError: the file cannot be read, or an entry is wrong; the line names the entry and the field.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8-sig"), object_pairs_hook=_Fields)
    except OSError as error:
        raise RequestError(key, str(path), f"a readable JSON file ({error.strerror})") from None
    except UnicodeDecodeError:
        raise RequestError(key, str(path), "a JSON file in UTF-8; save it in that encoding") from None
    except json.JSONDecodeError as error:
        raise RequestError(key, str(path), f"valid JSON (line {error.lineno}: {error.msg})") from None
    return parse_scenarios(entries, f"{key}: {path}")


def parse_scenarios(entries: object, where: str) -> list[Scenario]:
    """Parse prompt entries, as `load_scenarios` reads them from a file.

    Args:
        entries: a list of dicts with base_prompt, agent1_prompt, agent2_prompt, …
        where: the place of the list, which errors name.

    Returns:
        The scenarios, in the order of the entries.

    Raises:
        RequestError: an entry is wrong, repeats an earlier one, or has another number of agents than the first.
    """
    if not isinstance(entries, list) or not entries:
        kind = "dict" if isinstance(entries, dict) else type(entries).__name__
        raise RequestError(where, kind, "a non-empty list of prompt entries")
    scenarios = [_scenario(entry, f"{where}, entry {index}") for index, entry in enumerate(entries)]
    for index, scenario in enumerate(scenarios):
        here = f"{where}, entry {index}"
        if scenario.n_agents != scenarios[0].n_agents:
            expected = f"{scenarios[0].n_agents} agents, as in entry 0"
            raise RequestError(here, f"{scenario.n_agents} agents", expected)
        if scenario in scenarios[:index]:
            earlier = scenarios.index(scenario)
            raise RequestError(here, scenario.base_prompt, f"a scenario not yet listed (it is entry {earlier})")
    return scenarios


class _Fields(dict[str, object]):
    """A JSON object that remembers a field given twice."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.twice = next((name for name in names if names.count(name) > 1), None)


def _scenario(entry: object, where: str) -> Scenario:
    if not isinstance(entry, dict):
        raise RequestError(where, type(entry).__name__, "an object with base_prompt, agent1_prompt, …")
    if twice := getattr(entry, "twice", None):
        raise RequestError(f"{where}, field {twice}", "given twice", "each field once")
    count = sum(bool(_AGENT_FIELD.fullmatch(field)) for field in entry)
    wanted = ["base_prompt", *(f"agent{i}_prompt" for i in range(1, max(count, 1) + 1))]
    for field in wanted:
        value = entry.get(field)
        if not isinstance(value, str) or not value.strip():
            shown = "absent" if field not in entry else repr(value)
            raise RequestError(f"{where}, field {field}", shown, "a non-empty string")
    for field in sorted(set(entry) - set(wanted)):
        raise RequestError(f"{where}, field {field}", field, f"one of {', '.join(wanted)}")
    return Scenario(entry["base_prompt"], tuple(entry[field] for field in wanted[1:]))


def read_prompts(prompts: PromptsConfig) -> list[Scenario]:
    """Return all scenarios that a configuration names by file or by entries.

    Raises:
        RequestError: both or neither are given, or an entry is wrong.
    """
    if (prompts.path is None) == (prompts.entries is None):
        raise RequestError("prompts.path", prompts.path, "a path, or prompts.entries, and not both")
    if prompts.path is not None:
        return load_scenarios(Path(prompts.path))
    return parse_scenarios(prompts.entries, "prompts.entries")


def choose_scenarios(everything: list[Scenario], numbers: list[int] | None) -> dict[int, Scenario]:
    """Choose scenarios by their numbers, counted from 0.

    Args:
        everything: all scenarios.
        numbers: the numbers to choose; None for all.

    Returns:
        The chosen scenarios by number, ascending.

    Raises:
        RequestError: `numbers` is empty, or one of them is too high.
    """
    chosen = range(len(everything)) if numbers is None else numbers
    if not chosen:
        raise RequestError("scenarios", "[]", "at least one number, or null for all")
    for number in chosen:
        if number >= len(everything):
            raise RequestError("scenarios", number, f"numbers from 0 to {len(everything) - 1}")
    return {number: everything[number] for number in sorted(set(chosen))}
