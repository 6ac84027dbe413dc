# SPDX-License-Identifier: GPL-2.0-or-later
"""An emulated machine with KVM and cgroup v2 on which onggi is installed, to run a shell script that uses it.

The script's `say NAME` begins a section; run() returns what each printed.
"""
import glob
import os
import re
from pathlib import Path

import guests
import v2_machine

# What runs a container, a virtual machine and their networks on the machine.
MODULES = ["overlay", "ext4", "erofs", "loop", "bridge", "veth", "nf_tables", "nft_chain_nat", "nft_masq", "nft_nat", "nft_ct", "nft_fib_inet",
           "nft_redir", "nf_conntrack", "nf_nat", "act_mirred", "cls_u32", "sch_ingress", "virtio_pci"]

BEGIN = """
dmesg -n 1
for module in $(cat /modules); do insmod $module 2>/dev/null; done
mount -t tmpfs -o size=80% state /var 2>/dev/null || { mkdir -p /var; mount -t tmpfs -o size=80% state /var; }
mkdir -p /var/lib /var/tmp /etc; [ -e /dev/net/tun ] || { mkdir -p /dev/net; mknod /dev/net/tun c 10 200; }
echo 1 >/proc/sys/net/ipv4/ip_forward
export PATH=/onggi:/usr/sbin:/usr/bin:/sbin:/bin
say() { echo "section $1:"; }
# wait_for COMMAND...: until it succeeds, 60 seconds at most
wait_for() {
    end=$(($(date +%s) + 60))
    until "$@" >/dev/null 2>&1; do [ $(date +%s) -lt $end ] || { echo "waited in vain for: $*"; return 1; }; usleep 100000; done
}
"""


def program_files(programs):
    """{path in the machine: path here} of programs in one folder, and of the libraries that they need."""
    files = {}
    for path in programs:
        files[f"/onggi/{Path(path).name}"] = path
        files.update(guests.libraries(path))
    return files


def tool_files(*tools):
    """The same for tools of this host, where their own paths are."""
    files = {}
    for tool in tools:
        files[tool] = os.path.realpath(tool)
        files.update(guests.libraries(tool))
    return files


def module_files():
    """The machine's modules, with a list of them in the order of loading."""
    paths = list(dict.fromkeys([*guests.host_modules(), *guests.module_paths(*MODULES)]))
    return paths, {path: path for path in paths}


# What a guest may want of the kernel that is installed there.
GUEST_MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_balloon", "virtio_console", "virtio-rng", "virtiofs",
                 "vmw_vsock_virtio_transport", "erofs", "ext4", "overlay"]


def kernel_tree():
    """Debian's kernel as its package installs it, but only those of its modules that a guest may want."""
    release = guests.release()
    tree = f"/usr/lib/modules/{release}"
    files = {f"/boot/vmlinuz-{release}": v2_machine.kernel()}
    for path in [*guests.module_paths(*GUEST_MODULES), *glob.glob(f"{tree}/modules.*")]:
        files[path.replace("/usr/lib", "/lib", 1)] = path
    return files


def run(script, files, folder, memory=2048, timeout=400):
    """({section: what it printed}, everything)"""
    order, modules = module_files()
    (folder / "modules").write_text("\n".join(order))
    files = {**files, **modules, "/modules": folder / "modules"}
    status, output = v2_machine.run(BEGIN + script, files, memory=memory, timeout=timeout)
    assert status != 124, output[-4000:]
    output = re.sub(r"^\[ *\d+\.\d+\] .*\n", "", output, flags=re.MULTILINE)  # the kernel's, before it was told to be quiet
    parts = re.split(r"^section (\w+):\n", output, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2])), output
