"""Every parser on hostile input: the corpus, and inputs that hypothesis derives from it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "fuzz" / "corpus"
SEEDS = {name: sorted((CORPUS / name).iterdir()) for name in TARGETS}

TOKENS = [
    b"", b"\0", b"\n", b"\r\n", b"\n\n", b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"<",
    b">", b"&", b"%", b"#", b"/", b"~", b"=", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"\\ud800",
    b"\\u0000", b"1e999", b"-0", b"99999999999999999999", b"null", b'"ackto":', b"content-length:",
    b"\xc2\x85", "\u2028".encode(), b"..", b"0", b"]]>", b"<!DOCTYPE a>", b"xmlns=",
]  # fmt: skip


def _name(path):
    return f"{path.parent.name}/{path.name}"


@st.composite
def mutants(draw, seeds):
    """A seed with a few pieces cut, doubled, moved, or replaced by something awkward."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 20)))
        piece = draw(st.sampled_from(TOKENS) | st.just(data[start:end] * 2) | st.binary(max_size=4))
        data = data[:start] + piece + data[end:]
    return data


@pytest.mark.parametrize("seed", [path for paths in SEEDS.values() for path in paths], ids=_name)
def test_inputs_found_by_fuzzing_stay_fixed(seed):
    TARGETS[seed.parent.name](seed.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_or_refused(name):
    @given(st.binary(max_size=200))
    def holds(data):
        TARGETS[name](data)

    holds()


@pytest.mark.parametrize("name", TARGETS)
def test_nearly_valid_input_is_read_or_refused(name):
    seeds = [path.read_bytes() for path in SEEDS[name]]

    @given(mutants(seeds))
    def holds(data):
        TARGETS[name](data)

    holds()
