"""The wheel and the sdist: they build, hold what they should, and install commands that run."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.conftest import environment

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("packaging")]


def call(*command, **options):
    """Run a command; return what it prints, or fail with what it says."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=300, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The folder with the sdist, and the wheel that was built from that."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(dist):
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory, wheel):
    """The bin/ of a fresh virtual environment with the wheel in it."""
    venv = tmp_path_factory.mktemp("venv")
    call(sys.executable, "-m", "venv", "--without-pip", venv)
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", venv / "bin" / "python"]
    call(*pip, "install", "--no-deps", "--no-index", "--disable-pip-version-check", wheel)
    # The dependencies are those of the tests; only flowtools itself is fresh.
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin"


def installed_environment(installed):
    env = environment()
    env.pop("PYTHONPATH", None)
    return env | {"PATH": os.pathsep.join([str(installed), os.defpath])}


def test_the_wheel_holds_the_package_and_the_manual_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "flowtools").rglob("*.py")}
    info = f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info"
    data = info.removesuffix(".dist-info") + ".data"
    pages = {
        f"{data}/data/share/man/man{path.suffix[1:]}/{path.name}"
        for path in (ROOT / "man").iterdir()
    }
    meta = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    assert names == ours | {"flowtools/py.typed"} | pages | meta | {f"{info}/licenses/LICENSE"}


def test_the_sdist_holds_what_a_checkout_does(dist):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = {m.name.partition("/")[2]: m for m in archive.getmembers()}
    files = ["Makefile", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"]
    files += ["examples/demo.sh", "tests/test_packaging.py", "contrib/install-brokers.sh"]
    files += [f"man/{page.name}" for page in (ROOT / "man").iterdir()]
    assert [name for name in files if name not in members] == []
    for name in SCRIPTS:
        assert members[f"bin/{name}"].linkname == "../flowtools/__main__.py"
    assert members["flowtools/__main__.py"].mode & 0o111


def test_what_is_installed_is_the_fresh_package(installed):
    code = "import flowtools; print(flowtools.__file__)"
    where = call(installed / "python", "-c", code, env=installed_environment(installed), cwd="/")
    assert Path(where.strip()).is_relative_to(installed.parent)


@pytest.mark.parametrize("option", ["--version", "--help"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_installed_commands_and_those_of_a_checkout_are_the_same(installed, name, option):
    ours = call(installed / name, option, env=installed_environment(installed), cwd="/")
    assert ours == call(ROOT / "bin" / name, option, env=environment(), cwd="/")


@pytest.mark.parametrize("where", ["installed", "checkout"])
def test_a_pipeline_runs_with_a_worker_in_the_current_directory(installed, tmp_path, where):
    (tmp_path / "mymod.py").write_text(
        "class Shout:\n    def start(self, event):\n        return event.data.upper()\n"
    )
    env = installed_environment(installed) if where == "installed" else environment()
    line = "printf 'a\\nb\\n' | flow-stdin | flow-work mymod:Shout"
    out = call("bash", "-o", "pipefail", "-c", line, env=env, cwd=tmp_path)
    assert [json.loads(line)["data"] for line in out.splitlines()] == ["A", "B"]


def test_wheel_and_sdist_are_the_same_bytes_whenever_and_wherever_they_are_built(dist, tmp_path):
    tree = tmp_path / "elsewhere"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "dist", "build", "*.egg-info")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / ".gitignore", tree)
    for path in tree.rglob("*"):
        os.utime(path, (1e9, 1e9), follow_symlinks=False)
    made = tmp_path / "made"
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", made, tree]
    call(*build, env=environment(TZ="Asia/Tokyo"))
    digests = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        for folder in (dist, made)
    ]
    assert digests[0] == digests[1]


# What the scripts of contrib/ install is flowtools alone: the tests need no network, and
# the dependencies are those of the tests.
OFFLINE = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PYTHONPATH": sysconfig.get_path("purelib")}


def contents(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def test_make_install_puts_all_in_place_and_make_uninstall_takes_it_away(tmp_path):
    prefix = tmp_path / "usr"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "other").write_text("not ours")
    env = environment(**OFFLINE)
    for _ in range(2):  # The second takes the place of the first.
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
    plain = {"PATH": os.defpath, "PYTHONPATH": OFFLINE["PYTHONPATH"]}
    for name in SCRIPTS:
        assert call(prefix / "bin" / name, "--version", env=plain, cwd="/").startswith(name)
    call("sh", "contrib/uninstall.sh", prefix, cwd=ROOT, env=env)
    assert contents(tmp_path) == ["usr/bin/other"]
    assert sorted(p.name for p in prefix.iterdir()) == ["bin"]


def test_make_install_leaves_a_folder_of_others_alone(tmp_path):
    (tmp_path / "lib" / "flowtools").mkdir(parents=True)
    (tmp_path / "lib" / "flowtools" / "mine").touch()
    command = ["sh", "contrib/install.sh", sys.executable, tmp_path]
    done = subprocess.run(command, cwd=ROOT, env=environment(**OFFLINE), capture_output=True)
    assert done.returncode == 1
    assert b"not ours" in done.stderr
    assert contents(tmp_path) == ["lib/flowtools/mine"]


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")
def test_the_debian_package_holds_what_it_should_and_is_reproducible(tmp_path):
    made = []
    for folder in ("one", "two"):
        env = environment(**OFFLINE, SOURCE_DATE_EPOCH="1700000000")
        command = ["sh", "contrib/make-deb.sh", sys.executable, tmp_path / folder]
        made.append(Path(call(*command, cwd=ROOT, env=env).strip()))
    listed = call("dpkg-deb", "--contents", made[0])
    for name in SCRIPTS:
        assert f"./usr/bin/{name}\n" in listed
        assert f"./usr/share/man/man1/{name}.1.gz\n" in listed
    assert all(" root/root " in line for line in listed.splitlines())
    assert "__pycache__" not in listed
    control = call("dpkg-deb", "--field", made[0])
    major, minor = sys.version_info[:2]
    depends = f"Depends: python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1}~)\n"
    assert depends in control
    assert made[0].read_bytes() == made[1].read_bytes()


def test_the_metadata_names_every_library_that_is_imported(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        text = archive.read(name).decode()
    assert "\nRequires-Python: >=3.11\n" in text
    assert "\nLicense-Expression: Apache-2.0\n" in text
    needed = {
        line.split(": ")[1].split(";")[0].rstrip("<>=0123456789,. ")
        for line in text.splitlines()
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    }
    imported = {"click", "cronsim", "httpx", "lxml", "orjson", "pebble", "prometheus-client"}
    imported |= {"rich", "watchfiles"}
    assert needed in (imported | {"stomp-py"}, imported | {"stomp.py"})
