"""The certified region: what the library certifies, and refusals with what would do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offramp.decision.guarantee import Loss, Terms, certified
from offramp.decision.risk import Method, TooThinError
from offramp.decision.simulate import simulate
from offramp.decision.thresholds import ExitShares
from training.report import certified as region
from training.report.page import Note
from training.report.wording import percent, times


@pytest.fixture(scope="module")
def tables(sources):
    """Of the section, in their order."""
    return region.section(sources).blocks


def router_says(sources, family, terms):
    """What the cell must show: its text, and what its note must hold."""
    try:
        point, _ = certified(family, sources.evidence.certifying, terms)
    except TooThinError as error:
        return "refused", "loses too much" if error.needed is None else f"{error.needed:,}"
    seen = simulate(sources.measured, point.thresholds, sources.measure)
    return times(seen.speedup), f"at {percent(seen.accuracy)}"


@pytest.mark.parametrize(("place", "loss"), list(enumerate(Loss)))
def test_every_cell_is_what_the_router_would_certify(sources, tables, place, loss):
    family = ExitShares(sources.evidence.choosing, sources.measure)
    refusals = set()
    for limit, row in zip(region.LIMITS, tables[place].rows, strict=True):
        for confidence, cell in zip(region.CONFIDENCES, row[1:], strict=True):
            text, note = router_says(sources, family, Terms(loss, limit, confidence=confidence))
            assert cell.text == text
            assert note in cell.note
            assert cell.refused == (text == "refused")
            refusals.add(cell.refused)
    assert refusals == {True, False}


def test_a_stricter_promise_is_never_faster(tables):
    for table in tables[:2]:
        speeds = np.asarray(
            [
                [0.0 if cell.refused else float(cell.text.removesuffix("×")) for cell in row[1:]]
                for row in table.rows
            ]
        )
        assert (np.diff(speeds, axis=1) <= 0).all()
        assert (np.diff(speeds, axis=0) >= 0).all()


def test_the_methods_stand_side_by_side(sources, tables):
    assert tables[2].columns == ["limit", *Method]
    assert tables[2].folded
    ltt = [row[1] for row in tables[2].rows]
    assert ltt == [row[2] for row in tables[0].rows]


def test_a_loss_that_no_number_of_texts_would_mend_is_refused_as_such(sources):
    wrong = sources.evidence.logits.copy()
    wrong[:-1] = -wrong[-1]
    evidence = replace(sources.evidence, logits=wrong)
    family = ExitShares(sources.evidence.choosing, sources.measure)
    found = region.verdict(
        replace(sources, evidence=evidence), family, Terms(Loss.DISAGREEMENT, 0.01)
    )
    assert found == region.Refused(None)


def test_without_a_part_that_certifies_nothing_is_promised(sources):
    none = replace(sources, evidence=sources.evidence.choosing)
    (block,) = region.section(none).blocks
    assert block == Note(region.NONE_KEPT)
