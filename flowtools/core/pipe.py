"""The number of bytes that wait in a pipe."""

import fcntl
import os
import stat
import struct
import termios


def unread(fd: int) -> int:
    """Return the number of bytes in the pipe at `fd` that its reader has not taken; 0: no pipe.

    Either end of the pipe will do.
    """
    try:
        # For a terminal or a file, FIONREAD means something else.
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return 0
        answer = fcntl.ioctl(fd, termios.FIONREAD, struct.pack("i", 0))
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])
