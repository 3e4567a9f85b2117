"""Play one game between two bidding agents: a bundled example, and one that is written here.

Both run without walls, so put only agents here that you trust.
`python -m agt_tournament action=game` plays behind walls.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from agt_tournament import Game, GameSeeds, compose, examples
from agt_tournament.game import NOBODY
from agt_tournament.tournament.registration import read_submission, store_submission
from agt_tournament.tournament.tournament_manager import open_agents

MY_AGENT = '''
from base_agent import BiddingAgent


class HalfBidder(BiddingAgent):
    """Bids half of what the item is worth, and less than half of its money."""

    def bidding_function(self, item_id):
        return min(0.5 * self.valuation_vector[item_id], 0.5 * self.budget)
'''


def main() -> None:
    """Play one game under the rules of the competition, and print its rounds and its result."""
    rules = compose().tournament
    agents = {
        "adaptive": read_submission(examples()["adaptive_bidder"], "adaptive").files,
        "half": {"bidding_agent.py": MY_AGENT.encode()},
    }
    with TemporaryDirectory() as folder, ExitStack() as processes:
        for team, files in agents.items():
            store_submission(files, Path(folder) / team)
        bidders = open_agents(Path(folder), agents, rules, processes)
        game = Game("example", "example", 0, bidders, rules, GameSeeds(seed=0, stage=0, arena=1, game=1)).play()

    for entry in game.auction_log:
        winner = "nobody" if entry.winner == NOBODY else entry.winner
        print(f"round {entry.round:2}  {entry.item_id:8} {winner:9} pays {entry.price:5.2f}")
    for team, result in game.team_results.items():
        print(f"{team:9} utility {result.utility:6.2f}, {len(result.items_won)} items for {result.budget_spent:.2f}")
    for failure in game.failures:
        print(f"{failure.team_id}: {failure.error} in {failure.where}: {failure.text}")


if __name__ == "__main__":
    main()
