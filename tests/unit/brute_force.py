"""The economics once more, from the definitions, in plain loops over lists: what the vectorised code is held against.

What is missing is None: an image that lacks a pool, a payment that lacks one, a figure of no auctions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

Bids = tuple[float, ...]


class Image(NamedTuple):
    """A row of a score table."""

    scenario: Any
    sample: int
    bids: Bids
    alignments: tuple[float, ...]


class Sale(NamedTuple):
    """An auction at `bids`: the image sold and what each agent pays."""

    bids: Bids
    sold: Image | None
    payments: list[float | None]

    def welfare(self) -> float | None:
        return None if self.sold is None else worth(self.bids, self.sold)

    def utility(self, agent: int, m: float | None = None) -> float | None:
        """m_i α_i(I*) less the payment; m_i is the bid unless given."""
        payment = self.payments[agent]
        if self.sold is None or payment is None:
            return None
        return (self.bids[agent] if m is None else m) * self.sold.alignments[agent] - payment

    def known(self) -> bool:
        return self.sold is not None and all(payment is not None for payment in self.payments)

    def revenue(self) -> float | None:
        return sum(self.payments) if self.known() else None


Mechanism = Callable[[Sequence[Image], Bids], Sale]
"""The images of one scenario and a bid vector to what is sold and paid."""


def ratio(bids: Bids) -> Bids:
    """Shares of the bids, to ten decimals."""
    total = sum(bids)
    return tuple(round(bid / total, 10) if total else 0.0 for bid in bids)


def worth(bids: Bids, image: Image) -> float:
    """W(I; b)."""
    total = 0.0
    for bid, alignment in zip(bids, image.alignments, strict=True):
        total += bid * alignment
    return total


def pool(images: Iterable[Image], bids: Bids) -> list[Image]:
    """P(b)."""
    return [image for image in images if ratio(image.bids) == ratio(bids)]


def union(images: Sequence[Image], vectors: Iterable[Bids]) -> list[Image]:
    """∪ P(b) over `vectors`; nothing if one of them is missing."""
    pools = {ratio(bids): pool(images, bids) for bids in vectors}
    return list(itertools.chain.from_iterable(pools.values())) if all(pools.values()) else []


def best(images: Iterable[Image], bids: Bids) -> Image | None:
    """Of highest welfare; of several the lowest sample, then the lowest shares, then the lowest bids."""
    return min(
        images, key=lambda image: (-worth(bids, image), image.sample, ratio(image.bids), image.bids), default=None
    )


def without(bids: Bids, agent: int) -> Bids:
    return (*bids[:agent], 0.0, *bids[agent + 1 :])


def alone(agent: int, n: int) -> Bids:
    return tuple(1.0 if i == agent else 0.0 for i in range(n))


# --- mechanisms --------------------------------------------------------------------------------------------


def clarke(bids: Bids, sold: Image | None, of_others: Callable[[int], Image | None]) -> Sale:
    """Each pays what the others would have without him, less what they have."""
    payments: list[float | None] = []
    for i in range(len(bids)):
        others, instead = without(bids, i), of_others(i)
        if not any(others):
            payments.append(0.0)
        elif sold is None or instead is None:
            payments.append(None)
        else:
            payments.append(worth(others, instead) - worth(others, sold))
    return Sale(bids, sold, payments)


def vcg(images: Sequence[Image], bids: Bids) -> Sale:
    def of_others(agent: int) -> Image | None:
        others = without(bids, agent)
        return best(pool(images, others), others)

    return clarke(bids, best(pool(images, bids), bids), of_others)


def floored(sale: Sale) -> Sale:
    return sale._replace(payments=[None if payment is None else max(payment, 0.0) for payment in sale.payments])


def vcg_pool(
    images: Sequence[Image], bids: Bids, compositions: Iterable[str | Bids] | None = None, samples: int | None = None
) -> Sale:
    n = len(bids)
    sets = {
        "base": [(0.0,) * n],
        "one_hot": [alone(i, n) for i in range(n)],
        "joint": [(1.0,) * n],
        "coalitions": [b for b in itertools.product((0.0, 1.0), repeat=n) if any(b)],
    }
    candidates = list(images)
    if compositions is not None:
        vectors = [b for entry in compositions for b in (sets[entry] if isinstance(entry, str) else [entry])]
        candidates = union(images, vectors)
    if samples is not None:
        candidates = [image for image in candidates if image.sample < samples]
    return clarke(bids, best(candidates, bids), lambda i: best(candidates, without(bids, i)))


def single_winner(images: Sequence[Image], bids: Bids) -> Sale:
    n = len(bids)
    if not any(bids):
        return Sale(bids, best(pool(images, bids), bids), [0.0] * n)
    made_for_one = union(images, [alone(i, n) for i in range(n)])

    def of_others(agent: int) -> Image | None:
        rest = [image for image in made_for_one if ratio(image.bids) != alone(agent, n)]
        return best(rest, without(bids, agent))

    return clarke(bids, best(made_for_one, bids), of_others)


def first_price(images: Sequence[Image], bids: Bids) -> Sale:
    sold = best(pool(images, bids), bids)
    if sold is None:
        return Sale(bids, None, [None] * len(bids))
    return Sale(bids, sold, [bid * alignment for bid, alignment in zip(bids, sold.alignments, strict=True)])


def myerson(images: Sequence[Image], bids: Bids) -> Sale:
    sold = best(pool(images, bids), bids)
    payments: list[float | None] = []
    for i, bid in enumerate(bids):
        others = without(bids, i)
        if not any(others):
            payments.append(0.0)
            continue
        curve: dict[Bids, tuple[float, float]] = {}  # by shares: t and α_i
        for image in images:
            beside = without(image.bids, i)
            if any(beside) and ratio(beside) == ratio(others) and ratio(image.bids) not in curve:
                same = ratio(image.bids) == ratio(bids)
                t = bid if same else image.bids[i] * sum(others) / sum(beside)
                if t <= bid:
                    at = (*bids[:i], t, *bids[i + 1 :])
                    curve[ratio(image.bids)] = t, best(pool(images, at), at).alignments[i]
        points = sorted(curve.values())
        if sold is None or not points or points[0][0] != 0:
            payments.append(None)
            continue
        area = sum((t2 - t1) * (a1 + a2) / 2 for (t1, a1), (t2, a2) in itertools.pairwise(points))
        payments.append(bid * sold.alignments[i] - area)
    return Sale(bids, sold, payments)


def shapley(images: Sequence[Image], bids: Bids) -> Sale:
    """By the average over all orders in which the agents may come."""
    sold = best(pool(images, bids), bids)
    bidding = [i for i, bid in enumerate(bids) if bid > 0]

    def value(coalition: Iterable[int]) -> float | None:
        reported = tuple(bid if i in coalition else 0.0 for i, bid in enumerate(bids))
        found = best(pool(images, reported), reported)
        return None if found is None else worth(reported, found)

    values = {s: value(s) for size in range(1, len(bidding) + 1) for s in itertools.combinations(bidding, size)}
    values[()] = 0.0
    payments: list[float | None] = []
    for i, bid in enumerate(bids):
        if i not in bidding:
            payments.append(0.0)
        elif sold is None or None in values.values():
            payments.append(None)
        else:
            shares = []
            for order in itertools.permutations(bidding):
                before = tuple(sorted(order[: order.index(i)]))
                shares.append(values[tuple(sorted((*before, i)))] - values[before])
            payments.append(bid * sold.alignments[i] - sum(shares) / len(shares))
    return Sale(bids, sold, payments)


MECHANISMS: dict[str, Mechanism] = {
    "vcg": vcg,
    "vcg_pool": vcg_pool,
    "myerson": myerson,
    "first_price": first_price,
    "shapley": shapley,
    "single_winner": single_winner,
}


# --- figures -----------------------------------------------------------------------------------------------


class Regret(NamedTuple):
    """Of an agent of some value: None where unknown; `relative` also where the truthful utility is none."""

    absolute: float | None
    relative: float | None
    deviation: float | None


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def median(values: Iterable[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2 if known else None


def gain(sale: Sale, baseline: Sale) -> float | None:
    """max W over the candidates by that over the baseline's, less 1."""
    ours, theirs = sale.welfare(), baseline.welfare()
    return ours / theirs - 1 if any(sale.bids) and ours is not None and theirs is not None and theirs > 0 else None


