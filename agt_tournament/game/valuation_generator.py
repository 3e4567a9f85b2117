"""What the items are worth to the teams (design document, section 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agt_tournament.config import TournamentConfig
from agt_tournament.game.seeding import GameSeeds

Category = str
"""The category of an item: ``high``, ``low`` or ``mixed``."""


def item_ids(rules: TournamentConfig) -> list[str]:
    """Return the ids of the items: ``item_0`` … ``item_19``."""
    return [f"item_{i}" for i in range(rules.total_items)]


def draw_categories(rules: TournamentConfig, seeds: GameSeeds) -> dict[str, Category]:
    """Draw the category of each item, the same for all teams of an arena; an item's number does not tell it."""
    kinds = ["high"] * rules.high_value_items + ["low"] * rules.low_value_items + ["mixed"] * rules.mixed_value_items
    drawn = seeds.categories().permutation(len(kinds)).tolist()
    return dict(zip(item_ids(rules), (kinds[i] for i in drawn), strict=True))


def generate_valuation_vector(
    team_id: str, categories: Mapping[str, Category], rules: TournamentConfig, seeds: GameSeeds
) -> dict[str, float]:
    """Draw the value of each item for `team_id`, independently and uniformly from the range of its category."""
    ranges = {"high": rules.high_value_range, "low": rules.low_value_range, "mixed": rules.mixed_value_range}
    draws = seeds.valuations(team_id).random(len(categories)).tolist()
    values = {}
    for (item_id, category), draw in zip(categories.items(), draws, strict=True):
        low, high = ranges[category]
        values[item_id] = low + (high - low) * draw
    return values


def generate_arena_valuations(
    team_ids: Iterable[str], rules: TournamentConfig, seeds: GameSeeds
) -> dict[str, dict[str, float]]:
    """Draw the valuation vectors of all teams of an arena, over the same categories."""
    categories = draw_categories(rules, seeds)
    return {team_id: generate_valuation_vector(team_id, categories, rules, seeds) for team_id in team_ids}


def draw_items(rules: TournamentConfig, seeds: GameSeeds) -> list[str]:
    """Draw the items of a game in the order of the auction; each subset and order is equally likely."""
    items = item_ids(rules)
    return [items[i] for i in seeds.items().permutation(len(items))[: rules.auction_rounds].tolist()]
