"""Saved pools: what is written comes back, and what cannot be used says what it must hold."""

from __future__ import annotations

import numpy as np
import pytest

from bench.guarantee.pool import PoolError, gathered, save, saved
from tests.support.cascade import make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("pool") / "bundle")


def test_a_saved_pool_comes_back_with_the_bundles_exits_and_readouts(bundle, tmp_path):
    pool = gathered(bundle, [])
    save(pool, tmp_path / "deep/pool.safetensors")
    again = saved(bundle, tmp_path / "deep/pool.safetensors")
    assert np.array_equal(again.confidences("max_prob"), pool.confidences("max_prob"))
    assert np.array_equal(again.correct(), pool.correct())
    assert np.array_equal(again.costs(), pool.costs())


def test_an_npz_of_any_size_is_a_pool(bundle, tmp_path):
    logits = np.random.default_rng(0).normal(size=(4, 30, 2))
    arrays = {"logits": logits, "labels": np.zeros(30), "tokens": np.full(30, 9)}
    np.savez(tmp_path / "pool.npz", **arrays)
    assert saved(bundle, tmp_path / "pool.npz").logits == pytest.approx(logits)


@pytest.mark.parametrize(
    "arrays",
    [
        {"logits": np.zeros((3, 5, 2)), "labels": np.zeros(5), "tokens": np.ones(5)},
        {"logits": np.zeros((4, 5, 2)), "labels": np.zeros(4), "tokens": np.ones(5)},
        {"logits": np.zeros((4, 5, 2)), "labels": np.zeros(5)},
    ],
)
def test_what_does_not_fit_the_bundle_is_refused(bundle, tmp_path, arrays):
    np.savez(tmp_path / "pool.npz", **arrays)
    with pytest.raises(PoolError, match="it must hold logits"):
        saved(bundle, tmp_path / "pool.npz")


def test_a_file_that_is_no_pool_is_refused(bundle, tmp_path):
    for name in ("pool.npz", "pool.safetensors", "missing.npz"):
        if name != "missing.npz":
            (tmp_path / name).write_text("no pool")
        with pytest.raises(PoolError, match="cannot be used"):
            saved(bundle, tmp_path / name)
