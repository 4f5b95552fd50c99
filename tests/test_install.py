"""make install, make uninstall and make deb: the files they install and remove."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment
from tests.packages import SCRIPTS, call

pytestmark = [pytest.mark.install, pytest.mark.timeout(400)]

# Here the scripts of contrib/ install only flowtools: the tests need no network, and
# use the dependencies of the test environment.
OFFLINE = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PYTHONPATH": sysconfig.get_path("purelib")}


def contents(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def dead_links(doc):
    """The broken links of the installed pages, each after its page."""
    return [
        f"{page.relative_to(doc)}: {link}"
        for page in sorted(doc.rglob("*.md"))
        for link in re.findall(r"\]\((?![a-z]+:)([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / link).exists()
    ]


def test_make_install_installs_everything_and_make_uninstall_removes_it(tmp_path):
    prefix = tmp_path / "usr"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "other").write_text("not ours")
    env = environment(**OFFLINE)
    for _ in range(2):  # The second installation replaces the first.
        call("sh", "contrib/install.sh", sys.executable, prefix, cwd=ROOT, env=env)
    found = contents(prefix)
    assert [f"bin/{name}" for name in sorted(SCRIPTS)] == found[: len(SCRIPTS)]
    for page in (ROOT / "man").iterdir():
        assert f"share/man/man{page.suffix[1:]}/{page.name}" in found
    for name in SCRIPTS:
        assert f"share/bash-completion/completions/{name}" in found
        assert f"share/fish/vendor_completions.d/{name}.fish" in found
    assert "share/zsh/site-functions/_flowtools" in found
    assert any(name.startswith("share/doc/flowtools/contrib/") for name in found)
    for path in (ROOT / "docs" / "schemas").iterdir():
        assert f"share/doc/flowtools/docs/schemas/{path.name}" in found
    assert dead_links(prefix / "share/doc/flowtools") == []
    plain = {"PATH": os.defpath, "PYTHONPATH": OFFLINE["PYTHONPATH"]}
    for name in SCRIPTS:
        assert call(prefix / "bin" / name, "--version", env=plain, cwd="/").startswith(name)
    call("sh", "contrib/uninstall.sh", prefix, cwd=ROOT, env=env)
    assert contents(tmp_path) == ["usr/bin/other"]
    assert sorted(p.name for p in prefix.iterdir()) == ["bin"]


def test_make_install_leaves_a_foreign_directory_alone(tmp_path):
    (tmp_path / "lib" / "flowtools").mkdir(parents=True)
    (tmp_path / "lib" / "flowtools" / "mine").touch()
    command = ["sh", "contrib/install.sh", sys.executable, tmp_path]
    done = subprocess.run(command, cwd=ROOT, env=environment(**OFFLINE), capture_output=True)
    assert done.returncode == 1
    assert b"was not made by this script" in done.stderr
    assert contents(tmp_path) == ["lib/flowtools/mine"]


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")
def test_the_debian_package_is_complete_and_reproducible(tmp_path):
    made = []
    for folder in ("one", "two"):
        env = environment(**OFFLINE, SOURCE_DATE_EPOCH="1700000000")
        command = ["sh", "contrib/make-deb.sh", sys.executable, tmp_path / folder]
        made.append(Path(call(*command, cwd=ROOT, env=env).strip()))
    listed = call("dpkg-deb", "--contents", made[0])
    call("dpkg-deb", "--extract", made[0], tmp_path / "extracted")
    assert dead_links(tmp_path / "extracted/usr/share/doc/flowtools") == []
    for name in SCRIPTS:
        assert f"./usr/bin/{name}\n" in listed
        assert f"./usr/share/man/man1/{name}.1.gz\n" in listed
    assert all(" root/root " in line for line in listed.splitlines())
    assert "__pycache__" not in listed
    for name in ("copyright", "changelog.gz", "CHANGELOG.md", "README.md"):
        assert f"./usr/share/doc/flowtools/{name}\n" in listed
    assert "install.sh" not in listed
    assert "make-deb.sh" not in listed
    control = call("dpkg-deb", "--field", made[0])
    major, minor = sys.version_info[:2]
    depends = f"Depends: libc6, python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1}~)\n"
    assert depends in control
    assert made[0].read_bytes() == made[1].read_bytes()
