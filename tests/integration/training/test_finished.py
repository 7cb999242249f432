"""A new small tier for the large tier of a finished bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from offramp.bundle import read_manifest
from services.models.loading import load_tier
from tests.support import tiny
from training import large, train
from training.finished import FinishedError
from training.prepare import prepare
from training.settings import LargeSettings, SmallSettings

SMALL = SmallSettings(kind="static", epochs=1, augment=1, embedding=8, width=8)


def taking(bundle: Path, out: Path, **changes: object):
    """Settings of a run that takes the large tier of a bundle."""
    changes = {"small": SMALL, "max_tokens": 0, **changes}
    found = tiny.settings(out, Path("no-backbone"), **changes)
    return replace(found, large=LargeSettings(bundle=bundle))


@pytest.fixture
def unseen(tmp_path: Path) -> Path:
    """Texts that the tiny bundle never saw, nor heard of."""
    rows = (f"{n % 2}\t{'good' if n % 2 else 'bad'} thing number {n}" for n in range(200))
    file = tmp_path / "unseen.tsv"
    file.write_text("\n".join(["label\ttext", *rows]) + "\n")
    return file


def test_the_large_tier_stays_to_the_bit_and_the_small_one_is_new(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = train.run(taking(tiny_bundle, tmp_path / "out"))
    before, after = read_manifest(tiny_bundle), read_manifest(bundle)
    weights = [load_tier(folder, "large").network.state_dict() for folder in (tiny_bundle, bundle)]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
    assert [e.name for e in after.tier("large").exits] == [
        e.name for e in before.tier("large").exits
    ]
    assert after.tier("large").max_tokens == before.tier("large").max_tokens
    assert after.tier("small").exits != before.tier("small").exits
    record = json.loads((bundle / "training.json").read_text())
    assert record["large_tier"]["id"] == before.id
    assert record["backbone"] == "backbone"
    assert f"as bundle `reviews` has it, id `{before.id}`" in (bundle / "README.md").read_text()


def test_texts_that_the_large_tier_may_have_learned_are_not_held_out(
    tiny_bundle: Path, tmp_path: Path, unseen: Path
) -> None:
    with pytest.raises(FinishedError, match=r"may have learned.*--seed.*--validation"):
        prepare(taking(tiny_bundle, tmp_path / "out", seed=1))
    named = taking(tiny_bundle, tmp_path / "out", seed=1, validation=unseen, hold_out=None)
    assert len(prepare(named).parts.held_out) == 200


def test_other_labels_are_refused(tiny_bundle: Path, tmp_path: Path, unseen: Path) -> None:
    settings = taking(tiny_bundle, tmp_path / "out", rename={}, validation=unseen, hold_out=None)
    with pytest.raises(FinishedError, match=r"negative.*the data has.*--rename"):
        prepare(settings)


def test_a_finished_tier_answers_on_the_device_that_is_asked_for(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(taking(tiny_bundle, tmp_path / "out"))
    # Stands for a GPU, which few machines that test have.
    monkeypatch.setattr(large, "resolve", lambda name: torch.device("meta"))
    network, _ = large.train(prepared.parts.fit, prepared.settings)
    assert {weights.device.type for weights in network.parameters()} == {"meta"}
    assert not network.training


def test_a_finished_tier_is_not_trained(tiny_bundle: Path, tmp_path: Path) -> None:
    settings = taking(tiny_bundle, tmp_path / "out")
    both = replace(settings, large=LargeSettings(bundle=tiny_bundle, epochs=2))
    with pytest.raises(FinishedError, match="taken as it is; leave out"):
        prepare(both)
