"""Values unknown to JSON have documented forms; errors name the place of a value without one."""

import asyncio
import json
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

import numpy as np
import pytest

from flowtools.core.event import encode_value
from flowtools.event import Event, EventError


class Size(NamedTuple):
    width: int
    rate: Decimal


@dataclass
class Clip:
    name: str
    size: Size | None = None
    _cache: object = None


@dataclass
class Broken:
    parts: list = field(default_factory=lambda: [1j])


class Colour(Enum):
    RED = "red"
    BOTH = (1, 2)
    RATE = Decimal("2.50")


class Step(IntEnum):
    ONE = 1


class Kind(StrEnum):
    NEW = "new"


class Name(str):
    __slots__ = ()


Old = namedtuple("Old", "a b")  # noqa: PYI024  as users have it
CET = timezone(timedelta(hours=1))
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=UTC)
ID = UUID("12345678123456781234567812345678")


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (MOMENT, "2026-01-02T03:04:05.600000Z"),
        (MOMENT.astimezone(CET), "2026-01-02T04:04:05.600000+01:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (time(3, 4, tzinfo=UTC), "03:04:00+00:00"),
        (timedelta(minutes=1, milliseconds=500), 60.5),
        (Decimal("1.10"), "1.10"),
        (Decimal("12345678901234567890.5"), "12345678901234567890.5"),
        (Path("/media/a.mxf"), "/media/a.mxf"),
        (PurePosixPath("a\udce6"), "a\\xe6"),
        (Size(1920, Decimal("29.97")), {"width": 1920, "rate": "29.97"}),
        (Old(1, [2]), {"a": 1, "b": [2]}),
        (Clip("a", Size(1, Decimal(2))), {"name": "a", "size": {"width": 1, "rate": "2"}}),
        (Colour.RED, "red"),
        (Colour.BOTH, [1, 2]),
        (Colour.RATE, "2.50"),
        (Step.ONE, 1),
        (Kind.NEW, "new"),
        (ID, str(ID)),
        ({10, 9, 1}, [1, 9, 10]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({None, "a", 1}, ["a", 1, None]),
        ({frozenset("b"), frozenset("ca"), frozenset("a")}, [["a", "c"], ["a"], ["b"]]),
        ({Kind.NEW: {Name("a"): [{Kind.NEW: Decimal(1)}]}}, {"new": {"a": [{"new": "1"}]}}),
        (UserDict({Kind.NEW: 1}), {"new": 1}),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        (deque([1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        ((1, 2), [1, 2]),
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (UserDict(a={Decimal(1)}), {"a": ["1"]}),
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.arange(4, dtype=np.uint8).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.array([[1.5, 2.5]])[:, ::-1], [[2.5, 1.5]]),
        (np.array(["a", None], dtype=object), ["a", None]),
        (np.array(3), 3),
    ],
)
def test_values_unknown_to_json_have_their_documented_form(value, form):
    for each, expected in ((value, form), ({"in": [value]}, {"in": [form]})):
        read = json.loads(Event("t", each, source="s").encode())["data"]
        assert read == expected
        assert type(read) is type(expected)


class Same:
    """An array of another library, with only numpy's public protocol."""

    def __array__(self):
        raise AssertionError

    def tolist(self):
        return [1, [2.5]]


def test_an_array_like_object_is_recognised_by_the_numpy_protocol():
    assert encode_value({"a": Same()}) == b'{"a":[1,[2.5]]}\n'


class Hostile:
    def __array__(self):
        pass

    def tolist(self):
        raise ValueError("no list today")


class Uncomparable:
    def __lt__(self, other):
        raise RuntimeError("never")


async def later():
    pass


NAIVE = "a datetime without a time zone names no moment: give it one, as datetime.now(UTC)"
NO_ZONE = datetime.fromisoformat("2026-01-02")
NOT_TEXT = "a key of an object is text, and"
UNIT = "has no unit here: give a datetime, or a number"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (NO_ZONE, f"data: {NAIVE}"),
        ({"when": [MOMENT, NO_ZONE]}, f"data.when[1]: {NAIVE}"),
        (Clip("a", {"x": 1j}), "data.size.x: complex has no JSON form"),
        (Broken(), "data.parts[0]: complex has no JSON form"),
        ({"a": {"b-c": object()}}, "data.a['b-c']: object has no JSON form"),
        ({"a": Fraction(1, 3)}, "data.a: fractions.Fraction has no JSON form"),
        ({"a": Clip}, "data.a: type has no JSON form"),
        ([b"x"], "data[0]: bytes is not text: decode it, or encode it as Base64"),
        ({1j}, "data[0]: complex has no JSON form"),
        ({Uncomparable()}, f"data[0]: {__name__}.Uncomparable has no JSON form"),
        ({"n": Decimal(1), "x": {2: 1}}, "data.x: a key of an object is text, and 2 is int"),
        ([2**64], "data[0]: integer exceeds 64-bit range"),
        ({Colour.RED: 1}, f"data: {NOT_TEXT} <Colour.RED: 'red'> is {__name__}.Colour"),
        ([Hostile()], "data[0]: ValueError: no list today"),
        ([np.array([1.0, np.nan])], "data[0][1]: NaN and infinity are not JSON numbers"),
        (np.array([1j]), "data[0]: complex has no JSON form"),
        ([np.datetime64("2026-01-02", "ns")], f"data[0]: numpy.datetime64 {UNIT}"),
        ([np.timedelta64(5, "ns")], f"data[0]: numpy.timedelta64 {UNIT}"),
        ([ValueError("x")], "data[0]: ValueError is an exception: raise it"),
        (map(str, [1]), "data: map has no JSON form: make it a list"),
        ({10**5000: 1}, f"data: {NOT_TEXT} one is int"),
        ({"r" * 200: {b"k" * 200: 1}}, f"data.{'r' * 195}...: {NOT_TEXT} b'{'k' * 78} is bytes"),
        ([Decimal("NaN")], "data[0]: NaN and infinity are not JSON numbers"),
        ({Decimal("-Infinity")}, "data[0]: NaN and infinity are not JSON numbers"),
        ({"a": Decimal("sNaN")}, "data.a: NaN and infinity are not JSON numbers"),
        (timedelta.max * 1.0 and [float("inf")], "data[0]: NaN and infinity are not JSON numbers"),
    ],
)
def test_a_value_without_a_json_form_is_refused_with_its_place_and_type(value, complaint):
    with pytest.raises(EventError) as refusal:
        Event("t", value, source="s").encode()
    assert str(refusal.value) == f"cannot be written as JSON: {complaint}"


def test_a_long_place_is_shortened():
    with pytest.raises(EventError) as refusal:
        encode_value({"a" * 10_000: 1j})
    assert len(str(refusal.value)) < 400


def test_a_coroutine_is_reported_and_causes_no_later_warning():
    made = later()
    with pytest.raises(EventError, match="coroutine has not run, because nothing awaits it"):
        encode_value(made)
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        asyncio.run(made)


WORKER = """
from datetime import datetime
from pathlib import Path

class Tag:
    def start(self, event):
        with open("begun", "a") as file:
            file.write("x")
        return {"clip": {"at": datetime(2026, 1, 2)}} if event.data else {"path": Path("a")}
"""


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_an_event_with_an_unencodable_result_is_not_retried(run, tmp_path, isolation):
    (tmp_path / "mine.py").write_text(WORKER)
    words = ("--retries", "3", "--backoff", "0.01", "--isolation", isolation)
    status, out, err = run("flow-work", "mine:Tag", *words, input=b"0\n1\n")
    assert (status, json.loads(out)["data"]) == (1, {"path": "a"})
    assert (
        f"rejected: ResultError: a result cannot be written as JSON: data.clip.at: {NAIVE}" in err
    )
    assert (tmp_path / "begun").read_text() == "xx"
