"""`action=fetch` against a hub on loopback that refuses, breaks off and damages; and runs from the cache it leaves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from diffusion_auction import __main__ as command_line
from diffusion_auction.actions.experiment import prepare
from diffusion_auction.actions.fetch import check_fetched
from diffusion_auction.actions.run import run
from diffusion_auction.generation.loading import check_prompts
from generative_auctions.errors import RequestError
from tests.hub import Hub, serving
from tests.small_models import mlp_state, write_pickscore
from tests.support import WEIGHTS, application_command, configured, environment

FLUX = "maker/tiny-flux"
LARGEST = "transformer/diffusion_pytorch_model.safetensors"
DECOYS = {
    "tiny-flux.safetensors": b"all of it in one file",
    "text_encoder_2/model.fp16.safetensors": b"a variant",
    "vae/diffusion_pytorch_model.bin": b"a second format",
    "README.md": b"# Tiny",
}
TOKEN = "hf_secret"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub with a pipeline, for a process that knows no other, has no token yet, and does not wait to ask again."""
    with serving() as hub:
        hub.accounts[TOKEN] = "ada"
        hub.add(FLUX, WEIGHTS / "flux", **DECOYS)
        settings = {
            "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_CACHE": str(tmp_path / "home" / "hub"),
            "HF_TOKEN_PATH": str(tmp_path / "home" / "token"),
            "HF_HUB_OFFLINE": False,
        }
        for name, value in settings.items():
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        monkeypatch.setattr("diffusion_auction.weights.hub.WAITS", (0.0,) * 3)
        monkeypatch.setenv("HF_TOKEN", "")
        monkeypatch.chdir(tmp_path)
        yield hub


