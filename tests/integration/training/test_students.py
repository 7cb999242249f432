"""Students in whole runs: whichever kind is asked for or chosen, the bundle serves it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from offramp.bundle import Manifest, read_evidence, read_manifest
from offramp.decision.confidence import Measure
from offramp.decision.frontier import Frontier
from services.models.loading import load_tier
from tests.support import tiny
from training import train
from training.settings import LargeSettings, SmallSettings
from training.students.fresh import KINDS

QUICK = {"epochs": 1, "least_steps": 40, "augment": 1, "embedding": 16, "width": 16}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_backbone(tmp_path_factory.mktemp("backbone"))


def trained(out: Path, backbone: Path, **small: object) -> tuple[Path, Manifest]:
    bundle = train.run(
        tiny.settings(
            out,
            backbone,
            limit=600,
            large=LargeSettings(backbone=str(backbone), exits=(1, 3), epochs=1),
            small=SmallSettings(**small, **QUICK),
        )
    )
    return bundle, read_manifest(bundle)


@pytest.mark.parametrize("kind", [*KINDS, "narrow"])
def test_a_student_of_every_kind_is_served_from_its_bundle(
    tmp_path: Path, backbone: Path, kind: str
) -> None:
    asked = {"kind": "shallow", "narrow": 16} if kind == "narrow" else {"kind": kind}
    bundle, manifest = trained(tmp_path / "out", backbone, **asked)
    tier = manifest.tier("small")
    assert [spec.name for spec in tier.exits] == ["small"]
    assert tier.kind == ("multi_exit" if asked["kind"] == "shallow" else "student")
    assert load_tier(bundle, "small").network.stages == 1
    evidence = read_evidence(bundle, manifest)
    assert evidence.exit_names == ("small", "large@1", "large@3")
    assert np.isfinite(evidence.logits).all()
    cheapest = Frontier(evidence.choosing, Measure.MAX_PROB).points[-1].forecast
    assert cheapest.mean_cost < 1.0


def test_what_was_chosen_and_what_it_was_chosen_from_is_on_record(
    tmp_path: Path, backbone: Path
) -> None:
    bundle, _ = trained(tmp_path / "out", backbone, kind="auto")
    choice = json.loads((bundle / "training.json").read_text())["small_selection"]
    network = json.loads((bundle / "small" / "network.json").read_text())
    assert choice["name"] == network.get("kind", "shallow")
    assert {*choice["prices"], *choice["untried"]} >= {"static", "conv", "shallow", "none"}
    assert choice["note"]
