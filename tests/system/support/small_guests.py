# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of a few instructions, and the control socket of onggi-vmm."""
import array
import json
import socket
import struct

ENTRY = 0x200000


def elf(code):
    """An ELF kernel of one segment that is entered in 64-bit mode."""
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0x1000, ENTRY, ENTRY, len(code), len(code), 0x1000)
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, ENTRY, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return (head + segment).ljust(0x1000, b"\0") + code


class Control:
    """A connection to the control socket of a process."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rw", encoding="utf-8")

    def line(self, text):
        self.file.write(text + "\n")
        self.file.flush()
        return json.loads(self.file.readline())

    def __call__(self, command, **arguments):
        return self.line(json.dumps({"command": command, **arguments}))

    def send_files(self, files, command, **arguments):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        self.socket.sendmsg([json.dumps({"command": command, **arguments}).encode() + b"\n"], rights)
        return json.loads(self.file.readline())