@pytest.fixture
def fetch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit status, output and errors of `action=fetch model.weights=…` with further overrides."""

    def call(*overrides: str) -> tuple[int, str, str]:
        argv = ["diffusion_auction", "action=fetch", f"model.weights={FLUX}", *overrides]
        monkeypatch.setattr(sys, "argv", argv)
        status = command_line.main()
        out, err = capsys.readouterr()
        assert TOKEN not in out + err
        assert "Traceback" not in err
        return status, out, err

    return call


def in_cache(tmp_path: Path) -> set[str]:
    """Names of the files in the snapshots of the cache."""
    found = (tmp_path / "home" / "hub").glob("models--*/snapshots/*/**/*")
    return {"/".join(path.relative_to(tmp_path / "home" / "hub").parts[3:]) for path in found if path.is_file()}


def test_prompts_that_are_too_long_are_refused_with_the_tokenizer_alone(hub: Hub, tmp_path: Path) -> None:
    config = configured(f"model.weights={FLUX}", "model.max_sequence_length=8").model
    with pytest.raises(
        RequestError, match=r"model\.max_sequence_length = 8: expected at least 9, .*'bottle' would be cut"
    ):
        check_prompts(config, ["A swimming pool outdoors, featuring Gatorade bottle", "A swimming pool outdoors"])
    assert in_cache(tmp_path)
    assert {name.partition("/")[0] for name in in_cache(tmp_path)} == {"tokenizer_2"}


# --- from the hub to an image ----------------------------------------------------------------------


def test_what_is_fetched_makes_images_where_there_is_no_network(hub: Hub, tmp_path: Path) -> None:
    hub.repositories[FLUX].gated, hub.repositories[FLUX].readers = True, {"ada"}
    (tmp_path / ".env").write_text(f"# the lab's\nexport HF_TOKEN='{TOKEN}'\n")
    known = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}

    def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = application_command("diffusion_auction", f"model.weights={FLUX}", *arguments)
        env = environment() | known | variables
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)

    done = call("action=fetch")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"export HF_HOME={tmp_path / 'home'}\n" in done.stdout
    assert not hub.leaked
    run = call("samples=1", "run_dir=run", HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    assert run.returncode == 0, run.stderr
    assert len(list((tmp_path / "run" / "images").rglob("*.png"))) == 3
    assert all(TOKEN not in path.read_text() for path in (tmp_path / "run").glob("*.*") if path.suffix != ".parquet")


def test_only_what_is_loaded_is_downloaded(hub: Hub, fetch: Callable, tmp_path: Path) -> None:
    status, out, err = fetch()
    assert status == 0, err
    assert in_cache(tmp_path) == hub.repositories[FLUX].files.keys() - DECOYS.keys()
    assert "14 files, 9.4 MB" in out


def test_a_second_call_downloads_nothing(hub: Hub, fetch: Callable) -> None:
    fetch()
    hub.requests.clear()
    assert fetch()[0] == 0
    assert not [path for method, path, _ in hub.requests if "/resolve/" in path or method == "HEAD"]


def test_measures_are_fetched_too(hub: Hub, fetch: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pickscore(tmp_path / "pickscore")
    torch.save(mlp_state(), tmp_path / "head.pth")
    hub.add("maker/pickscore", tmp_path / "pickscore", **{"pytorch_model.bin": b"a second format"})
    hub.add("maker/heads", WEIGHTS, **{"head.pth": (tmp_path / "head.pth").read_bytes()})
    names = {key: f"alignment.{key}=maker/pickscore" for key in ("weights", "processor")}
    clip = ("quality.model=tiny_clip", "quality.pretrained=null")
    measures = ("alignment=pickscore", *names.values(), "quality=aesthetic", "quality.head=maker/heads/head.pth", *clip)
    status, out, err = fetch(*measures)
    assert status == 0, err
    assert out.count("access     maker/pickscore") == 1
    assert {"head.pth", "preprocessor_config.json", "model.safetensors"} & in_cache(tmp_path)
    assert "pytorch_model.bin" not in in_cache(tmp_path)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config = configured(*measures, f"model.weights={FLUX}", "samples=1", f"run_dir={tmp_path / 'run'}")
    check_fetched(config)
    run(prepare(config))
    assert (tmp_path / "run" / "metrics.json").exists()


def test_embedded_weights_and_folders_need_nothing(hub: Hub, fetch: Callable) -> None:
    for weights in ("tiny_flux", str(WEIGHTS / "flux")):
        status, out, _ = fetch(f"model.weights={weights}")
        assert (status, out.partition(":")[0]) == (0, "nothing to fetch")
    assert hub.requests == []


# --- refused, before a byte is downloaded ----------------------------------------------------------


def gated(hub: Hub) -> None:
    hub.repositories[FLUX].gated, hub.repositories[FLUX].readers = True, {"grace"}


def private(hub: Hub) -> None:
    hub.repositories[FLUX].readers = {"grace"}


def bare(hub: Hub) -> None:
    del hub.repositories[FLUX].files["model_index.json"]


REFUSALS = {
    "gated, no token": (gated, "", f"model.weights = {FLUX}: expected a token, as this repository is gated: ask for"),
    "gated, not granted": (gated, TOKEN, "access to this gated repository, which ada has not: ask for it at HUB/maker"),
    "private, no token": (private, "", "that may be read without a token"),
    "private, another's": (private, TOKEN, "that ada may read"),
    "unknown": (lambda hub: hub.repositories.clear(), TOKEN, f"model.weights = {FLUX}: expected a repository of HUB"),
    "no pipeline": (bare, TOKEN, "it has no model_index.json"),
    "an unknown token": (lambda hub: hub.accounts.clear(), TOKEN, "HF_TOKEN of the environment = (hidden): expected"),
    "no token at all": (lambda hub: None, f"{TOKEN} x", "one word without spaces"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_may_not_be_read_is_one_line_and_status_2(
    refusal: str, hub: Hub, fetch: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    misbehave, token, expected = REFUSALS[refusal]
    misbehave(hub)
    monkeypatch.setenv("HF_TOKEN", token)
    status, _, err = fetch()
    assert status == 2
    assert len(err.splitlines()) == 1, err
    assert expected.replace("HUB", hub.url) in err
    assert not [path for _, path, _ in hub.requests if "/resolve/" in path]
    assert in_cache(tmp_path) == set()


def test_one_repository_that_may_not_be_read_keeps_all_from_being_downloaded(hub: Hub, fetch: Callable) -> None:
    status, _, err = fetch("quality=aesthetic", "quality.model=tiny_clip", "quality.pretrained=null")
    assert status == 2
    assert "quality.head = camenduru/improved-aesthetic-predictor: expected a repository" in err
    assert not [path for _, path, _ in hub.requests if "/resolve/" in path]


@pytest.mark.parametrize("weights", ["./nowhere", "a b", "a/b/c"])
def test_neither_a_folder_nor_a_name(weights: str, hub: Hub, fetch: Callable) -> None:
    status, _, err = fetch(f"model.weights='{weights}'")
    assert (status, hub.requests) == (2, [])
    assert f"model.weights = {weights}: expected something that is on this disk or a name of the hub" in err


def test_too_little_room(hub: Hub, fetch: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(1, 0, 1_000_000))
    status, _, err = fetch()
    assert status == 2
    assert f"HF_HOME = {tmp_path / 'home'}: expected a disk with 9.4 MB of room; this one has 1.0 MB" in err


def test_offline_by_the_environment(hub: Hub, fetch: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    status, _, err = fetch()
    assert status == 2
    assert err.startswith("HF_HUB_OFFLINE = 1: expected 0")


# --- broken off and damaged ------------------------------------------------------------------------


def test_a_download_goes_on_where_it_broke_off(hub: Hub, fetch: Callable) -> None:
    hub.breaks[LARGEST] = [1_000_000, 2_000_000]
    assert fetch()[0] == 0
    assert hub.served(LARGEST)[1::2] == ["bytes=0-", "bytes=1000000-", "bytes=3000000-"]


def test_the_next_call_goes_on_where_the_last_gave_up(hub: Hub, fetch: Callable) -> None:
    hub.breaks[LARGEST] = [1_000_000, 0, 0, 0]
    status, _, err = fetch()
    assert status == 1
    assert "the same command goes on from there" in err
    hub.requests.clear()
    assert fetch()[0] == 0
    assert hub.served(LARGEST)[1::2] == ["bytes=1000000-"]


def test_a_server_without_ranges_begins_anew(hub: Hub, fetch: Callable) -> None:
    hub.breaks[LARGEST], hub.ranges = [1_000_000], False
    assert fetch()[0] == 0


def test_a_hub_that_is_busy_is_asked_again(hub: Hub, fetch: Callable) -> None:
    hub.unavailable = 2
    assert fetch()[0] == 0
    hub.unavailable = 1000
    status, _, err = fetch()
    assert status == 1
    assert f"{hub.url} does not answer" in err


@pytest.mark.parametrize("token", ["", TOKEN])
def test_a_page_instead_of_an_answer(token: str, hub: Hub, fetch: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    hub.portal = True
    status, _, err = fetch()
    assert status == 1
    assert f"{hub.url} does not answer as a hub would" in err


@pytest.mark.parametrize("name", [LARGEST, "vae/config.json"])
def test_a_damaged_file_is_downloaded_once_more(name: str, hub: Hub, fetch: Callable) -> None:
    hub.damaged[name] = 1
    assert fetch()[0] == 0


@pytest.mark.parametrize("name", [LARGEST, "vae/config.json"])
def test_a_file_that_stays_damaged_is_named(name: str, hub: Hub, fetch: Callable, tmp_path: Path) -> None:
    hub.damaged[name] = 1000
    status, _, err = fetch()
    assert status == 1
    assert f"{name} of {FLUX} came damaged twice" in err
    assert LARGEST not in in_cache(tmp_path) or name != LARGEST


def test_damage_on_the_disk_is_found_by_size_or_if_asked_by_digest(hub: Hub, fetch: Callable, tmp_path: Path) -> None:
    fetch()
    (path,) = tmp_path.glob(f"home/hub/*/snapshots/*/{LARGEST}")
    whole = path.read_bytes()
    for damaged, request in ((whole[:-1], ()), (whole[:-1] + b"?", ("verify=true",))):
        path.resolve().write_bytes(damaged)
        hub.requests.clear()
        assert fetch(*request)[0] == 0
        assert path.read_bytes() == whole
        assert len(hub.served("model.safetensors")) == 2  # to the hub and to its storage, for this file alone


# --- before work is submitted ----------------------------------------------------------------------


def test_weights_that_nodes_would_not_find(hub: Hub, fetch: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(f"model.weights={FLUX}")
    check_fetched(configured())
    check_fetched(config)  # not in the cache, but the hub gives it
    gated(hub)
    with pytest.raises(RequestError, match=r"model\.weights = maker/tiny-flux: .*action=fetch brings them.*gated"):
        check_fetched(config)
    hub.repositories[FLUX].readers = None
    fetch()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    check_fetched(config)
    for path in Path("home/hub").glob(f"*/snapshots/*/{LARGEST}"):
        path.unlink()
    with pytest.raises(RequestError, match="offline"):
        check_fetched(config)
