# SPDX-License-Identifier: GPL-2.0-or-later
"""A command with a terminal of its own, as a user would have it."""
import fcntl
import os
import select
import struct
import termios
import time


class Terminal:
    def __init__(self, host, *words):
        self.fd, its = os.openpty()
        self.process = host.popen(*words, stdin=its, stdout=its, stderr=its, start_new_session=True,
                                  preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(its)

    def expect(self, text, seconds=20):
        """Reads until the text has come; returns all that came."""
        seen = b""
        end = time.monotonic() + seconds
        while text.encode() not in seen:
            assert time.monotonic() < end, f"{text!r} did not come; there was {seen!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    seen += os.read(self.fd, 4096)
                except OSError as gone:
                    raise AssertionError(f"the terminal closed; there was {seen!r}") from gone
        return seen

    def type(self, text):
        os.write(self.fd, text.encode())

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self):
        """The exit status. What still comes is read, so that the command is not held up."""
        while self.process.poll() is None:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    os.read(self.fd, 4096)
                except OSError:
                    pass
        os.close(self.fd)
        return self.process.returncode
