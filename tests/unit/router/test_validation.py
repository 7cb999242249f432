"""Validation: what is refused before any tier sees it."""

from __future__ import annotations

import pytest

from offramp.errors import InvalidRequestError, UnknownRouteError
from offramp.v1 import common_pb2, router_pb2
from router.policy import Wishes
from router.validation import InputRules, check_batch, find_route, wishes_of


def fields(rules: InputRules, **value: str) -> list[str]:
    """Names of the fields that are refused."""
    try:
        rules.check(common_pb2.TextInput(**value), "inputs[3]")
    except InvalidRequestError as error:
        return [violation.field for violation in error.violations]
    return []


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u2003", "a\0", "x" * 11])
def test_unusable_texts_are_refused_by_field(text):
    assert fields(InputRules(10, pairs=False), text=text) == ["inputs[3].text"]


@pytest.mark.parametrize("text", ["x", "x" * 10, "ünï 日本", "😀"])
def test_usable_texts_pass(text):
    assert fields(InputRules(10, pairs=False), text=text) == []


def test_a_route_of_pairs_needs_both_texts():
    rules = InputRules(10, pairs=True)
    assert fields(rules, text="a", text_pair="b") == []
    assert fields(rules, text="a") == ["inputs[3].text_pair"]
    assert fields(rules, text="", text_pair="x" * 11) == ["inputs[3].text", "inputs[3].text_pair"]


def test_a_route_of_single_texts_refuses_even_an_empty_pair():
    assert fields(InputRules(10, pairs=False), text="a", text_pair="") == ["inputs[3].text_pair"]


@pytest.mark.parametrize(("size", "refused"), [(0, True), (1, False), (5, False), (6, True)])
def test_batches_have_a_size(size, refused):
    if refused:
        with pytest.raises(InvalidRequestError, match="inputs: "):
            check_batch(size, 5)
    else:
        check_batch(size, 5)


def test_a_route_is_found_by_name_or_by_being_the_only_one():
    assert find_route("a", ("a", "b")) == "a"
    assert find_route("", ("a",)) == "a"
    with pytest.raises(UnknownRouteError, match="names no route; this router serves: a, b"):
        find_route("", ("a", "b"))
    with pytest.raises(UnknownRouteError, match="no route 'c'; this router serves: a, b"):
        find_route("c", ("a", "b"))


def test_a_name_of_any_length_is_said_back_in_part():
    with pytest.raises(UnknownRouteError, match=r"no route 'c{100}…'; this router serves: a"):
        find_route("c" * 1_000_000, ("a",))


def test_only_what_a_request_sets_is_a_wish():
    assert wishes_of(router_pb2.PolicyOverride()) == Wishes()
    override = router_pb2.PolicyOverride(min_confidence=0, last_exit="")
    assert wishes_of(override) == Wishes(min_confidence=0.0, last_exit="")
