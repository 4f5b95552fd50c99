"""Reads passwords from a file. They never come from a command line, which everybody can read."""

import re
from pathlib import Path

from flowtools.core.errors import ConfigurationError

MAX_PASSWORD = 4096
"""Maximum length of a password, in characters: a large file given by mistake is not read whole."""

_SECRET = re.compile(r"pass(word|wd|code|phrase)?|pwd|secret|token|(api|private)[ _-]?key")


def is_secret(name: str) -> bool:
    """Return whether a setting or header with this `name` holds a secret, such as a password.

    The last word of the name decides: `db.password` and `api_token` do, `password_file` does not.
    """
    # The last two words, too: "key" alone is not a secret, but "api key" is.
    words = re.split(r"[.:]", name.strip().lower())
    last = re.split(r"[ _-]", words[-1])
    return bool(_SECRET.fullmatch(last[-1]) or _SECRET.fullmatch("_".join(last[-2:])))


def read_password(path: str | Path) -> str:
    """Return the first line of the file at `path`.

    Raises:
        ConfigurationError: The file cannot be read, or its first line is empty or too long.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            password = file.readline(MAX_PASSWORD + 1).rstrip("\r\n")
    except OSError as error:
        raise ConfigurationError(f"cannot read password file '{path}': {error.strerror}") from None
    except UnicodeError:
        raise ConfigurationError(f"cannot read password file '{path}': not UTF-8") from None
    if len(password) > MAX_PASSWORD:
        raise ConfigurationError(
            f"cannot read password file '{path}': its first line is longer than {MAX_PASSWORD}"
        )
    if not password:
        raise ConfigurationError(f"cannot read password file '{path}': its first line is empty")
    return password
