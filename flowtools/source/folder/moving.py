"""Move a finished file safely: never over another one, also across file systems, after a crash.

On one file system a file gets its second name by a hard link, which fails if the name is taken, and
then loses its first name. After a crash in between it has both, which the next try notices. To
another file system it is copied under a hidden name first, and the target appears when it is
complete and on disk. A target that already holds the same content counts as moved.
"""

import errno
import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from itertools import count
from pathlib import Path

HIDDEN = ".flow-"
"""Beginning of the name of a file that is being copied or removed."""

# Errors of link(2) on a file system without hard links, or without more of them.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}


def move_file(source: Path, target: Path) -> Path:
    """Move the file `source` to `target`, or to a similar name if that is taken; return the name.

    Raises:
        OSError: It could not be moved; it is where it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        placed = _place(source, target, source)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        placed = _copy(source, target)
    source.unlink(missing_ok=True)
    return placed


def move_folder(source: Path, target: Path) -> Path:
    """Move the folder `source` to `target`, or to a similar name if that is taken; return the name.

    Raises:
        OSError: It could not be moved; it is where it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for name in _names(target):
        try:
            name.mkdir()
        except FileExistsError:
            continue
        try:
            source.rename(name)  # rename(2) replaces an empty folder, and fails for any other.
        except OSError as error:
            if error.errno != errno.EXDEV:
                name.rmdir()
                raise
            _copy_folder(source, name)
        return name
    raise AssertionError("names never end")


def remove_folder(folder: Path) -> None:
    """Remove a folder and its content; it is renamed first, so that it disappears at once."""
    hidden = _hidden(folder, folder.parent)
    shutil.rmtree(hidden, ignore_errors=True)
    folder.rename(hidden)
    shutil.rmtree(hidden)


def clean_up(folder: Path) -> None:
    """Remove what a crash has left of folders that were being removed from `folder`."""
    for each in folder.glob(f"{HIDDEN}*"):
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each, ignore_errors=True)


def _place(source: Path, target: Path, original: Path) -> Path:
    """Give `source` the name `target`, or the next free one; it may keep its own name, too.

    `original` is the file that `source` is or was copied from.
    """
    for name in _names(target):
        try:
            os.link(source, name, follow_symlinks=False)
        except FileExistsError:
            if _is_same(original, name):
                return name
            continue
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if not _place_without_links(source, name):
                continue
        return name
    raise AssertionError("names never end")


def _place_without_links(source: Path, name: Path) -> bool:
    """Rename `source` on a file system without hard links; return whether the name was free."""
    try:
        # rename(2) would replace whatever has the name, so reserve it with an empty file.
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    try:
        source.rename(name)
    except OSError:
        name.unlink()
        raise
    return True


def _copy(source: Path, target: Path) -> Path:
    # The hidden name depends only on the source, so the next try overwrites half a copy.
    hidden = _hidden(source, target.parent)
    shutil.copyfile(source, hidden)
    shutil.copystat(source, hidden)
    _to_disk(hidden)
    placed = _place(hidden, target, source)
    hidden.unlink(missing_ok=True)
    _to_disk(target.parent)
    return placed


def _copy_folder(source: Path, target: Path) -> None:
    hidden = _hidden(source, target.parent)
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        shutil.copytree(source, hidden, symlinks=True)
    except shutil.Error as error:
        target.rmdir()
        raise OSError(errno.EIO, str(error.args[0][0][2])) from None
    # All of it is on disk before it gets its name, and only then is the original removed.
    for folder, _, files in os.walk(hidden):
        for file in files:
            if not (Path(folder) / file).is_symlink():
                _to_disk(Path(folder) / file)
        _to_disk(Path(folder))
    hidden.rename(target)
    _to_disk(target.parent)
    remove_folder(source)


def _is_same(original: Path, there: Path) -> bool:
    """Return whether an earlier try has made `there` from `original`."""
    with suppress(OSError):
        mine, its = original.lstat(), there.lstat()
        if (mine.st_dev, mine.st_ino) == (its.st_dev, its.st_ino):
            return True
        return (
            mine.st_size == its.st_size
            and mine.st_mtime_ns == its.st_mtime_ns
            and filecmp.cmp(original, there, shallow=False)
        )
    return False


def _names(target: Path) -> Iterator[Path]:
    """Yield a.mxf, a-1.mxf, a-2.mxf and so on."""
    yield target
    for number in count(1):
        yield target.with_name(f"{target.stem}-{number}{target.suffix}")


def _hidden(source: Path, folder: Path) -> Path:
    digest = blake2b(os.fsencode(source), digest_size=8).hexdigest()
    return folder / f"{HIDDEN}{digest}"


def _to_disk(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
