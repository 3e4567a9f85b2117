"""Compare mechanisms at the same number of images, and of sample passes, per auction."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from diffusion_auction.evaluation.bootstrap import divide, sample_draws
from diffusion_auction.evaluation.estimates import Estimates
from diffusion_auction.evaluation.metrics import EqualCost, Mean
from diffusion_auction.evaluation.money import share_of_welfare
from diffusion_auction.evaluation.scores import Scores
from diffusion_auction.evaluation.truthfulness import regrets
from diffusion_auction.market.bids import Bids, normalized, one_hot
from diffusion_auction.mechanisms import VCG, CandidatePool, Mechanism, VCGPool

Branches = Callable[[Bids], int]
"""A function of some bids: the number of sample passes in one step of their composition."""

REFERENCE = VCG()
COSTS = ("images", "sample_passes")
BUDGETS = (5, 15, 25, 50)
"""Numbers of samples of the reference; pools are also compared at the cost of each of them."""


@dataclass(frozen=True, eq=False)
class _Auctions:
    """One scenario: its pools, the bid vectors auctioned, and what a sample of each block costs."""

    scenario: Hashable
    pools: CandidatePool
    bids: np.ndarray
    """The bid vectors at which somebody bids, (B, n)."""
    costs: Mapping[str, np.ndarray]
    """The cost of one sample of each block, (E,), in each unit of `COSTS`: one image, or its sample passes a step."""
    counted: np.ndarray
    """The auctions that are compared, bool (B,). The others count as unknown, as does regret that depends on them."""

    def settled(self, mechanism: Mechanism) -> np.ndarray:
        """Return which of them both `mechanism` and the reference have every pool for: bool (B,)."""
        runs = (each.run(self.bids, self.pools) for each in (mechanism, REFERENCE))
        both: np.ndarray = np.logical_and(*(np.isfinite(outcomes.payments[0]).all(axis=1) for outcomes in runs))
        return both


_Held = tuple[Hashable, dict[str, np.ndarray]]
"""A scenario and its auctions with some number of samples: as observed, then resampled, each (1 + draws, B).