def regrets(sales: Sequence[Sale], agent: int = 0) -> list[Regret]:
    """At each value of the agent that has another bid beside the same bids of the others."""
    found = []
    for truth in sales:
        line = [sale for sale in sales if without(sale.bids, agent) == without(truth.bids, agent)]
        if len(line) < 2:
            continue
        m = truth.bids[agent]
        utilities = [sale.utility(agent, m) for sale in line]
        if None in utilities:
            found.append(Regret(None, None, None))
            continue
        truthful, highest = truth.utility(agent), max(utilities)
        near = [u >= highest - 1e-12 * (1 + abs(highest)) for u in utilities]
        found.append(
            Regret(
                absolute=highest - truthful,
                relative=(highest - truthful) / abs(truthful) if abs(truthful) >= 1e-9 else None,
                deviation=min(abs(sale.bids[agent] - m) for sale, is_best in zip(line, near, strict=True) if is_best),
            )
        )
    return found


def monotonicity(images: Iterable[Image], agent: int) -> dict[str, Any]:
    """Curve of (share, mean alignment, images); neighbouring shares within a scenario, and falls between them."""
    distinct = {
        (image.scenario, image.sample, ratio(image.bids), image.alignments) for image in images if any(image.bids)
    }
    points: dict[float, list[float]] = {}
    by_scenario: dict[Any, dict[float, list[float]]] = {}
    for scenario, _, shares, alignments in sorted(distinct, key=repr):
        points.setdefault(shares[agent], []).append(alignments[agent])
        by_scenario.setdefault(scenario, {}).setdefault(shares[agent], []).append(alignments[agent])
    means = [[mean(own[share]) for share in sorted(own)] for own in by_scenario.values()]
    return {
        "curve": [(share, mean(points[share]), len(points[share])) for share in sorted(points)],
        "adjacent_pairs": sum(len(own) - 1 for own in means),
        "adjacent_violations": sum(after < before for own in means for before, after in itertools.pairwise(own)),
    }


