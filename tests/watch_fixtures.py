"""Fixtures of the tests of hot folders: a folder, and flow-watch on it."""

import pytest

from tests.watching import Watching


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "in"
    made.mkdir()
    return made


@pytest.fixture
def watch(start, folder):
    """Start flow-watch on the folder; return once it watches."""

    def begin(*args, settle=0.3, **options):
        watching = Watching(start("flow-watch", folder, "--settle", settle, *args, **options))
        if not {"--include", "--match", "--unit"} & set(args):
            watching.wait_until_it_watches(folder, settle)
        return watching

    return begin
