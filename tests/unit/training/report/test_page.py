"""The page is whole in itself, escaped, and readable without its pictures."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from training.report.drawing import Chart
from training.report.page import Table

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Reader(HTMLParser):
    """What a browser would see: tags with their attributes, whether they nest, and the text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.misnested, self.text = [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.misnested.append(tag)

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="session")
def seen(html):
    return Reader(html)


def test_every_tag_is_closed_where_it_was_opened(seen):
    assert seen.misnested == []
    assert seen.open == []


def test_texts_labels_and_names_stay_text(seen):
    tags = {tag for tag, _ in seen.tags}
    assert "<script>alert('text')</script> & <b>bold</b> number" in seen.text
    assert "<i>route</i>" in seen.text
    assert "<u>no</u>" in seen.text
    assert "script" not in tags
    assert "u" not in tags


def test_nothing_is_fetched_and_nothing_runs(html, seen):
    for tag, attributes in seen.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert attributes.get(name, "#").startswith("#"), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert tag not in {"script", "iframe", "object", "embed", "link", "base", "form"}
    style = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_forbids_itself_scripts_and_the_network(seen):
    policy = next(a["content"] for tag, a in seen.tags if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_links_lead_to_sections_of_the_page_and_ids_are_unique(seen):
    ids = Counter(a["id"] for _, a in seen.tags if "id" in a)
    assert [name for name, times in ids.items() if times > 1] == []
    links = [a["href"] for tag, a in seen.tags if tag == "a"]
    assert len(links) == len([tag for tag, _ in seen.tags if tag == "section"])
    assert {link.removeprefix("#") for link in links} <= ids.keys()


def test_what_a_picture_refers_to_is_on_the_page(html, seen):
    ids = {a["id"] for _, a in seen.tags if "id" in a}
    assert set(re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", html)) != set()
    for first, second in re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", html):
        assert (first or second) in ids


def test_every_picture_is_said_in_words_and_has_its_numbers_in_a_table(page, seen):
    pictures = [a for tag, a in seen.tags if tag == "svg"]
    assert len(pictures) >= 8
    assert all(a["role"] == "img" and len(a["aria-label"]) > 40 for a in pictures)
    for section in page.sections:
        if any(isinstance(block, Chart) for block in section.blocks):
            assert any(isinstance(block, Table) and block.folded for block in section.blocks)


def test_every_colour_of_a_picture_is_one_that_the_style_sheet_knows(html):
    used = set(re.findall(r"var\((--[\w-]+)\)", html))
    declared = set(re.findall(r"(--[\w-]+):", html))
    assert used <= declared
    pictures = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert re.findall(r"#[0-9a-f]{6}\b", pictures) == []


def test_rows_of_a_table_are_as_long_as_its_head(page):
    tables = [b for s in page.sections for b in s.blocks if isinstance(b, Table)]
    assert len(tables) >= 10
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}, table.caption


def test_the_page_is_light_enough_to_mail(html):
    assert len(html.encode()) < 700_000
