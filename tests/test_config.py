"""A Worker's settings: the INI file, --set, and the environment."""

import re
from pathlib import Path

import pytest

from flowtools.errors import ConfigurationError, UsageError
from flowtools.worker.config import load


@pytest.fixture
def ini(tmp_path):
    def write(text):
        path = tmp_path / "worker.ini"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_sections_belong_to_the_worker(ini):
    config = load(ini("[a]\nx = 1\n[b.c]\ny: two\n"), ())
    assert {name: dict(config[name]) for name in config.sections()} == {
        "a": {"x": "1"},
        "b.c": {"y": "two"},
    }


def test_without_a_file_only_the_settings_apply():
    config = load(None, ["a.x=1", "a.y = two = 2 ", "b.c.z="])
    assert dict(config["a"]) == {"x": "1", "y": "two = 2"}
    assert dict(config["b.c"]) == {"z": ""}


def test_a_setting_overrides_the_file_and_the_last_setting_wins(ini):
    config = load(ini("[a]\nx = 1\ny = 1\n"), ["a.x=2", "a.x=3"])
    assert dict(config["a"]) == {"x": "3", "y": "1"}


def test_a_key_with_dots_is_set_in_an_existing_section(ini):
    path = ini("[Mappings]\nasset.title = a\n[Mappings.more]\nb = c\n")
    settings = ["Mappings.asset.title=x", "Mappings.more.b.c=y", "Other.b=1", "Other.b.c=z"]
    config = load(path, settings)
    assert dict(config["Mappings"]) == {"asset.title": "x"}
    assert dict(config["Mappings.more"]) == {"b": "c", "b.c": "y"}
    assert dict(config["Other.b"]) == {"c": "z"}


def test_the_default_section_is_inherited_and_can_be_set(ini):
    config = load(ini("[DEFAULT]\nx = $$1\n[a]\ny = 2\n[b]\nx = own\n"), ["DEFAULT.z=3"])
    assert dict(config["a"]) == {"x": "$1", "y": "2", "z": "3"}
    assert dict(config["b"]) == {"x": "own", "z": "3"}
    assert config.sections() == ["a", "b"]


def test_environment_variables_expand_in_the_file_and_in_settings(ini, monkeypatch):
    monkeypatch.setenv("HOST", "h%1")
    monkeypatch.setenv("EMPTY", "")
    config = load(ini("[a]\nx = $HOST:${HOST}s\ny = <$EMPTY>\n"), ["a.z=/$HOST"])
    assert dict(config["a"]) == {"x": "h%1:h%1s", "y": "<>", "z": "/h%1"}


def test_the_value_of_a_variable_is_not_expanded_again(ini, monkeypatch):
    monkeypatch.setenv("SECRET", "a$b$$c")
    assert load(ini("[a]\nx = $SECRET\n"), ())["a"]["x"] == "a$b$$c"


def test_a_double_dollar_sign_becomes_one_and_a_single_one_stays(ini):
    config = load(ini("[a]\nx = $$HOME\ny = ^a$ $5 $\n"), ())
    assert dict(config["a"]) == {"x": "$HOME", "y": "^a$ $5 $"}


def test_a_percent_sign_has_no_meaning(ini):
    assert load(ini("[a]\nx = %(y)s 10%\n"), ())["a"]["x"] == "%(y)s 10%"


@pytest.mark.parametrize("form", ["$NO_SUCH", "${NO_SUCH}"])
def test_an_unset_variable_is_named(ini, monkeypatch, form):
    monkeypatch.delenv("NO_SUCH", raising=False)
    path = ini(f"[a]\nx = {form}\n")
    text = f"'{path}', [a] x: environment variable 'NO_SUCH' is not set; write a dollar sign as $$"
    with pytest.raises(ConfigurationError, match=re.escape(text)):
        load(path, ())
    with pytest.raises(ConfigurationError, match=r"--set a\.x: environment variable 'NO_SUCH'"):
        load(None, [f"a.x={form}"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("x = 1\n", "line 1: expected a [section] before the first key"),
        ("[a]\nx = 1\nsecret\n", "line 3: expected 'key = value'"),
        ("[a]\nx = 1\nx = 2\n", "line 3: key 'x' is in section [a] already"),
        ("[a]\n[b]\n[a]\n", "line 3: there is a section [a] already"),
    ],
)
def test_an_error_in_the_file_names_its_line_and_not_its_text(ini, text, complaint):
    path = ini(text)
    with pytest.raises(ConfigurationError) as told:
        load(path, ())
    assert str(told.value) == f"'{path}', {complaint}"


def test_a_missing_file_is_named():
    text = "cannot read configuration '/no/such.ini': No such file or directory"
    with pytest.raises(ConfigurationError, match=re.escape(text)):
        load(Path("/no/such.ini"), ())


def test_a_file_that_is_not_utf_8_is_refused(ini):
    with pytest.raises(ConfigurationError, match="it is not UTF-8"):
        load(ini(b"[a]\nx = \xff\n"), ())


def test_a_byte_order_mark_is_ignored(ini):
    assert load(ini(b"\xef\xbb\xbf[a]\nx = \xc3\xa9\n"), ())["a"]["x"] == "é"


@pytest.mark.parametrize("setting", ["", "a", "a.x", "x=1", ".x=1", "a.=1", "=1"])
def test_a_malformed_setting_is_refused_without_showing_its_value(setting):
    with pytest.raises(UsageError, match=r"expected SECTION\.KEY=VALUE") as told:
        load(None, [setting])
    assert "1" not in str(told.value)


@pytest.mark.parametrize(
    "line",
    [
        "password=tr0ub$Horse9",
        "passwd = a${Horse9}b",
        "api_token=x$Horse9",
        "url=http://u:tr0ub$Horse9@h",
    ],
)
def test_an_error_about_a_dollar_sign_shows_no_part_of_the_password(ini, line):
    with pytest.raises(
        ConfigurationError, match="an environment variable in it is not set"
    ) as told:
        load(ini(f"[db]\n{line}\n"), ())
    assert "Horse" not in str(told.value)


@pytest.mark.parametrize("line", ["password=$NO_SUCH", "host=a.$NO_SUCH", "password_file=$NO_SUCH"])
def test_an_unset_variable_is_named_if_it_cannot_be_part_of_a_password(ini, line):
    with pytest.raises(ConfigurationError, match="environment variable 'NO_SUCH' is not set"):
        load(ini(f"[db]\n{line}\n"), ())


@pytest.mark.parametrize("name", ["x.password", "db.PASSWD", "x.api_token", "a.api-key"])
def test_a_password_on_the_command_line_is_refused(run, name):
    status, out, err = run("flow-work", "tests.runners:Quiet", "--set", f"{name}=tr0ub4dor")
    assert (status, out) == (2, b"")
    assert f"--set {name} holds a secret" in " ".join(err.split())
    assert "tr0ub4dor" not in err


def test_a_variable_or_a_file_may_stand_for_a_password(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "tr0ub4dor")
    settings = ["x.password=$DB_PASSWORD", "x.password_file=/run/p", "x.token_field=a"]
    assert dict(load(None, settings)["x"]) == {
        "password": "tr0ub4dor",
        "password_file": "/run/p",
        "token_field": "a",
    }
