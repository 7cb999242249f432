"""Whether int8 is good enough: measured against fp32 on the same texts, with room for chance."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.evidence import make_evidence
from training.data import Text
from training.quantise import EXAMPLES, QuantisationError, _spread, check


def wronged(evidence, place, count):
    """The evidence with so many right answers of an exit turned wrong."""
    right = np.flatnonzero(evidence.correct()[place])[:count]
    logits = evidence.logits.copy()
    logits[place, right, evidence.labels[right]] = logits[place, right].min(axis=-1) - 5
    found = replace(evidence, logits=logits)
    assert found.correct()[place].sum() == evidence.correct()[place].sum() - count
    return found


def test_what_loses_nothing_or_as_little_as_chance_may_do_passes():
    evidence = make_evidence(3, examples=1000)
    check(evidence, evidence)
    check(wronged(evidence, 1, 20), evidence)
    check(evidence, wronged(evidence, 1, 12))


def test_what_loses_more_is_refused_by_name():
    evidence = make_evidence(3, examples=1000)
    with pytest.raises(
        QuantisationError, match=rf"exit {evidence.exit_names[1]} loses 3\.0 points"
    ):
        check(evidence, wronged(evidence, 1, 30))


def test_ranges_come_from_all_over_a_file():
    texts = [Text(f"{i}") for i in range(3000)]
    places = [int(text.text) for text in _spread(texts)]
    assert (places[0], places[-1], len(places)) == (0, 2999, EXAMPLES)
    assert max(np.diff(places)) <= 11
    assert _spread(texts[:7]) == texts[:7]
