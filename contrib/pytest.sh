#!/bin/sh
# Run pytest: contrib/pytest.sh ARGUMENTS. Used by `make test`.
#
# With AGAIN=N in the environment, up to N tests that failed are run once more, one after the other.
# On a busy machine a test may fail beside eight others because of a time limit. A test that passes
# the second time is listed as unstable, which is a fault of the test (or a race in the code) to be
# mended. More than N failures, or a second failure, fail the run. `.ci/run` sets AGAIN.
#
# ONCE is an extended regular expression. If the name of a failed test matches it, nothing is run
# again: in a test that kills processes and counts events, one failure may be a lost event.
set -u

status=0
python -m pytest "$@" || status=$?
# 1: tests failed. Everything else (interrupted, a usage error) cannot become better.
[ "$status" -eq 1 ] && [ "${AGAIN:-0}" -gt 0 ] || exit "$status"

# With --dist loadgroup pytest-xdist adds "@group" to each name, but not in a run without processes.
failed=$(python - <<'END'
import json, re
path = ".pytest_cache/v/cache/lastfailed"
names = [re.sub(r"@[\w-]+$", "", name) for name in json.load(open(path))]
json.dump(dict.fromkeys(names, True), open(path, "w"))
print(*names, sep="\n")
END
) || exit 1
if [ "$(echo "$failed" | wc -l)" -gt "$AGAIN" ]; then
    echo "pytest.sh: more than $AGAIN tests failed; none is run again" >&2
    exit 1
fi
if [ -n "${ONCE:-}" ] && echo "$failed" | grep -E -q -- "$ONCE"; then
    echo "pytest.sh: among the failed tests is one that ONCE names; none is run again" >&2
    exit 1
fi
echo "pytest.sh: once more, one after the other:" >&2
python -m pytest "$@" -n 0 --last-failed --last-failed-no-failures none || exit 1
echo "$failed" | sed 's/^/unstable: /' >&2
