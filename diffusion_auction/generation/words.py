"""Words that the embedded models were not trained on, refused before anything is made."""

from __future__ import annotations

from collections.abc import Collection

from diffusion_auction.config import ClipAlignmentConfig, ExperimentConfig, TwoPromptQuality
from diffusion_auction.market.compositions import Coalition
from diffusion_auction.market.scenarios import Scenario
from diffusion_auction.tiny_flux.vocabulary import VocabularyError, check_prompt
from generative_auctions.errors import RequestError


def check_words(config: ExperimentConfig, scenarios: dict[int, Scenario], coalitions: Collection[Coalition]) -> None:
    """Refuse words that an embedded model in use has never seen. Raises `RequestError`."""
    tiny_clip = isinstance(config.alignment, ClipAlignmentConfig) and config.alignment.model == "tiny_clip"
    try:
        for number, scenario in scenarios.items():
            where = f"prompts entry {number}"
            if config.model.weights == "tiny_flux":
                for coalition in coalitions:
                    check_prompt(scenario.coalition_prompt(coalition))
            if tiny_clip:
                for text in (scenario.base_prompt, *scenario.agent_prompts):
                    check_prompt(text)
        where = "quality.good_prompt, quality.bad_prompt"
        if tiny_clip and isinstance(config.quality, TwoPromptQuality):
            check_prompt(config.quality.good_prompt)
            check_prompt(config.quality.bad_prompt)
    except VocabularyError as error:
        text, _, expected = str(error).partition(": ")
        raise RequestError(where, text, expected) from None
