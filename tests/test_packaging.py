"""The wheel and the sdist: they build, are complete, and install commands that run."""

import ast
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT, environment
from tests.packages import SCRIPTS, call

pytestmark = [pytest.mark.install, pytest.mark.timeout(400)]


TYPED = """
from collections.abc import Iterator

from flowtools.event import Event
from flowtools.vizone import Client
from flowtools.worker import Retry


class Tag:
    def start(self, event: Event) -> Iterator[Event]:
        if event.type == "flow.asset.deleted":
            raise Retry(after=2.5)
        yield Event("mine", {"of": event.subject}, source="test")


def count(client: Client) -> int:
    return sum(1 for asset in client.assets.find() if asset.title)


Retry(after=[1])  # wrong
Event(1, None, source="test")  # wrong
"""
"""User code to be checked by mypy."""


@pytest.fixture(scope="session")
def dist(tmp_path_factory, worker_id):
    """The folder with the sdist, and the wheel that was built from that."""
    return made_once(tmp_path_factory, worker_id, "dist", build)


@pytest.fixture(scope="session")
def wheel(dist):
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(tmp_path_factory, worker_id, wheel):
    """The bin/ of a fresh virtual environment with the wheel in it."""
    venv = made_once(tmp_path_factory, worker_id, "venv", lambda path: install(wheel, path))
    return venv / "bin"


def made_once(factory, worker_id, name, make):
    """Return the folder `name`, made by `make` in one of the test processes."""
    if worker_id == "master":
        path = factory.mktemp("packaging") / name
        make(path)
        return path
    path = factory.getbasetemp().parent / "packaging" / name
    path.parent.mkdir(exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A folder that another process has not finished is not used.
        if not path.with_suffix(".made").exists():
            make(path)
            path.with_suffix(".made").touch()
    return path


def build(folder):
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)


def install(wheel, venv):
    call(sys.executable, "-m", "venv", "--without-pip", "--clear", venv)
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", venv / "bin" / "python"]
    call(*pip, "install", "--no-deps", "--no-index", "--disable-pip-version-check", wheel)
    # The dependencies are those of the tests; only flowtools itself is newly installed.
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")


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


LEFT_OUT = {".ci/run"}
"""Files of a checkout that the sdist lacks, since they are only for a clone."""


def in_a_checkout():
    """The files that git has, or would have after `git add .`: builds include those, too."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("needs git, and a checkout")
    # git run as root refuses a repository of another owner otherwise.
    git = ["git", "-c", "safe.directory=*", "-C", ROOT]
    return set(call(*git, "ls-files", "-z", "-co", "--exclude-standard").split("\0")) - {""}


def test_the_sdist_holds_the_files_of_a_checkout(dist):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = {m.name.partition("/")[2]: m for m in archive.getmembers()}
    assert set(members) - {"PKG-INFO"} == in_a_checkout() - LEFT_OUT
    for name in SCRIPTS:
        assert members[f"bin/{name}"].linkname == "../flowtools/__main__.py"
    assert members["flowtools/__main__.py"].mode & 0o111


def test_the_installed_package_is_the_one_just_built(installed):
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


@pytest.fixture(scope="module")
def dates(tmp_path_factory):
    """Two trees made at different times, with different umasks."""
    made = []
    for name, date, umask in ("one", 1e9, 0o002), ("another/two", 1.5e9, 0o077):
        tree = tmp_path_factory.mktemp("trees") / name
        ignored = shutil.ignore_patterns(".*", "__pycache__", "dist", "build", "*.egg-info")
        shutil.copytree(ROOT, tree, symlinks=True, ignore=ignored)
        shutil.copy(ROOT / ".gitignore", tree)
        for path in tree.rglob("*"):
            if not path.is_symlink():
                path.chmod((0o777 if path.is_dir() or os.access(path, os.X_OK) else 0o666) & ~umask)
            os.utime(path, (date, date), follow_symlinks=False)
        made.append((tree, umask))
    return made


def make_build(tree, umask, **env):
    """The files that make build creates in `tree`: digests by name."""
    # With the packages of the test environment: nothing is installed.
    make = ["make", "--silent", "-o", ".venv/up-to-date", "build"]
    call(*make, cwd=tree, umask=umask, env=environment(**env))
    made = (tree / "dist").iterdir()
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made}


def test_wheel_and_sdist_are_reproducible(dates):
    day = {"SOURCE_DATE_EPOCH": "1700000000"}
    (one, first), (two, second) = dates
    digests = make_build(one, first, TZ="Asia/Tokyo", **day)
    assert digests == make_build(two, second, TZ="America/Lima", **day)
    with zipfile.ZipFile(next((one / "dist").glob("*.whl"))) as archive:
        assert {info.date_time[:3] for info in archive.infolist()} == {(2023, 11, 14)}


def test_without_source_date_epoch_the_date_of_the_last_commit_is_used(dates):
    tree, umask = dates[0]
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@localhost"]
    if not shutil.which("git"):
        pytest.skip("needs git")
    call(*git, "init", "--quiet", cwd=tree)
    day = {"GIT_COMMITTER_DATE": "2024-02-03T04:05:06Z", "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z"}
    call(*git, "commit", "--quiet", "--allow-empty", "-m", "x", cwd=tree, env=environment(**day))
    make_build(tree, umask)
    with tarfile.open(next((tree / "dist").glob("*.tar.gz"))) as archive:
        assert {member.mtime for member in archive.getmembers()} == {1706933106}


def test_type_information_is_installed_for_users(installed, tmp_path):
    (tmp_path / "mine.py").write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "mine.py"]
    command += ["--python-executable", installed / "python"]
    env = installed_environment(installed)
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    found = re.findall(r"mine.py:(\d+): (\w+): .*", ran.stdout)
    wrong = [n for n, line in enumerate(TYPED.splitlines(), 1) if "# wrong" in line]
    assert [int(line) for line, kind in found if kind == "error"] == wrong, ran.stdout


def test_the_metadata_names_every_imported_library(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        text = archive.read(name).decode()
    assert "\nRequires-Python: >=3.11\n" in text
    assert "\nLicense-Expression: Apache-2.0\n" in text
    for minor in (11, 12, 13, 14):
        assert f"\nClassifier: Programming Language :: Python :: 3.{minor}\n" in text
    needed = {
        canonicalize_name(Requirement(line.partition(": ")[2]).name)
        for line in text.splitlines()
        if line.startswith("Requires-Dist: ") and "extra == " not in line
    }
    # Packages of extras; and pytest, since only a user's pytest imports flowtools.testing.fixtures.
    assert needed == imported() - {"coilmq", "jq", "xxhash"} - {"pytest"}


def imported():
    """The distributions that the package imports from."""
    modules = {
        name.partition(".")[0]
        for path in (ROOT / "flowtools").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
        )
    }
    given = packages_distributions()
    foreign = modules - set(sys.stdlib_module_names) - {"flowtools"}
    return {canonicalize_name(given[module][0]) for module in foreign}
