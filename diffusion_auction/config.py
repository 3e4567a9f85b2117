"""The schema of an experiment: every key of `conf/`, its type, its range, and what must agree with what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf
from pydantic import Field

from generative_auctions import schema
from generative_auctions.naming import request_name
from generative_auctions.schema import Section, matching
from launchers import LauncherConfig

Device = Annotated[str, matching(r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or a GPU by its number, as cuda:0")]


class ModelConfig(Section):
    """Which Flux, and how it is run."""

    name: str
    weights: str = Field(min_length=1, description="name on the hub, or a folder; tiny_flux: the embedded model")
    height: int = Field(ge=16, le=4096, multiple_of=8, description="pixels")
    width: int = Field(ge=16, le=4096, multiple_of=8, description="pixels")
    steps: int = Field(ge=1, le=1000, description="Euler steps")
    schedule: Literal["flux", "paper"] = Field(description="times of the steps: the pipeline's own, or the paper's")
    guidance_scale: float = Field(ge=0, le=100, allow_inf_nan=False, description="of guidance-distilled models")
    max_sequence_length: int = Field(ge=8, le=512, description="T5 tokens")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(description="of weights and activations")
    device: Device = Field(description="where the model runs; auto: a GPU if there is one")
    offload: bool = Field(description="keep the layers on the CPU and bring each to the device for its turn")
    batch: int = Field(ge=1, description="images made together; a part of the result only within rounding")
    max_branches: Annotated[int, Field(ge=1)] | None = Field(
        description="sample passes in one transformer call; null: all"
    )


class _Pickscore(Section):
    name: Literal["pickscore"]
    weights: str = Field(min_length=1, description="name on the hub, or a folder of transformers")
    processor: str = Field(min_length=1, description="name on the hub, or a folder of transformers")


class _AlignmentSection(Section):
    measure: Literal["cosine", "probability"] = Field(
        description="probability: P(agent's prompt | image) against the base prompt"
    )
    batch: int = Field(ge=1, description="images scored together")
    device: Device = Field(description="of the measure of quality too")


class ClipAlignmentConfig(_AlignmentSection):
    """Which model of open_clip judges similarity."""

    name: Literal["clip", "tiny_clip"]
    model: str = Field(min_length=1, description="open_clip's model name; tiny_clip: the embedded one")
    pretrained: str | None = Field(description="open_clip's tag or a file")


class PickscoreAlignmentConfig(_AlignmentSection, _Pickscore):
    """PickScore judges similarity."""


AlignmentConfig = ClipAlignmentConfig | PickscoreAlignmentConfig


class TwoPromptQuality(Section):
    """A good against a bad prompt, by the alignment model.

    `clip` takes their log-odds with the model's logit scale, `paper` P(good) in a softmax of raw cosines.
    """

    good_prompt: str = Field(min_length=1, description="describes a good image")
    bad_prompt: str = Field(min_length=1, description="describes a bad image")
    name: Literal["clip", "paper"]


class AestheticQuality(Section):
    """LAION's aesthetic predictor."""

    name: Literal["aesthetic"]
    head: str = Field(min_length=1, description="MLP or linear: a file, or owner/repository/filename of the hub")
    model: str = Field(min_length=1, description="open_clip's model name")
    pretrained: str | None = Field(description="open_clip's tag or a file")


class PickscoreQuality(_Pickscore):
    """PickScore of image and base prompt."""


QualityConfig = TwoPromptQuality | AestheticQuality | PickscoreQuality


class PromptsConfig(Section):
    """Scenarios, written out or in a file."""

    path: str | None = Field(description="a JSON file with such a list, for prompts=file")
    entries: list[dict[str, Any]] | None = Field(
        description='a list of {"base_prompt": …, "agent1_prompt": …, "agent2_prompt": …}'
    )


class ExplicitBids(Section):
    """Bid vectors, one by one."""

    kind: Literal["explicit"]
    vectors: list[list[float]] = Field(
        min_length=1, description="[[0.7,0.3],…], one bid per agent, each finite and not negative"
    )


class GridBids(Section):
    """Every combination of one bid per axis."""

    kind: Literal["grid"]
    axes: list[list[float]] = Field(min_length=1, description="[[0,0.5,1],[0,1]], the bids of each agent")


class SimplexBids(Section):
    """Two agents who bid (b, 1 − b)."""

    kind: Literal["simplex"]
    values: list[float] = Field(min_length=1, description="the bids b of the first agent, from 0 to 1")


class CompositionConfig(Section):
    """How bids become weights over coalitions."""

    name: Literal["recursive", "pairwise", "lovasz", "additive", "prompt_only"]


class VcgConfig(Section):
    """The paper's mechanism."""

    name: Literal["vcg"]
    payment_floor: Literal["none", "zero"] = Field(description="zero: no payment is negative")


class VcgPoolConfig(Section):
    """VCG over a pool that does not depend on the bids."""

    name: Literal["vcg_pool"]
    compositions: (
        Annotated[list[Literal["base", "one_hot", "joint", "coalitions"] | list[float]], Field(min_length=1)] | None
    ) = Field(
        description="names or bid vectors whose images are the pool; null: one_hot and joint, with recorded scores all"
    )
    samples: Annotated[int, Field(ge=1)] | None = Field(
        description="of each composition only the samples below this; null: all"
    )


