"""Check that T5 reads all of a prompt: words that Flux cuts, or has no token for, could not be sold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loads torch, which commands that make no image do without
    from transformers import PreTrainedTokenizerBase


class PromptTooLong(ValueError):
    """Words of a prompt are beyond `max_sequence_length`.

    needed: the length that has room for every prompt; prompt: the longest; lost: the words that would be cut from it.
    """

    def __init__(self, max_sequence_length: int, needed: int, prompt: str, lost: str) -> None:
        self.needed, self.prompt, self.lost = needed, prompt, lost
        super().__init__(
            f"`max_sequence_length` has to be at least {needed} but is {max_sequence_length}: "
            f"{lost!r} would be cut from the prompt {prompt!r}"
        )


def check_length(tokenizer: PreTrainedTokenizerBase, prompts: Iterable[str], max_sequence_length: int) -> None:
    """Raise `PromptTooLong` unless `tokenizer` makes at most `max_sequence_length` tokens of each prompt.

    The token that ends a prompt counts.
    """
    tokens = {prompt: tokenizer(prompt, verbose=False).input_ids for prompt in prompts}
    longest = max(tokens, key=lambda prompt: len(tokens[prompt]), default=None)
    if longest is not None and len(tokens[longest]) > max_sequence_length:
        kept = max_sequence_length - 1  # and the token that ends the prompt
        lost = tokenizer.decode(tokens[longest][kept:], skip_special_tokens=True)
        raise PromptTooLong(max_sequence_length, len(tokens[longest]), longest, lost)


def unknown_words(tokenizer: PreTrainedTokenizerBase, prompts: Iterable[str]) -> list[str]:
    """Return the words of `prompts` in which `tokenizer` finds something that it has no token for."""
    words = dict.fromkeys(word for prompt in prompts for word in prompt.split())
    unknown = tokenizer.unk_token_id
    return [word for word in words if unknown in tokenizer(word, add_special_tokens=False, verbose=False).input_ids]
