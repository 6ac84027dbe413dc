# SPDX-License-Identifier: GPL-2.0-or-later
"""A virtual machine where there is no usable hardware virtualization: a stock kernel and an image on a CPU in software, on this host."""
import glob

import pytest

pytestmark = pytest.mark.skipif(not glob.glob("/boot/vmlinuz-*cloud*"),
                                reason="no kernel of Debian's cloud flavour in /boot (linux-image-cloud-amd64)")

PROGRAM = """
uname -r
grep -m 1 'model name' /proc/cpuinfo
# x87 and SSE by way of awk's floating point; processes, pipes and signals by way of the shell.
awk 'BEGIN { for (i = 1; i < 1000; i++) sum += 1 / i; printf "%.12f %.6e\\n", sum, sum * 1e30 }'
seq 1 2000 | sort -rn | head -n 3 | tr '\\n' ' '
echo 0123456789 | sha256sum | cut -c 1-16
sleep 1 & wait $! && echo waited
cat
exit 7
"""


def test_an_image_runs_on_a_cpu_in_software(onggi):
    onggi.ok("kernel", "import")
    done = onggi("run", "--rm", "-i", "--isolation", "vm", "--engine", "soft", "--network", "none", "onggi/base", "sh", "-c", PROGRAM,
                 input="typed\n", timeout=170)
    lines = done.stdout.splitlines()
    assert done.returncode == 7, done.stderr
    assert lines[0].endswith("cloud-amd64")
    assert "onggi software CPU" in lines[1]
    assert lines[2:] == ["7.484470860550 7.484471e+30", "2000 1999 1998 c67c199595622dfb", "waited", "typed"]
