"""Stages for OpenVINO in a bundle: added once, served without PyTorch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from offramp.bundle import read_evidence, read_manifest, verify_tier
from offramp.errors import BundleError
from services.backends import openvino_backend
from services.backends.opening import Wish, backend_of, open_tier
from services.backends.tokenizing import TextEncoder
from services.backends.torch_backend import TorchBackend
from services.models.loading import load_tier
from tests.support import tiny
from tests.support.backends import all_exits
from training import export, recalibrate
from training.data import Columns
from training.export import ExportError
from training.recalibrate import RecalibrateSettings

TEXTS = ["a gorgeous film", "dull", "not a bad word about the long and winding plot"]
pytestmark = pytest.mark.timeout(300)

WITHOUT_TORCH = """
import sys
from pathlib import Path

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Missing())
import services.server
from services.backends import openvino_backend
from services.backends.opening import Wish, open_tier

for tier in ("small", "large"):
    backend = open_tier(Path(sys.argv[1]), tier, Wish("fp32", "openvino")).backend
    backend.prepare()
    states = backend.begin(backend.encode([("a gorgeous film", None)]))
    for stage in range(backend.stages):
        states, logits = backend.run_stage(stage, states)
        print(*logits[0].tolist())
"""


@pytest.fixture(scope="module")
def exported(exported_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny bundle with stages for OpenVINO, to do things to."""
    return Path(shutil.copytree(exported_bundle, tmp_path_factory.mktemp("exported") / "reviews"))


def test_the_bundle_gets_files_and_an_id_and_keeps_what_it_knows(
    tiny_bundle: Path, exported: Path
) -> None:
    before, after = read_manifest(tiny_bundle), read_manifest(exported)
    assert before.id != after.id
    assert before.tiers == after.tiers
    for tier in after.tiers:
        verify_tier(exported, after, tier.name)
        assert f"{tier.name}/openvino/stage0.xml" in after.files
    old, new = read_evidence(tiny_bundle, before), read_evidence(exported, after)
    assert np.array_equal(old.logits, new.logits)
    assert after.id in (exported / "README.md").read_text()
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in exported.rglob("*"))


def plain(bundle: Path, tier: str) -> TorchBackend:
    """PyTorch on a tier, whoever serves it."""
    model = load_tier(bundle, tier)
    backend = TorchBackend(model.network, TextEncoder.of(model.tokenizer, model.spec.max_tokens))
    backend.prepare()
    return backend


def test_evidence_is_taken_with_what_serves_on_as_many_threads_as_are_set(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    found = backend_of(load_tier(exported, "small"), "fp32")
    assert isinstance(found, openvino_backend.OpenVinoBackend)
    compiled = found._stages[0]._request.get_compiled_model()
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


@pytest.mark.parametrize("tier", ["small", "large"])
def test_openvino_gives_the_numbers_of_pytorch(exported: Path, tier: str) -> None:
    found = open_tier(exported, tier, Wish("fp32", "openvino")).backend
    found.prepare()
    wanted = plain(exported, tier)
    assert (found.name, wanted.name) == ("openvino-cpu-fp32", "torch-cpu-fp32")
    np.testing.assert_allclose(all_exits(found, TEXTS), all_exits(wanted, TEXTS), atol=1e-4)


def test_a_process_without_pytorch_serves_it(exported: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(exported)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    found = [[float(logit) for logit in line.split()] for line in done.stdout.splitlines()]
    wanted = []
    for tier in ("small", "large"):
        backend = plain(exported, tier)
        wanted += all_exits(backend, TEXTS[:1])[:, 0].tolist()
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_auto_takes_openvino_where_it_can_and_torch_is_torch(
    exported: Path, tiny_bundle: Path
) -> None:
    assert open_tier(exported, "small", Wish("fp32")).backend.name == "openvino-cpu-fp32"
    assert open_tier(exported, "small", Wish("fp32", "torch")).backend.name == "torch-cpu-fp32"
    assert open_tier(tiny_bundle, "small", Wish("fp32")).backend.name == "torch-cpu-fp32"


def test_what_nothing_can_run_is_an_error_with_the_remedy(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BundleError, match="offramp export"):
        open_tier(tiny_bundle, "large", Wish("fp32", "openvino"))
    with pytest.raises(BundleError, match="no evidence in int8"):
        open_tier(tiny_bundle, "large", Wish("int8"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BundleError, match=r"pip install -e .\.\[models\]"):
        open_tier(tiny_bundle, "large", Wish("fp32"))


def test_stages_that_compute_something_else_give_way_to_pytorch(
    exported: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(openvino_backend.TOLERANCES, "fp32", -1.0)
    assert open_tier(exported, "small", Wish("fp32")).backend.name == "torch-cpu-fp32"
    assert "is off by" in caplog.text
    with pytest.raises(BundleError, match="is off by"):
        open_tier(exported, "small", Wish("fp32", "openvino"))


def test_a_second_time_changes_nothing(exported: Path) -> None:
    before = {p: p.read_bytes() for p in exported.rglob("*") if p.is_file()}
    with pytest.raises(ExportError, match="already"):
        export.run(exported)
    assert {p: p.read_bytes() for p in exported.rglob("*") if p.is_file()} == before


def test_calibrating_keeps_the_stages(exported: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "reviews"))
    manifest = recalibrate.run(RecalibrateSettings(bundle, tiny.REVIEWS, Columns()))
    assert "large/openvino/stage0.xml" in manifest.files
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in bundle.rglob("*"))
    assert open_tier(bundle, "large", Wish("fp32", "openvino")).backend.stages == 3


def test_what_a_killed_export_left_is_no_hindrance(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "reviews"))
    left = bundle / "small" / export.STAGES
    left.mkdir(exist_ok=True)
    (left / "stage0.xml").write_text("half a stage")
    manifest = export.run(bundle)
    verify_tier(bundle, manifest, "small")
    assert read_manifest(bundle).id == manifest.id
