"""Names of open_clip's models and of their weights."""

from __future__ import annotations

from pathlib import Path

import open_clip

from generative_auctions.errors import RequestError


def check_names(group: str, model: str, pretrained: str | None) -> None:
    """Refuse what open_clip does not know, and a tag whose weights it would run with another activation.

    Raises `RequestError` naming `group`.model or `group`.pretrained.
    """
    if model not in open_clip.list_models():
        raise RequestError(f"{group}.model", model, "tiny_clip or a name of open_clip.list_models()")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained not in tags:
        if not Path(str(pretrained)).is_file():
            raise RequestError(f"{group}.pretrained", pretrained, f"a file or one of {', '.join(tags)}")
        return
    needed = open_clip.get_pretrained_cfg(model, pretrained).get("quick_gelu", False)
    if needed and not open_clip.get_model_config(model).get("quick_gelu", False):  # of which open_clip only warns
        right = f"{model}-quickgelu, which has the activation that {pretrained} was trained with"
        raise RequestError(f"{group}.model", model, right)