def figures(images: Sequence[Image], mechanism: Mechanism, ks: Sequence[int]) -> dict[str, Any]:
    """What metrics.json has of one mechanism, every bid vector of the table being auctioned; but for intervals."""
    scenarios = list(dict.fromkeys(image.scenario for image in images))
    vectors = {s: sorted({image.bids for image in images if image.scenario == s}) for s in scenarios}

    def held(scenario: Any, rule: Mechanism, k: int | None = None) -> list[Sale]:
        own = [image for image in images if image.scenario == scenario and (k is None or image.sample < k)]
        return [rule(own, bids) for bids in vectors[scenario]]

    def gains(k: int | None = None) -> list[tuple[Bids, float | None]]:
        pairs = [zip(held(s, mechanism, k), held(s, single_winner, k), strict=True) for s in scenarios]
        return [(ours.bids, gain(ours, theirs)) for ours, theirs in itertools.chain.from_iterable(pairs)]

    def all_regrets(k: int | None = None) -> list[Regret]:
        return [regret for s in scenarios for regret in regrets(held(s, mechanism, k))]

    sold = [sale for s in scenarios for sale in held(s, mechanism) if any(sale.bids)]
    known = [sale for sale in sold if sale.known()]
    payments = [payment for sale in known for payment in sale.payments]
    utilities = [sale.utility(i) for sale in known for i in range(len(sale.bids))]
    regret = all_regrets()
    by_bids: dict[Bids, list[float]] = {}
    for bids, value in gains():
        if value is not None:
            by_bids.setdefault(bids, []).append(value)
    return {
        "welfare": {
            "relative_gain_mean": mean(value for _, value in gains()),
            "relative_gain_max": max((value for _, value in gains() if value is not None), default=None),
            "n": sum(value is not None for _, value in gains()),
            "left_out": len(sold) - sum(value is not None for _, value in gains()),
            "by_k": {str(k): mean(value for _, value in gains(k)) for k in ks},
            "by_bids": {bids: (mean(values), len(values)) for bids, values in by_bids.items()},
        },
        "truthfulness": {
            "relative_regret_mean": mean(own.relative for own in regret),
            "relative_regret_median": median(own.relative for own in regret),
            "relative_regret_max": max((own.relative for own in regret if own.relative is not None), default=None),
            "absolute_regret_max": max((own.absolute for own in regret if own.absolute is not None), default=None),
            "deviation_mean": mean(own.deviation for own in regret),
            "n": sum(own.relative is not None for own in regret),
            "excluded": sum(own.absolute is not None and own.relative is None for own in regret),
            "left_out": sum(own.absolute is None for own in regret),
            "by_k": {
                str(k): (mean(own.relative for own in all_regrets(k)), mean(own.deviation for own in all_regrets(k)))
                for k in ks
            },
        },
        "revenue": {
            "mean": mean(sale.revenue() for sale in known),
            "share_of_welfare": mean(sale.revenue() / sale.welfare() for sale in known if sale.welfare() > 0),
            "n": len(known),
            "left_out": len(sold) - len(known),
            "deficits": sum(sale.revenue() < -1e-12 for sale in known),
            "payments": len(payments),
            "payments_below_zero": sum(payment < -1e-12 for payment in payments),
            "utilities_below_zero": sum(utility < -1e-12 for utility in utilities),
            "lowest_utility": min(utilities, default=None),
        },
    }
