"""requirements-dev.lock pins the requirements of pyproject.toml, by hash, and names no index."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

LOCK = (ROOT / "requirements-dev.lock").read_text()
PINNED = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", LOCK, re.MULTILINE))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


@pytest.mark.parametrize("wanted", [*PROJECT["dependencies"], *EXTRAS["sim"], *EXTRAS["dev"]])
def test_every_requirement_is_pinned_to_a_matching_version(wanted):
    requirement = Requirement(wanted)
    version = PINNED[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)


def test_every_package_has_a_hash_and_no_index_is_named():
    for block in re.split(r"\n(?=\S)", LOCK.strip()):
        # The whole block: no other option of pip, such as one that names an index, fits.
        hashes = r"(?: \\\n +--hash=sha256:[0-9a-f]{64})+"
        assert re.fullmatch(rf"[a-z0-9._-]+==\S+{hashes}", block), block
    assert "://" not in LOCK
