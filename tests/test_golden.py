"""Each golden/*.sh, run by sh, prints exactly the content of its .exp file.

UPDATE_GOLDEN=1 rewrites the .exp files: read the difference before you commit it.
"""

import os
import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SCRIPTS = sorted((HERE / "golden").glob("*.sh"))


def test_every_script_has_an_output_file_and_vice_versa():
    outputs = {path.stem for path in (HERE / "golden").glob("*.exp")}
    assert outputs == {path.stem for path in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_script_prints_its_golden_output(shell, script):
    if not shutil.which("jq"):
        pytest.skip("needs jq")
    expected = script.with_suffix(".exp")
    status, out, err = shell(
        f"exec sh {script} 2>&1", PYTHONPATH=str(ROOT), TZ="UTC", COLUMNS="80", timeout=100
    )
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_bytes(out)
    assert out.decode() == expected.read_text()
    assert (status, err) == (0, "")
