"""-j: the number of threads, given as a number or relative to this machine's CPUs."""

import os
import re
from math import ceil

from flowtools.core.errors import UsageError

_FORM = re.compile(r"([+-]?)([0-9]+)|([0-9]+(?:\.[0-9]+)?)%")

MOST = 999_999
"""Largest number that is accepted. No machine has room for so many threads."""


def width(text: str) -> int:
    """Return the number of threads that `text` means, 1 or more.

    `4` is 4; `100%` is one for each CPU, `50%` half as many, rounded up; `+2` is two more than
    CPUs, `-1` one less. -j of GNU parallel has the same forms, except that its 0 means as many as
    possible, which is refused here. Only CPUs that this process may use count, as for nproc(1).

    Raises:
        UsageError: `text` is malformed, is 0, or means more than MOST threads.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise UsageError(
            f"'{text}' is not a number of threads: write 8, or 100%, +2 or -1 for a number that"
            " depends on the CPUs"
        )
    sign, number, per_cent = found.groups()
    if per_cent is not None:
        many = _cpus() * float(per_cent) / 100
    elif sign:
        many = _cpus() + float(sign + number)
    else:
        many = float(number)  # Not an int: Python refuses to convert thousands of digits.
        if many == 0:
            raise UsageError("'0' is not a number of threads: at least 1 is needed")
    if many > MOST:
        raise UsageError(f"'{text}' is too many threads: at most {MOST} are allowed")
    return ceil(max(1, many))


def _cpus() -> int:
    # os.cpu_count() also counts CPUs that taskset(1) or a cpuset keeps from this process.
    return len(os.sched_getaffinity(0))