`welfare`, the relative `regret` of agent 1, and `share`, revenue ÷ welfare.
"""


def equal_cost(
    scores: Scores,
    bids: Mapping[Hashable, np.ndarray],
    mechanisms: Sequence[Mechanism],
    branches: Branches,
    seed: int,
) -> list[EqualCost]:
    """Compare each of `mechanisms`, and `vcg_pool` with several pools, against `vcg` at the same cost.

    An auction costs the images of all pools that its mechanism reads, for payments too: k per composition, with
    nothing shared between auctions. Costs are compared on average over the auctions, because a pool that may not
    depend on the bids has the same samples at every bid. Sample passes are those of one denoising step.

    One row has the largest k and reference k, limited by the number of samples, at which the mechanism costs at most
    as much as `vcg`. To compare pools at one budget, there is another row for each reference k of `BUDGETS` for which
    the pool has enough samples.
    """
    sets = [_auctions(scores, scenario, asked[asked.any(axis=1)], branches) for scenario, asked in bids.items()]
    sets = [auctions for auctions in sets if len(auctions.bids)]
    most = min((len(auctions.pools.samples) for auctions in sets), default=0)
    rows, held = list[Any](), dict[Any, list[_Held]]()
    for label, mechanism in _contestants(mechanisms, scores).items():
        both = [replace(auctions, counted=auctions.settled(mechanism)) for auctions in sets]
        prices, references = _prices(mechanism, both), _prices(REFERENCE, both)
        for unit in COSTS:
            price, reference = prices[unit], references[unit]
            budgets = BUDGETS if isinstance(mechanism, VCGPool) and unit == "sample_passes" else ()
            for k, reference_k in _sizes(price, reference, most, budgets):
                row = {"mechanism": label, "equal": unit, "k": k, "reference_k": reference_k}
                cost = {"cost": price * k, "reference_cost": reference * reference_k}
                same = reference_k, *(auctions.counted.tobytes() for auctions in both)
                held[same] = held.get(same) or _held(REFERENCE, both, reference_k, seed)
                rows.append(row | cost | _compared(_held(mechanism, both, k, seed), held[same], seed))
    return rows


def _contestants(mechanisms: Sequence[Mechanism], scores: Scores) -> dict[str, Mechanism]:
    """Return by label the mechanisms but the reference, and pools of several kinds for which all images are there."""
    chosen = {m.name: m for m in mechanisms if m.name not in (REFERENCE.name, VCGPool.name)}
    ratios = [set(map(tuple, scores.pools(scenario).ratios.tolist())) for scenario in scores.scenarios]
    choices = pool_choices(scores.n_agents, min(map(len, ratios)))
    pools = {f"vcg_pool ({name})": VCGPool(entries) for name, entries in choices.items()}
    everywhere = set.intersection(*ratios)
    there = {
        label: pool
        for label, pool in pools.items()
        if everywhere.issuperset(map(normalized, pool.vectors(scores.n_agents)))
    }
    return chosen | there | {"vcg_pool (every image)": VCGPool()}


def pool_choices(n_agents: int, compositions: int) -> dict[str, tuple[str | Bids, ...]]:
    """Return sets of compositions that a pool may be made of by name, none of more than there are `compositions`."""
    choices: dict[str, tuple[str | Bids, ...]] = {
        "one-hot": ("one_hot",),
        "joint": ("joint",),
        "one-hot, joint": ("one_hot", "joint"),
        "base, one-hot, joint": ("base", "one_hot", "joint"),
    }
    if n_agents > 2 and 2**n_agents <= compositions + 1:
        choices["coalitions"] = ("coalitions",)
    favoured = tuple(tuple(1.0 + bid for bid in one_hot(i, n_agents)) for i in range(n_agents))
    choices["one-hot, joint, two to one"] = ("one_hot", "joint", *favoured)
    return choices


def _auctions(scores: Scores, scenario: Hashable, bids: np.ndarray, branches: Branches) -> _Auctions:
    pools = scores.pools(scenario)
    passes = np.array([branches(tuple(ratio)) for ratio in pools.ratios.tolist()], dtype=float)
    costs = dict(zip(COSTS, (np.ones(len(passes)), passes), strict=True))
    return _Auctions(scenario, pools, bids, costs, counted=np.ones(len(bids), dtype=bool))


def _prices(mechanism: Mechanism, sets: Sequence[_Auctions]) -> dict[str, float]:
    """Return what an auction costs on average for each sample, by what is counted; NaN where there is none."""
    reads = [mechanism.run(auctions.bids, auctions.pools).read[auctions.counted] for auctions in sets]
    prices = {}
    for unit in COSTS:
        bills = [read @ auctions.costs[unit] for read, auctions in zip(reads, sets, strict=True)]
        bill = np.concatenate(bills) if bills else np.zeros(0)
        prices[unit] = float(bill.mean()) if len(bill) else np.nan
    return prices


def _sizes(price: float, reference: float, most: int, budgets: Sequence[int]) -> list[tuple[int, int]]:
    """Return pairs (k, reference k), at most `most`, with k at most as dear: the largest such pair, and `budgets`."""
    if not (np.isfinite(price) and np.isfinite(reference)):
        return []
    largest = min(most, int(most * price / reference + 1e-9))
    pairs = [(int(reference_k * reference / price + 1e-9), reference_k) for reference_k in sorted({*budgets, largest})]
    return [(k, reference_k) for k, reference_k in pairs if 0 < k <= most and 0 < reference_k <= most]


def _held(mechanism: Mechanism, sets: Sequence[_Auctions], k: int, seed: int) -> list[_Held]:
    """Hold the auctions of each scenario with k samples."""
    held = []
    for auctions in sets:
        pools = auctions.pools
        outcomes = mechanism.run(auctions.bids, pools.drawn(sample_draws(pools.samples, k, seed)))
        outcomes = replace(outcomes, payments=np.where(auctions.counted[:, None], outcomes.payments, np.nan))
        quantities = {
            "welfare": np.where(auctions.counted, outcomes.sold.welfare, np.nan),
            "regret": regrets(outcomes, 0).relative,
            "share": share_of_welfare(outcomes),
        }
        held.append((auctions.scenario, quantities))
    return held


def _compared(own: Sequence[_Held], reference: Sequence[_Held], seed: int) -> dict[str, Mean]:
    """Compare welfare relative to the reference's, and regret and revenue of both, with intervals."""
    estimates = {
        "relative_welfare": Estimates([0]),
        "relative_regret": Estimates([0], least=0.0),
        "share_of_welfare": Estimates([0]),
        "reference_regret": Estimates([0], least=0.0),
        "reference_share": Estimates([0]),
    }
    for (scenario, ours), (_, theirs) in zip(own, reference, strict=True):
        ratio = divide(ours["welfare"], theirs["welfare"]) - 1
        quantities = (ratio, ours["regret"], ours["share"], theirs["regret"], theirs["share"])
        for part, values in zip(estimates.values(), quantities, strict=True):
            part.add(scenario, [values])
    return {name: part.overall(seed) for name, part in estimates.items()}
