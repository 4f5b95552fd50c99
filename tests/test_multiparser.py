"""MultiParser converts foreign text to typed values."""

from datetime import UTC, date, datetime, time

import pytest

from flowtools.multiparser import MultiParser, as_text
from tests.vizone_servers import client_of, stand_in


@pytest.mark.parametrize(
    ("options", "raw", "value", "text"),
    [
        ({}, "as it is ", "as it is ", "as it is "),
        ({"type": "integer"}, " 12 ", 12, "12"),
        ({"type": "float"}, "1.50", 1.5, "1.5"),
        ({"type": "iso"}, "2026-12-24", date(2026, 12, 24), "2026-12-24"),
        (
            {"type": "iso"},
            "2026-12-24T18:00:00+01:00",
            datetime(2026, 12, 24, 17, tzinfo=UTC),
            "2026-12-24T17:00:00Z",
        ),
        (
            {"type": "iso", "default_timezone": "Europe/Oslo"},
            "2026-07-01T12:00:00",
            datetime(2026, 7, 1, 10, tzinfo=UTC),
            "2026-07-01T10:00:00Z",
        ),
        ({"type": "date", "format": "%Y/%d/%m"}, "2026/24/12", date(2026, 12, 24), "2026-12-24"),
        ({"type": "time", "format": "%H.%M"}, "18.05", time(18, 5), "18:05:00"),
        (
            {"type": "datetime", "format": "%d.%m.%Y %H:%M", "default_timezone": "Europe/Oslo"},
            "24.12.2026 18:00",
            datetime(2026, 12, 24, 17, tzinfo=UTC),
            "2026-12-24T17:00:00Z",
        ),
        (
            {"type": "datetime", "format": "%d.%m.%Y %H:%M %z", "default_timezone": "Europe/Oslo"},
            "24.12.2026 18:00 +0500",
            datetime(2026, 12, 24, 13, tzinfo=UTC),
            "2026-12-24T13:00:00Z",
        ),
        ({"type": "datetime", "format": "%Y"}, "2026", datetime(2026, 1, 1, tzinfo=UTC), None),
    ],
)
def test_a_text_is_converted_to_its_declared_type(options, raw, value, text):
    parser = MultiParser(**options)
    assert parser.convert(raw) == value
    assert text is None or parser.text(raw) == text


@pytest.mark.parametrize("raw", [None, ""])
@pytest.mark.parametrize("type", ["string", "integer", "iso"])
def test_empty_input_gives_no_value(type, raw):
    assert MultiParser(type=type).convert(raw) is None
    assert MultiParser(type=type).text(raw) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "number"}, "there is no type 'number': expected string, integer"),
        ({"type": "date"}, "a date needs a format"),
        ({"type": "dictionary"}, "a dictionary needs a source"),
        ({"default_timezone": "Mars/Olympus"}, "there is no time zone 'Mars/Olympus'"),
    ],
)
def test_contradictory_options_of_a_parser_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MultiParser(**options)


@pytest.mark.parametrize(
    ("options", "raw"),
    [
        ({"type": "integer"}, "twelve"),
        ({"type": "float"}, "1,5"),
        ({"type": "iso"}, "yesterday"),
        ({"type": "date", "format": "%Y"}, "26"),
        ({"type": "integer"}, "1_000"),
        ({"type": "float"}, "nan"),
        ({"type": "float"}, "1e999"),
        ({"type": "iso", "default_timezone": "Europe/Oslo"}, "0001-01-01T00:00:00"),
    ],
)
def test_a_text_that_does_not_match_its_type_is_refused(options, raw):
    with pytest.raises(ValueError):
        MultiParser(**options).convert(raw)


@pytest.mark.parametrize("source", ["category", "{url}/api/metadata/dictionary/~category"])
def test_dictionary_terms_are_converted(source):
    with stand_in() as server, client_of(server) as client:
        parser = MultiParser(type="dictionary", source=source.format(url=server.url))
        term = parser.convert("news", client)
        assert (term.key, term.label) == ("news", "News")
        assert parser.text("news", client) == "news"
        with pytest.raises(ValueError, match="has no key 'weather'"):
            parser.convert("weather", client)
        with pytest.raises(ValueError, match="looked up by a client"):
            parser.convert("news")


def test_other_values_are_written_as_metadata_text():
    assert [as_text(each) for each in (True, False, 3, None)] == ["true", "false", "3", None]
