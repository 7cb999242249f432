"""What the peers serve is the large tier at full depth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from bench.peers import full_depth
from offramp.bundle import read_manifest
from services.backends.opening import backend_of
from services.models.loading import load_tier
from tests.support.backends import all_exits

TEXTS = ["a gorgeous film", "dull", "not a bad word about the long and winding plot"] * 4
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def model(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("peers") / "model"
    full_depth.write(tiny_bundle, folder, TEXTS)
    return folder


@pytest.fixture(scope="module")
def wanted(tiny_bundle: Path) -> np.ndarray:
    """Logits of the last exit, text by text."""
    backend = backend_of(load_tier(tiny_bundle, "large"), "fp32")
    backend.prepare()
    return np.concatenate([all_exits(backend, [text])[-1] for text in TEXTS])


def test_hugging_face_loads_it_and_gives_the_same_numbers(
    tiny_bundle: Path,
    model: Path,
    wanted: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path))
    found = AutoModelForSequenceClassification.from_pretrained(model, trust_remote_code=True).eval()
    assert list(found.config.id2label.values()) == list(read_manifest(tiny_bundle).labels)
    tokenizer = load_tier(tiny_bundle, "large").tokenizer
    for text, logits in zip(TEXTS, wanted, strict=True):
        given = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            np.testing.assert_allclose(found(**given).logits[0].numpy(), logits, atol=1e-4)


@pytest.mark.parametrize("how", ["openvino-fp32", "torch-fp32"])
def test_the_function_that_servers_call_gives_the_labels_of_the_last_exit(
    model: Path, wanted: np.ndarray, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path))
    monkeypatch.syspath_prepend(full_depth.SERVERS)
    served = import_module("model")  # as the servers import it
    about = json.loads((model / full_depth.ABOUT).read_text())
    try:
        labels = served.load(model, how, 1)(TEXTS)
    finally:
        del sys.modules["model"]
    assert labels == [about["labels"][label] for label in wanted.argmax(axis=-1)]


@pytest.mark.parametrize("times", [1, 10])
def test_the_pipeline_cuts_long_texts_and_labels_all_also_those_it_had_no_time_for(
    model: Path, tmp_path: Path, times: int
) -> None:
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps(["a long film " * 400, "dull"] * times))
    script = Path(full_depth.__file__).parent / "servers" / "pipeline_run.py"
    command = [sys.executable, str(script), str(model), "2", "0.001", str(texts)]
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules")}
    found = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    said = json.loads(found.stdout.splitlines()[-1])
    assert 2 <= said["answered"] <= 2 * 8
    assert len(said["labels"]) == 2 * times