class MyersonConfig(Section):
    """Payments from the allocation curve."""

    name: Literal["myerson"]
    curve: int = Field(ge=1, le=1000, description="bids below the submitted one at which the curve is planned")


class PlainMechanismConfig(Section):
    """A mechanism without options: each pays its bid's worth, Shapley cost shares, or the paper's baseline."""

    name: Literal["first_price", "shapley", "single_winner"]


MechanismConfig = VcgConfig | VcgPoolConfig | MyersonConfig | PlainMechanismConfig


_FOLDER = "letters, digits, _, . and -, no . or - first, and not multirun: it names a folder"


class ExperimentConfig(Section):
    """A whole experiment, as Hydra composed it."""

    name: Annotated[str, matching(r"(?!multirun$)\w[\w.-]*", _FOLDER)] = Field(
        description="of the experiment; a sweep sets its own"
    )
    action: Literal["run", "plan", "evaluate", "compare", "report", "fetch"] = Field(description="what to do")
    scores: str | None = Field(
        description="for action=evaluate: a .csv or .parquet with the columns scenario, sample, bid_1 … bid_n, "
        "alignment_1 … alignment_n and, if measured, alignment_base and quality"
    )
    images_from: str | None = Field(
        description="a run whose images are taken over where this one would make the same: with another measure of "
        "alignment or quality, another mechanism, fewer samples"
    )
    runs: list[str] | None = Field(description="for action=compare: directories of finished runs")
    optimize: str | list[str] | None = Field(
        None,
        description="with -m and a sweeper that optimizes, as Optuna's: a number of metrics.json, as "
        "welfare.vcg.relative_gain_mean, or a list of several",
    )
    verify: bool = Field(False, description="for action=fetch: check digests of what is in the cache, not sizes alone")
    run_dir: str = Field(
        min_length=1,
        description="where everything is stored. Without it: outputs/diffusion_auction/ and name, or a name that "
        "follows from what was asked, so that the same command finds it again; with -m: a directory of its own in "
        "outputs/diffusion_auction/multirun/",
    )
    seed: int = Field(ge=0, lt=2**63, description="of all noise and all bootstraps")
    samples: int = Field(ge=1, le=100_000, description="k, the candidate images per composition")
    scenarios: list[Annotated[int, Field(ge=0)]] | None = Field(
        description="which entries of the prompts to use, from 0; null: all"
    )
    model: ModelConfig = Field(description="the Flux model")
    alignment: AlignmentConfig = Field(
        discriminator="name", description="who judges how similar image and prompt are; follows the model"
    )
    quality: QualityConfig = Field(discriminator="name", description="how good an image is")
    prompts: PromptsConfig = Field(description="scenarios: a base prompt and a prompt of each agent")
    bids: ExplicitBids | GridBids | SimplexBids = Field(discriminator="kind", description="the bid vectors")
    composition: CompositionConfig = Field(description="from bids to weights over coalitions of prompts")
    mechanism: MechanismConfig = Field(
        discriminator="name",
        description="which image wins and who pays what; the others are evaluated too, as far as the images allow",
    )
    launcher: LauncherConfig = Field(description="where the work runs; each takes up what another left")


PRESENTATION = (
    *("action", "scores", "runs", "verify", "optimize", "images_from", "run_dir", "launcher"),
    *("model.device", "model.offload", "alignment.device"),
)
"""Keys that may differ between two runs of one directory: they do not decide what is made."""


ANOTHER = "name=NAME or run_dir=DIR"
"""How a user asks for another run directory, for messages."""

_NOT_IN_NAMES = ("name", *(key for key in PRESENTATION if key not in ("scores", "runs")))


def auction_name(action: str, scores: str | None, runs: Any) -> str:
    """Return the default of `name`: `single`, `evaluate` for recorded scores, or `comparison`."""
    if action == "evaluate" or (action == "report" and scores):
        return "evaluate"
    return "comparison" if action == "compare" or (action == "report" and runs) else "single"


def auction_directory(name: str, *, _root_: DictConfig) -> str:
    """Return the folder of a `run_dir` that is not given: `name`, and what else was asked unless `name` was given."""
    return request_name(name, _root_, named_by="name", unnamed=_NOT_IN_NAMES)


OmegaConf.register_new_resolver("auction_name", auction_name, replace=True)  # conf/diffusion_auction.yaml asks for them
OmegaConf.register_new_resolver("auction_directory", auction_directory, replace=True)


def read_config(tree: dict[str, Any]) -> ExperimentConfig:
    """Check the composed configuration `tree`. Raises `RequestError` naming the first key that is wrong."""
    return schema.read_config(ExperimentConfig, tree)


def identity(config: ExperimentConfig) -> dict[str, Any]:
    """Return the flat keys that decide what a run makes: what two runs of one directory must share."""
    return schema.config_identity(config, PRESENTATION)
