"""Backbones that are no BERT, from the file to answers over real sockets."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner

from cli.app import app
from offramp.v1 import router_pb2_grpc
from tests.support import encoders, tiny
from tests.support.whole import batch, cascade

TEXTS = (
    "wonderful",
    "a warm and funny film",
    "dull , slow and far too long , and not without charm , but hardly a good film at all",
)


def make_backbone(folder: Path, family: str) -> Path:
    tokenizer = tiny.make_tokenizer()
    tokenizer.save_pretrained(folder)
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 64, "initializer_range": 0.05}
    encoders.make(family, **sizes).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["modernbert", "deberta-v2"])
async def test_what_was_trained_is_served(family: str, tmp_path: Path) -> None:
    options = {
        "--backbone": make_backbone(tmp_path / "backbone", family),
        "--out": tmp_path / "bundle",
        "--small": "shallow",
        "--exits": "2,4",
        "--epochs": 1,
        "--small-epochs": 1,
        "--limit": 600,
        "--max-tokens": 48,
    }
    words = [str(word) for option in options.items() for word in option]
    found = CliRunner().invoke(app, ["train", str(tiny.REVIEWS), *words, "--no-export"])
    assert found.exit_code == 0, found.output
    async with (
        cascade(tmp_path / "bundle", tmp_path, {"objective": {"speedup": 1}}) as router,
        grpc.aio.insecure_channel(f"127.0.0.1:{router.server.port}") as channel,
    ):
        stub = router_pb2_grpc.RouterServiceStub(channel)
        together = await batch(stub, TEXTS, full_depth=True)
        assert {answer.exit for answer in together} == {"large@4"}
        for text, one in zip(TEXTS, together, strict=True):
            (alone,) = await batch(stub, [text], full_depth=True)
            assert alone.confidence == pytest.approx(one.confidence, abs=1e-4)
        assert {answer.exit for answer in await batch(stub, TEXTS)} <= {
            "small", "large@2", "large@4",
        }  # fmt: skip
