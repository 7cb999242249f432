"""How long a run will take: counted in the texts that it will really see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny
from training import estimate
from training.prepare import Prepared, prepare
from training.settings import SmallSettings
from training.students import pool

MORE = 50
# Of a student that goes through its texts twice, whatever their number.
STUDENT = {"kind": "conv", "epochs": 2, "least_steps": 0}


@pytest.fixture(autouse=True)
def _a_second_per_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of training takes a second per text, which has ten tokens."""
    monkeypatch.setattr(estimate, "_measured", lambda *_: (1.0, 10.0))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture
def prepared(backbone: Path, tmp_path: Path):
    """A run over 300 reviews and 50 texts without labels."""

    def of(**small: object) -> Prepared:
        more = tmp_path / "more.txt"
        more.write_text("\n".join(f"a new film of {1900 + n}" for n in range(MORE)))
        student = SmallSettings(**{**STUDENT, **small})
        changes = {"limit": 600, "unlabelled": more, "small": student}
        return prepare(tiny.settings(tmp_path / "out", backbone, **changes))

    return of


def room_for(monkeypatch: pytest.MonkeyPatch, prepared: Prepared, count: int) -> None:
    """Let students learn from so many texts beside the labelled ones."""
    fit = prepared.parts.fit
    monkeypatch.setattr(pool, "MOST_ANSWERS", (len(fit) + count) * len(fit.label_names))


def answered(prepared: Prepared) -> float:
    """How many texts the large tier answers for students, by the estimate."""
    held_out = len(prepared.parts.held_out) * estimate.FORWARD
    per_text = estimate.FORWARD + 2 * estimate.STUDENTS["conv"]
    return (estimate.estimate(prepared).rest - held_out) / per_text


def test_students_learn_from_all_texts_where_there_is_room(prepared) -> None:
    found = prepared(augment=1)
    assert answered(found) == pytest.approx(2 * (len(found.parts.fit) + MORE))


def test_copies_have_no_more_tokens_than_the_budget(prepared) -> None:
    found = prepared(augment=20, pool_tokens=200)
    assert answered(found) == pytest.approx(len(found.parts.fit) + MORE + 20)


@pytest.mark.parametrize("room", [0, 20, MORE, MORE + 30])
def test_no_more_texts_are_answered_than_answers_are_kept(
    prepared, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    found = prepared(augment=20)
    room_for(monkeypatch, found, room)
    assert answered(found) == pytest.approx(len(found.parts.fit) + room)


def test_where_labels_leave_no_room_the_labelled_texts_are_answered_all_the_same(
    prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = prepared(augment=20)
    room_for(monkeypatch, found, -100)
    assert answered(found) == pytest.approx(len(found.parts.fit))


def test_the_large_tier_learns_from_all_texts_whatever_students_have_room_for(
    prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = prepared()
    before = estimate.estimate(found).large
    room_for(monkeypatch, found, 0)
    assert estimate.estimate(found).large == before > 0
