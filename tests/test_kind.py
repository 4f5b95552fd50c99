"""Kind: the single list of kinds of change of an asset or a file."""

import pytest
from click.testing import CliRunner

from flowtools.commands import listen_assets, watch
from flowtools.core.kind import OF_FILES, OF_VIZ_ONE, ON_DEMAND, Kind, chosen
from flowtools.errors import UsageError


def test_every_kind_belongs_to_a_source():
    assert {*OF_VIZ_ONE, *OF_FILES, *ON_DEMAND} == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_the_kind_is_taken_from_the_event_type(kind):
    assert Kind.of(f"flow.asset.{kind}") is kind


@pytest.mark.parametrize("type", ["flow.interval.tick", "", "created.", "flow.created.x"])
def test_other_event_types_have_no_kind(type):
    assert Kind.of(type) is None


@pytest.mark.parametrize(
    ("main", "kinds"), [(listen_assets.main, OF_VIZ_ONE), (watch.main, OF_FILES + ON_DEMAND)]
)
@pytest.mark.parametrize("option", ["--include", "--exclude"])
def test_options_offer_exactly_the_kinds_of_their_source(main, kinds, option):
    said = CliRunner().invoke(main, [option, "nonsense"], standalone_mode=False).exception
    assert {each for each in Kind if f"'{each}'" in said.message} == set(kinds)


def test_include_and_exclude_select_kinds():
    assert chosen(OF_FILES, (), ()) == set(OF_FILES)
    assert chosen(OF_FILES, ("created", "deleted"), ("deleted",)) == {Kind.CREATED}
    with pytest.raises(UsageError, match="leave no changes"):
        chosen(OF_FILES, ("created",), ("created",))
