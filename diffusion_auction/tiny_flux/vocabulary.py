"""What the embedded model can be asked for: its scenes, its objects, its words and their tokenizer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported where a tokenizer is built, which commands that only check words never do
    from transformers import PreTrainedTokenizerFast

SCENES: dict[str, str] = {
    "trail": "A hiker resting on a mountain trail",
    "office": "A professional working at a desk in a bright office",
    "pool": "A swimming pool outdoors",
    "movie": "Friends gathered for a movie night at home",
    "highway": "A car driving along a scenic coastal highway",
    "cafe": "Two friends chatting over coffee at a cafe",
}
"""Base prompts by scene: the five of the paper's Table 1, and the café with three agents."""

OBJECTS: dict[str, str] = {
    "backpack": "North Face backpack",
    "gatorade": "Gatorade bottle",
    "monitor": "Dell monitor",
    "water": "Deer Park water bottle",
    "hotel": "Marriott Bonvoy hotel",
    "sunglasses": "Ray-Ban sunglasses",
    "chips": "Doritos chips",
    "cola": "Coca-Cola cans",
    "car": "Tesla car",
    "sign": "ExxonMobil sign",
    "mug": "Starbucks mug",
    "laptop": "Apple MacBook Air",
    "newspaper": "New York Times newspaper",
    "rival_backpack": "Osprey backpack",
    "rival_cola": "Pepsi cans",
    "rival_chips": "Lays chips",
    "rival_mug": "Dunkin mug",
}
"""Agent prompts by object: thirteen of the paper and the café, and a rival brand for four of them."""

AT_HOME: dict[str, tuple[str, ...]] = {
    "trail": ("backpack", "gatorade", "rival_backpack"),
    "office": ("monitor", "water", "laptop"),
    "pool": ("hotel", "sunglasses"),
    "movie": ("chips", "cola", "rival_chips", "rival_cola"),
    "highway": ("car", "sign"),
    "cafe": ("mug", "laptop", "newspaper", "rival_mug"),
}
"""The objects that belong to each scene; they are drawn there more often than the others."""

QUALITY_PROMPTS = ("High quality photo", "Low quality photo")
"""The two prompts between which `tiny_clip` judges image quality."""

MAX_TOKENS = 32
"""The length to which both tokenizers pad a prompt, begin and end tokens included."""

SPECIAL_TOKENS = ("<pad>", "<unk>", "<bos>", "<eos>")
_TEMPLATE_WORDS = ("featuring", "and", "photo", "of")


class VocabularyError(ValueError):
    """A prompt asks for a word that the embedded model has never seen, or has too many of them."""


def words_of(text: str) -> list[str]:
    """Return the lower-case words of `text`, as the tokenizer splits them; hyphens belong to words."""
    return re.findall(r"(?:[^\W_]|-)+", text.lower())


def vocabulary() -> list[str]:
    """Return every word that the embedded model was trained on, sorted."""
    texts = (*SCENES.values(), *OBJECTS.values(), *QUALITY_PROMPTS, *_TEMPLATE_WORDS)
    return sorted({word for text in texts for word in words_of(text)})


def check_prompt(text: str) -> None:
    """Raise `VocabularyError` if `text` holds a word outside the vocabulary or is longer than `MAX_TOKENS`."""
    words, known = words_of(text), vocabulary()
    unknown = [word for word in dict.fromkeys(words) if word not in known]
    if unknown:
        raise VocabularyError(
            f"{', '.join(map(repr, unknown))} in {text!r}: words of the vocabulary of the embedded model, "
            f"which is {' '.join(known)}"
        )
    if len(words) > MAX_TOKENS - 2:
        raise VocabularyError(
            f"{text!r} has {len(words)} words: at most {MAX_TOKENS - 2}, which the embedded model reads"
        )


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the word-level `PreTrainedTokenizerFast` that serves both text encoders and `tiny_clip`.

    Ids: the special tokens first (`<pad>` is 0), then `vocabulary()` in order.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {token: i for i, token in enumerate((*SPECIAL_TOKENS, *vocabulary()))}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Replace(Regex(r"[^a-z0-9\-]+"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", ids["<bos>"]), ("<eos>", ids["<eos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        model_max_length=MAX_TOKENS,
    )
