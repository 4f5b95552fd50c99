"""Memory of events seen before: marks, and counts of equal lines."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from flowtools.core.event import digest
from flowtools.core.seen import SIZE, Occurrences, Seen, Wrapper, mark


@given(st.lists(st.integers(0, 300)))
def test_a_set_of_marks_holds_exactly_what_was_added(numbers):
    seen, plain = Seen(), set()
    for number in numbers:
        found = b"\0\0" + number.to_bytes(SIZE - 2, "big")  # All in one bucket.
        assert (found in seen) == (number in plain)
        assert seen.add(found) == (number not in plain)
        plain.add(number)
    assert len(seen) == len(plain)


def test_bytes_across_two_adjacent_marks_are_not_a_mark():
    seen = Seen()
    seen.add(b"\0\0" + b"abcdefghijkl")
    seen.add(b"\0\0" + b"mnopqrstuvwx")
    assert b"\0\0" + b"ghijklmnopqr" not in seen
    assert b"\0\0" + b"mnopqrstuvwx" in seen


def test_a_set_of_many_marks_takes_little_memory():
    import tracemalloc

    tracemalloc.start()
    seen = Seen()
    for number in range(200_000):
        seen.add(mark(b"%d" % number))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(seen) == 200_000
    assert size < 200_000 * 80  # The 65,536 buckets are still mostly empty.
    assert all(mark(b"%d" % number) in seen for number in range(0, 200_000, 777))
    assert mark(b"no") not in seen


@given(st.lists(st.sampled_from([b"a", b"b", b"c"])))
def test_names_of_equal_lines_are_numbered(lines):
    names, times = Occurrences(), Counter()
    for line in lines:
        times[line] += 1
        assert names.name(line, 99) == str(times[line])


def test_beyond_the_bound_a_name_is_the_line_number():
    names = Occurrences(most=2)
    assert [names.name(line, at) for at, line in enumerate([b"a", b"b", b"c", b"a", b"c"], 1)] == [
        *("1", "1", "@3"),
        *("2", "@5"),
    ]


def test_an_inserted_line_does_not_change_the_ids_of_others():
    def ids(*lines):
        wrapper = Wrapper("s")
        return [wrapper.event(1, line, at).id for at, line in enumerate(lines, 1)]

    assert ids(b"x", b"a", b"a\n", b" b")[1:] == ids(b"a", b"a", b"b")
    assert ids(b"a") == [f"{digest(b'a')}-1"]
