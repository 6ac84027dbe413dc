# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine's own interrupt controllers and timers on a real engine: a guest (interrupt_guest.S) counts what comes."""
import os
import subprocess

import pytest

from support import programs


@pytest.mark.parametrize("chips", [("--own-chips",), ()], ids=["own", "engine"])
def test_timers_tick_and_a_second_cpu_starts_and_answers(chips):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm")
    guest = programs.build_folder() / "tests/system/interrupt_guest"
    done = subprocess.run([programs.program("onggi-vmm"), *chips, "--cpus", "2", "--memory", "16m", "--statistics", "--kernel", guest],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("timer pit   cpu   ", 7), done.stderr
    assert ("pic " in done.stderr) == bool(chips)  # a device of the machine, or none
