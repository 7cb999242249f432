"""The figures on the page are those that the library computes, each on the part it may use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offramp.decision.confidence import Measure
from offramp.decision.cost import CostCurve, cumulative
from offramp.decision.frontier import Frontier
from offramp.decision.simulate import chosen_exits, simulate
from training.compare.methods import FULL, OURS
from training.figures import SPEEDUPS, dial
from training.report import headline
from training.report.compose import SHARED, compose, ways_of
from training.report.page import Table, render
from training.report.wording import percent, times


@pytest.fixture(scope="module")
def ways(sources):
    return ways_of(sources)


@pytest.fixture(scope="module")
def settings(sources, ways):
    return headline.settings(sources, ways[OURS.name], ways[FULL.name].measured[0])


def tables(section):
    return {
        block.caption.split(":")[0]: block for block in section.blocks if isinstance(block, Table)
    }


def flops_speedup(evidence, thresholds):
    """Operations of the full model on all texts, divided by those spent."""
    left = chosen_exits(evidence.confidences(Measure.MAX_PROB), thresholds)
    spent = np.stack([curve.at(evidence.tokens) for curve in cumulative(evidence.exits)])
    full = evidence.exits[-1].flops.at(evidence.tokens)
    return full.sum() / spent[left, np.arange(len(left))].sum()


def test_a_setting_is_chosen_on_one_part_and_measured_on_the_other(sources, settings):
    assert [one.limit for one in settings] == [0.0, 0.005, 0.01]
    for one in settings:
        measured = simulate(sources.measured, one.thresholds, Measure.MAX_PROB)
        assert one.accuracy.mean == pytest.approx(measured.accuracy)
        assert one.measured.accuracy == pytest.approx(measured.accuracy)
        assert one.measured.speedup == pytest.approx(
            flops_speedup(sources.measured, one.thresholds)
        )
        assert one.escalated == pytest.approx(measured.escalation_ratio)
        assert one.difference.mean == pytest.approx(
            measured.accuracy - measured.full_depth_accuracy
        )
        chosen = simulate(sources.evidence.choosing, one.thresholds, Measure.MAX_PROB)
        assert one.speedup == pytest.approx(chosen.speedup, abs=0.01)


def test_asking_the_router_for_the_speedup_of_a_setting_gives_the_setting(sources, settings):
    frontier = Frontier(sources.evidence.choosing, Measure.MAX_PROB)
    for one in settings:
        asked = frontier.at_cost(1 / one.speedup).thresholds
        answer = simulate(sources.measured, asked, Measure.MAX_PROB)
        assert answer.accuracy == pytest.approx(one.accuracy.mean, abs=0.01)


def test_tiles_and_summary_say_the_recommended_setting(page, settings, sources):
    chosen = next(one for one in settings if one.limit == 0.005)
    assert [tile.value for tile in page.tiles] == [
        percent(sources.measured.correct()[-1].mean()),
        percent(chosen.accuracy.mean),
        times(chosen.measured.speedup),
        percent(chosen.escalated, 0),
    ]
    assert percent(chosen.accuracy.mean) in page.summary
    assert page.tiles[0].value in page.summary
    assert "400 texts" in page.summary


def test_shares_along_the_dial_are_those_of_evaluate(section, sources):
    points = dial(sources.choosing, sources.measured, sources.measure, SPEEDUPS)
    shown = tables(section("mix"))["The numbers"]
    assert len(shown.rows) == len(points)
    for row, point in zip(shown.rows, points, strict=True):
        shares = [percent(share) for share in point.exits.values()]
        rest = [percent(point.escalation_rate), percent(point.accuracy), f"{point.mean_cost:.4f}"]
        assert row == [times(point.setting), *shares, *rest]


def test_every_way_of_the_papers_is_on_the_curve(section, ways):
    shown = {
        row[0].text: row
        for row in tables(section("curve"))[
            "Speedup at the fastest setting within an allowed loss, and the accuracy there"
        ].rows
    }
    assert shown.keys() == ways.keys()
    assert len(shown) == 7
    for name, way in ways.items():
        place = way.within(0.005)
        if place is None:
            assert shown[name][2].refused
        else:
            assert shown[name][2].text == times(way.measured[place].speedup)
            assert shown[name][2].note == f"at {percent(way.measured[place].accuracy)}"


def test_costs_are_those_of_the_evidence(section, sources):
    (table,) = tables(section("costs")).values()
    for index, row in enumerate(table.rows):
        assert row[0] == sources.measured.exit_names[index]
        assert row[2] == f"{sources.measured.costs()[index].mean():.4f}"
        assert row[4].text == percent(sources.measured.correct()[index].mean())


def test_measured_seconds_are_shown_where_they_were_taken(sources):
    timed = compose(replace(sources, seconds=(0.0005, 0.002, 0.004, 1.5)), shown=0)
    costs = next(one for one in timed.sections if one.anchor == "costs")
    (table,) = tables(costs).values()
    assert [row[2].replace("\N{NO-BREAK SPACE}", " ") for row in table.rows] == [
        "500 µs", "2 ms", "4 ms", "1.5 s",
    ]  # fmt: skip


def test_the_page_says_so_where_one_part_served_both_ends(sources):
    evidence = replace(sources.evidence.choosing)
    both = replace(sources, evidence=evidence, measured=evidence, texts=None)
    assert SHARED in render(compose(both, shown=0))


def test_it_does_not_say_so_where_the_parts_are_apart(html, sources):
    assert SHARED not in html
    from_file = replace(
        sources, evidence=sources.evidence.choosing, data="dev.tsv", measured=sources.measured
    )
    page = compose(from_file, shown=0)
    assert SHARED not in render(page)
    assert "dev.tsv" in page.summary


def test_texts_are_left_out_where_none_are_wanted(sources):
    page = compose(sources, shown=0)
    assert "examples" not in [one.anchor for one in page.sections]
    assert "alert('text')" not in render(page)
    assert "&lt;script&gt;" not in render(page)


def test_a_small_tier_that_costs_more_than_the_large_one_is_no_trouble(sources):
    small, *large = sources.evidence.exits
    dear = replace(sources.evidence, exits=(replace(small, flops=CostCurve(0.0, 900.0)), *large))
    page = compose(replace(sources, evidence=dear, measured=dear.certifying), shown=0)
    small_alone = next(
        row
        for row in tables(next(one for one in page.sections if one.anchor == "curve"))[
            "The numbers"
        ].rows
        if row[0] == "small tier alone"
    )
    assert float(small_alone[1].removesuffix("×")) < 0.5
    assert render(page)


def test_a_cascade_that_cannot_keep_any_limit_says_so(sources, ways):
    hopeless = replace(ways[OURS.name], losses=(0.5,) * len(ways[OURS.name].losses))
    full = ways[FULL.name].measured[0]
    found = headline.settings(sources, hopeless, full)
    assert found == ()
    assert len(headline.tiles(found, full)) == 1
    assert "No setting" in headline.summary(found, full, sources)


def test_a_hundred_labels_and_one_exit_less_are_no_trouble(sources):
    rng = np.random.default_rng(0)
    evidence = sources.evidence
    labels = rng.integers(0, 100, len(evidence.labels))
    logits = rng.normal(size=(4, len(labels), 100)).astype(np.float32)
    logits[:, np.arange(len(labels)), labels] += np.asarray([2, 3, 4, 5])[:, None]
    many = replace(evidence, labels=labels, logits=logits)
    manifest = replace(sources.manifest, labels=tuple(f"intent {i}" for i in range(100)))
    page = compose(replace(sources, manifest=manifest, evidence=many, measured=many.certifying), 1)
    assert "and 88 more" in render(page)
