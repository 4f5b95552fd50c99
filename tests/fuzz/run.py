"""One target under atheris: `python -m tests.fuzz.run TARGET [option of libFuzzer ...]`.

`make fuzz` runs each for FUZZ_SECONDS. Failing inputs are written to tests/fuzz/found/; give
such a file as the argument to reproduce it; fix it and keep the file in tests/fuzz/corpus/.
"""

import logging
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["flowtools", "configparser", "cronsim", "urllib"]):
    from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent


def main():
    name, *options = sys.argv[1:]
    logging.getLogger("flowtools").setLevel(logging.CRITICAL)
    found = HERE / "found"
    found.mkdir(exist_ok=True)
    grown = HERE / "grown" / name
    grown.mkdir(parents=True, exist_ok=True)
    if not any(not each.startswith("-") for each in options):
        # New inputs go to the first folder; the second is read only.
        options += [str(grown), str(HERE / "corpus" / name)]
    atheris.Setup([sys.argv[0], f"-artifact_prefix={found}/{name}-", *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
