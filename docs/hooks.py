"""Add to the site what stands elsewhere in the repository: README, changelog, model card and the API reference."""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LOG = logging.getLogger("mkdocs.hooks")
ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "diffusion_auction/tiny_flux/weights/MODEL_CARD.md": "model_card.md",
}
"""Texts outside of docs/ that are pages of the site, each with the name of its page."""

PACKAGES = ("generative_auctions", "launchers", "diffusion_auction", "agt_tournament")

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
"""A Markdown link or image whose target is a path: `!` of an image, text, path, `#anchor`."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that have no file in docs/."""
    for source, name in PAGES.items():
        text = with_site_links((ROOT / source).read_text(encoding="utf-8"), (ROOT / source).parent)
        files.append(File.generated(config, name, content=text))
    loader = griffe.GriffeLoader(search_paths=[ROOT])
    for package in PACKAGES:
        loader.load(package)
        page = reference(package, loader.modules_collection)
        files.append(File.generated(config, f"reference/{package}.md", content=page))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Rewrite the links of a guide that lead out of docs/."""
    written_here = page.file.src_uri in PAGES.values() or page.file.src_uri.startswith("reference/")
    return markdown if written_here else with_site_links(markdown, DOCS)


# --- links -----------------------------------------------------------------------------------------------


def with_site_links(text: str, folder: Path) -> str:
    """Return `text`, which lies in `folder` of the repository, with links that hold in the site.

    A link to a page or a figure becomes relative to docs/. A link to another file of the repository, which the site
    does not have, becomes the path of that file. A link to nothing stays, and the strict build reports it.
    """

    def rewritten(link: re.Match[str]) -> str:
        image, words, path, anchor = link.groups(default="")
        target = (folder / path).resolve()
        if not target.exists() or not target.is_relative_to(ROOT):
            return link[0]
        place = target.relative_to(ROOT).as_posix()
        if place in PAGES or target.is_relative_to(DOCS):
            return f"{image}[{words}]({PAGES.get(place) or target.relative_to(DOCS).as_posix()}{anchor})"
        return words if place in words else f"{words} (`{place}`)"

    return LINK.sub(rewritten, text)


# --- the API reference -----------------------------------------------------------------------------------


def reference(package: str, sources: griffe.ModulesCollection) -> str:
    """Return the page of `package`: for each of its rooms, the names of its `__all__` that no room before it has.

    A package without any `__all__` is imported from by its modules: then each module is a room. `sources` holds the
    parsed source of `package` and of those below it.
    """
    rooms = [room for room in _rooms(package) if hasattr(room, "__all__")]
    parts = [f"# `{package}`", _described(importlib.import_module(package))]
    seen: set[str] = set()
    for room in rooms:
        homes = [home for name in room.__all__ if (home := _home(room, name)) not in seen]
        seen.update(homes)
        if homes and room.__name__ != package:
            parts += [f"## `{room.__name__}`", _described(room)]
        if homes:
            parts.append(f"Import these names from `{room.__name__}`.")
        for home in homes:
            bare = not sources[home].has_docstring
            if bare:
                LOG.warning("%s is public and has no docstring", home)
            options = f"heading_level: 3, show_root_full_path: false, show_if_no_docstring: {bare}".lower()
            parts.append(f"::: {home}\n    options: {{{options}}}")
    if not rooms:
        parts += [f"::: {package}.{module}" for module in sources[package].modules if not module.startswith("_")]
    return "\n\n".join(parts) + "\n"


def _rooms(package: str) -> Iterator[ModuleType]:
    """Import `package` and the packages inside it."""
    root = importlib.import_module(package)
    yield root
    for _, name, is_package in pkgutil.walk_packages(root.__path__, f"{package}."):
        if is_package:
            yield importlib.import_module(name)


def _described(module: ModuleType) -> str:
    return inspect.getdoc(module) or ""


def _home(room: ModuleType, name: str) -> str:
    """Return the dotted path under which the source defines the public `name` of `room`."""
    value = getattr(room, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        return f"{value.__module__}.{value.__qualname__}"
    defined = re.compile(rf"^{name}\b[^=\n]*=", re.MULTILINE)
    modules = {place: module for place, module in sys.modules.items() if place.split(".")[0] in PACKAGES}
    for place, module in modules.items():
        if getattr(module, name, None) is value and defined.search(inspect.getsource(module)):
            return f"{place}.{name}"
    raise LookupError(f"no module defines {room.__name__}.{name}")
