"""The words of the embedded model, and the one tokenizer of its text encoders."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from diffusion_auction.market.scenarios import Scenario, join_prompts
from diffusion_auction.tiny_flux.vocabulary import (
    AT_HOME,
    MAX_TOKENS,
    OBJECTS,
    QUALITY_PROMPTS,
    SCENES,
    SPECIAL_TOKENS,
    VocabularyError,
    build_tokenizer,
    check_prompt,
    vocabulary,
    words_of,
)
from tests.support import CAFE, TABLE_1, WEIGHTS

TOKENIZER = build_tokenizer()
PAD, UNKNOWN, BEGIN, END = range(4)


def test_ids_are_the_special_tokens_then_the_words_in_order() -> None:
    assert SPECIAL_TOKENS == ("<pad>", "<unk>", "<bos>", "<eos>")
    assert vocabulary() == sorted(set(vocabulary()))
    assert TOKENIZER.get_vocab() == {token: i for i, token in enumerate([*SPECIAL_TOKENS, *vocabulary()])}
    assert (TOKENIZER.pad_token_id, TOKENIZER.eos_token_id) == (PAD, END)


def test_a_prompt_is_framed_and_padded() -> None:
    ids = TOKENIZER("Ray-Ban sunglasses!", padding="max_length", truncation=True, max_length=MAX_TOKENS).input_ids
    word = {name: 4 + i for i, name in enumerate(vocabulary())}
    assert ids == [BEGIN, word["ray-ban"], word["sunglasses"], END] + [PAD] * (MAX_TOKENS - 4)


@pytest.mark.parametrize("folder", ["flux/tokenizer", "flux/tokenizer_2", "clip"])
def test_the_shipped_tokenizers_are_this_one(folder: str) -> None:
    shipped = AutoTokenizer.from_pretrained(WEIGHTS / folder)
    assert shipped.get_vocab() == TOKENIZER.get_vocab()
    for text in (", ".join(CAFE), "Ray-Ban   Sunglasses.", "a yeti"):
        assert shipped(text).input_ids == TOKENIZER(text).input_ids


@pytest.mark.parametrize("texts", [*TABLE_1, CAFE], ids=lambda texts: texts[0])
def test_every_prompt_of_the_paper_and_the_cafe_passes(texts: tuple[str, ...]) -> None:
    scenario = Scenario(texts[0], texts[1:])
    agents = range(scenario.n_agents)
    coalitions = [s for size in range(len(agents) + 1) for s in combinations(agents, size)]
    for text in (*texts, *map(scenario.coalition_prompt, coalitions)):
        check_prompt(text)


def test_three_objects_fit_into_any_scene() -> None:
    longest = sorted(OBJECTS.values(), key=lambda text: -len(words_of(text)))[:3]
    for text in (*QUALITY_PROMPTS, *(join_prompts(scene, longest) for scene in SCENES.values())):
        check_prompt(text)


def test_an_unknown_word_is_named_beside_the_whole_vocabulary() -> None:
    with pytest.raises(VocabularyError) as refused:
        check_prompt("A blimp on a mountain of gold, a blimp")
    said = str(refused.value)
    assert said.startswith("'blimp', 'gold' in 'A blimp")
    assert said.endswith(" ".join(vocabulary()))


def test_too_many_words_are_refused() -> None:
    check_prompt(" ".join(["mug"] * (MAX_TOKENS - 2)))
    with pytest.raises(VocabularyError, match=f"{MAX_TOKENS - 1} words"):
        check_prompt(" ".join(["mug"] * (MAX_TOKENS - 1)))


@pytest.mark.parametrize("text", ["日本 backpack", "ένα mug", "a Größe mug"])
def test_a_word_in_another_script_is_not_passed_over(text: str) -> None:
    with pytest.raises(VocabularyError):
        check_prompt(text)


PIECES = st.one_of(
    st.sampled_from(
        [*vocabulary(), "RAY-Ban", "Coca Cola", "yeti", "mug-", "-", "--", "1", "and-and", "_", "'s", "\n"]
    ),
    st.text(alphabet="aZ9-,. '\t_", max_size=4),
)


@given(st.lists(PIECES, max_size=12), st.sampled_from([" ", ", ", "", "-", "; "]))
def test_the_tokenizer_splits_as_words_of(pieces: list[str], glue: str) -> None:
    """So that a prompt that passes the check holds no word that the model reads as unknown."""
    text = glue.join(pieces)
    known = {word: 4 + i for i, word in enumerate(vocabulary())}
    expected = [known.get(word, UNKNOWN) for word in words_of(text)]
    assert TOKENIZER(text, add_special_tokens=False).input_ids == expected


def test_words_keep_their_hyphens() -> None:
    assert words_of("A Ray-Ban, (and) Coca-Cola CANS!") == ["a", "ray-ban", "and", "coca-cola", "cans"]


def test_the_catalogue_is_the_papers_with_rivals() -> None:
    agents = {agent for _, *agents in [*TABLE_1, CAFE] for agent in agents}
    rivals = {text for name, text in OBJECTS.items() if name.startswith("rival_")}
    assert set(OBJECTS.values()) == agents | rivals
    assert {text.split()[-1] for text in rivals} == {"backpack", "cans", "chips", "mug"}
    assert set(SCENES.values()) == {base for base, *_ in [*TABLE_1, CAFE]}
    assert AT_HOME.keys() == SCENES.keys()
    assert {name for names in AT_HOME.values() for name in names} == OBJECTS.keys()
