"""Texts of messages: cut to a size, and numbers with their nouns."""

import pytest

from flowtools.core.text import counted, cut


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0, "event"), "0 events"),
        ((1, "event"), "1 event"),
        ((2, "event"), "2 events"),
        ((1, "thread", "hangs", "hang"), "1 thread hangs"),
        ((3, "thread", "hangs", "hang"), "3 threads hang"),
    ],
)
def test_a_noun_and_its_verb_agree_with_the_number(given, text):
    assert counted(*given) == text


def test_a_cut_text_says_how_long_it_was_and_is_not_cut_in_a_character():
    text = cut("\u20ac" * 100, 50)
    assert text.endswith(" [cut: 300 bytes in all]")
    assert len(text.encode()) <= 50
    assert set(text.partition(" ")[0]) == {"\u20ac"}
