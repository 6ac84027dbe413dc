# SPDX-License-Identifier: GPL-2.0-or-later
"""onggi-vmm with a stock kernel, on the real KVM of an emulated machine; and its errors, which need no KVM."""
import base64
import fcntl
import hashlib
import random
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from support import programs

sys.path.insert(0, str(Path(__file__).parent.parent / "nested"))
import guests  # noqa: E402
import v2_machine  # noqa: E402

F_OFD_SETLK = 37  # Linux's lock of an open file, which the fcntl module has no name for

DATA = random.Random(7).randbytes(2 << 20)

DISKS_SCRIPT = """
mount -o ro -t erofs /dev/vda /mnt && cat /mnt/greeting
umount /mnt
echo spoiled >/dev/vda || echo the first disk is read-only
mount -t ext4 -o discard /dev/vdb /mnt && cat /mnt/greeting && echo "written by the guest" >/mnt/new
dd if=/dev/zero of=/mnt/big bs=1M count=3 2>/dev/null && rm /mnt/big && sync
umount /mnt
echo "serial $(cat /sys/block/vdb/serial)"
echo "queues $(ls /sys/block/vdb/mq | wc -l)"
echo "notifications $(grep -c virtio /proc/interrupts)"
dd if=/dev/vdb of=/dev/null bs=4k iflag=direct && echo read all
"""

NETWORK_SCRIPT = """
ip addr add 10.9.0.2/24 dev eth0
ip link set eth0 up
echo "address $(cat /sys/class/net/eth0/address) mtu $(cat /sys/class/net/eth0/mtu)"
wget -q -O /tmp/data http://10.9.0.1/data && sha256sum </tmp/data
for i in 1 2 3 4; do cat /tmp/data; done | nc 10.9.0.1 9000
ping -c 1 -s 1400 10.9.0.1 >/dev/null && echo the host answers
echo "entropy $(dd if=/dev/hwrng bs=64 count=20 2>/dev/null | wc -c)"
"""

# Before the guest: a tap with an address, a web server, and a place that counts what is sent to it.
NETWORK_HOST = """
mknod /dev/net/tun c 10 200 2>/dev/null
tunctl -t tap0 >/dev/null && ip addr add 10.9.0.1/24 dev tap0 && ip link set tap0 mtu 1450 up
mkdir -p /www && cp /data /www/data && httpd -h /www
sleep 300 | nc -l -p 9000 | sha256sum >/received &
"""

SOCKETS_SCRIPT = """
mknod /dev/vsock c 10 $(grep vsock /proc/misc | cut -d' ' -f1) 2>/dev/null
/files/talk vsock-echo 6000 2 &
/files/talk vsock-send 2:5000 </files/data | sha256sum
/files/talk vsock-send 2:5999 </dev/null
wait
"""

# A program of the host that echoes what the guest sends it, and two that go on asking until the guest listens.
SOCKETS_HOST = """
talk unix-echo /v_5000 1 &
for i in 1 2; do
    (until talk unix-send /v "CONNECT 6000" </data >/back$i 2>/dev/null && [ -s /back$i ]; do sleep 0.5; done) &
done
"""

MEMORY_SCRIPT = """
dd if=/dev/zero of=/tmp/large bs=1M count=80 2>/dev/null
sleep 2
rm /tmp/large
sleep 6
"""

# The largest and the last size of onggi-vmm in memory, in KiB, once a second.
MEMORY_HOST = """
(most=0; while sleep 1; do
    now=$(grep VmRSS /proc/$(pidof onggi-vmm)/status 2>/dev/null | tr -dc 0-9)
    [ -n "$now" ] || continue
    for task in /proc/$(pidof onggi-vmm)/task/*; do echo "thread $(grep -h -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' $task/status | tr -d '\\n\\t ')"; done >/threads
    ls -A /proc/$(pidof onggi-vmm)/root/ >/root-of-vmm
    [ $now -le $most ] || most=$now; echo "$most $now" >/resident
done) &
"""

PROCESSORS_SCRIPT = """
echo "processors $(nproc) cores $(grep -m1 "cpu cores" /proc/cpuinfo) siblings $(grep -m1 siblings /proc/cpuinfo)"
echo "numbers $(grep ^apicid /proc/cpuinfo | cut -d: -f2 | tr -d '\\n')"
for table in RSDP APIC FACP MCFG DSDT; do [ ! -e /sys/firmware/acpi/tables/$table ] || echo "table $table $(base64 /sys/firmware/acpi/tables/$table | tr -d '\\n')"; done
dmesg | grep -E "ACPI( BIOS)? (Error|Warning|Exception|Bug)|Firmware Bug" && echo the kernel complains
"""


def vmm(*arguments):
    return subprocess.run([programs.program("onggi-vmm"), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    """Every guest of this file, run one after the other in one emulated machine."""
    if v2_machine.missing():
        pytest.skip(v2_machine.missing())
    for tool in ("mkfs.erofs", "mkfs.ext4"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed (Debian: erofs-utils, e2fsprogs)")
    folder = tmp_path_factory.mktemp("guests")
    bench = guests.Bench(folder, programs.program("onggi-vmm"))
    (folder / "tree").mkdir()
    (folder / "tree/greeting").write_text("hello from the image\n")
    subprocess.run(["mkfs.erofs", "--quiet", folder / "erofs", folder / "tree"], check=True)
    subprocess.run(["truncate", "--size", "8M", folder / "ext4"], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-d", folder / "tree", folder / "ext4"], check=True)
    bench.files.update({"/erofs": folder / "erofs", "/ext4": folder / "ext4"})

    bench.guest("plain", "echo userspace of $(uname -r)", append="acpi=off pci=off noapic", reset=True, packed=True)
    bench.guest("disks", DISKS_SCRIPT, modules=("virtio_pci", "virtio_blk", "erofs"),
                options=["--disk", "/erofs,ro", "--disk", "/ext4,serial=onggi-1", "--cpus", "2"],
                before="before=$(du -k /ext4 | cut -f1)",
                after="grep -c 'written by the guest' /ext4; echo grown $(($(du -k /ext4 | cut -f1) - before))")
    bench.file("/data", DATA)
    bench.guest("network", NETWORK_SCRIPT, modules=("virtio_pci", "virtio_net", "virtio-rng"), before=NETWORK_HOST,
                options=["--network", "tap=tap0,address=02:00:00:00:00:07"], after="sleep 1; echo received $(cat /received)")
    talk = folder / "talk"
    subprocess.run(["cc", "-static", "-o", talk, Path(__file__).parent.parent / "nested/talk.c"], check=True)
    bench.files["/bin/talk"] = talk
    bench.guest("sockets", SOCKETS_SCRIPT, modules=("virtio_pci", "vmw_vsock_virtio_transport"), before=SOCKETS_HOST,
                files={"talk": talk, "data": folder / "data"}, options=["--vsock", "/v"],
                after="sleep 1; for i in 1 2; do head -n 1 /back$i; tail -n +2 /back$i | sha256sum; done; ls /v || true")
    bench.guest("memory", MEMORY_SCRIPT, modules=("virtio_pci", "virtio_balloon"), before=MEMORY_HOST,
                options=["--disk", "/erofs,ro"],
                after="kill $!; echo resident $(cat /resident); cat /threads; echo root: $(cat /root-of-vmm) end")
    bench.guest("processors", PROCESSORS_SCRIPT, options=["--cpus", "3"])
    return bench.run()


@pytest.mark.slow
def test_a_stock_kernel_reaches_userspace_and_resets_the_machine(nested):
    status, output = nested["plain"]
    assert status == 0, output
    assert f"userspace of {guests.release()}" in output
    assert "port 0x3f8  serial" in output


@pytest.mark.slow
def test_a_guest_mounts_its_disks_and_what_it_wrote_is_in_the_file(nested):
    status, output = nested["disks"]
    assert status == 0, output
    assert output.count("hello from the image") == 2
    assert "the first disk is read-only" in output
    assert "serial onggi-1" in output and "queues 2" in output and "read all" in output
    after = output.partition("ended with")[2].split()
    assert after[1] == "1", output              # the written line, in the file on the host
    assert int(after[3]) < 1024, output         # what the guest deleted has become a hole


@pytest.mark.slow
def test_notifications_of_a_disk_do_not_leave_the_guest(nested):
    output = nested["disks"][1]
    requests = max(int(count) for count in re.findall(r"^disk: (\d+) requests", output, re.MULTILINE))
    accesses = int(re.search(r"^exits mmio +(\d+)", output, re.MULTILINE).group(1))
    assert requests > 2000 and accesses < requests / 4, output


@pytest.mark.slow
def test_a_guest_talks_through_its_tap(nested):
    status, output = nested["network"]
    assert status == 0, output
    assert "address 02:00:00:00:00:07 mtu 1450" in output
    assert hashlib.sha256(DATA).hexdigest() in output
    assert f"received {hashlib.sha256(DATA * 4).hexdigest()}" in output
    assert "the host answers" in output
    # In segments of up to 64 KiB: with frames of 1450 bytes alone it would have been more.
    sent, received = map(int, re.search(r"^network: (\d+) frames sent, (\d+) received", output, re.MULTILINE).groups())
    assert received < 2 * len(DATA) / 1450 and sent < 4 * len(DATA) / 1450 + received, output


@pytest.mark.slow
def test_streams_go_both_ways_between_guest_and_host(nested):
    status, output = nested["sockets"]
    assert status == 0, output
    inside, _, outside = output.partition("ended with")
    assert hashlib.sha256(DATA).hexdigest() in inside                       # sent by the guest, echoed by the host
    assert outside.count(hashlib.sha256(DATA).hexdigest()) == 2, output     # and the other way round
    assert len(set(re.findall(r"^OK (\d+)$", outside, re.MULTILINE))) == 2, output
    assert "connect: Connection reset by peer" in inside                    # nobody listens at port 5999
    assert "/v: No such file" in outside                                    # nothing is left behind


@pytest.mark.slow
def test_memory_that_a_guest_frees_goes_back_to_the_host(nested):
    status, output = nested["memory"]
    assert status == 0, output
    most, last = map(int, re.search(r"^resident (\d+) (\d+)", output, re.MULTILINE).groups())
    assert most - last > 60 * 1024, output
    assert int(re.search(r"^balloon: (\d+) bytes", output, re.MULTILINE).group(1)) > 60 << 20


@pytest.mark.slow
def test_the_process_has_given_up_what_it_does_not_need(nested):
    output = nested["memory"][1]
    threads = re.findall(r"^thread (.*)$", output, re.MULTILINE)
    assert len(threads) == 3, output            # the main loop, a processor, a disk
    assert set(threads) == {"CapEff:0000000000000000CapBnd:0000000000000000NoNewPrivs:1Seccomp:2"}
    assert "root: end" in output                # an empty one


@pytest.mark.slow
def test_a_guest_gets_entropy(nested):
    assert "entropy 1280" in nested["network"][1]


@pytest.mark.slow
def test_processors_have_the_topology_that_was_asked_for(nested):
    status, output = nested["processors"]
    assert status == 0, output
    assert re.search(r"processors 3 cores cpu cores\s*: 3 siblings siblings\s*: 3", output), output
    assert "numbers  0 1 2" in output
    assert "Power down" in output               # and not a halt that only the timeout ends
    assert "the kernel complains" not in output


@pytest.mark.slow
def test_the_acpi_tables_pass_the_reference_compiler(nested, tmp_path):
    if not shutil.which("iasl"):
        pytest.skip("iasl is not installed (Debian: acpica-tools)")
    tables = re.findall(r"^table (\w+) (\S+)", nested["processors"][1], re.MULTILINE)
    assert {name for name, _ in tables} == {"APIC", "FACP", "MCFG", "DSDT"}
    for name, content in tables:
        (tmp_path / f"{name}.aml").write_bytes(base64.b64decode(content))
        done = subprocess.run(["iasl", "-d", f"{name}.aml"], cwd=tmp_path, capture_output=True, text=True, check=False)
        text = (tmp_path / f"{name}.dsl").read_text()
        assert done.returncode == 0 and "incorrect checksum" not in text and "Unknown" not in text, done.stderr + text
        done = subprocess.run(["iasl", f"{name}.dsl"], cwd=tmp_path, capture_output=True, text=True, check=False)
        # The name by which Linux knows the machine's generation is none that ACPI's rules for names would give.
        said = done.stdout + done.stderr
        known = "VMGENCTR" in said and "6035" in said and "1 Errors, 0 Warnings" in said
        assert known or (done.returncode == 0 and "0 Errors" in done.stdout), done.stdout + done.stderr


def test_a_disk_has_one_writer(tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1024))
    with open(disk, "r+b") as file:
        fcntl.fcntl(file, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
        assert "is in use by another virtual machine" in vmm("--kernel", "/etc/passwd", "--disk", f"{disk}").stderr
        assert "that may write to it" in vmm("--kernel", "/etc/passwd", "--disk", f"{disk},ro").stderr


@pytest.mark.parametrize("option, reason", [
    ("/nowhere/at/all", "cannot open disk /nowhere/at/all: No such file or directory"),
    ("/proc", "cannot open disk /proc"),
    ("/dev/null", "is neither a file nor a block device"),
    (",ro", "--disk needs a file"),
    ("{file},colour=red", '--disk does not know "colour=red"'),
    ("{file},queues=0", "a disk has 1 to 8 queues, not 0"),
    ("{file},serial=123456789012345678901", "a disk's serial has at most 20 letters"),
    ("{file}", "is not a whole number of sectors"),
])
def test_what_is_no_disk_is_refused_in_one_line(tmp_path, option, reason):
    (tmp_path / "file").write_bytes(bytes(1000))
    done = vmm("--kernel", "/etc/passwd", "--disk", option.format(file=tmp_path / "file"))
    assert done.returncode == 125
    assert reason in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("content, reason", [
    (b"", "is not a file with contents"),
    (b"x" * 100, "the file is neither a bzImage nor an ELF kernel"),
    (b"x" * 4096, "the file is neither a bzImage nor an ELF kernel"),
    (b"\x7fELF\x01" + b"\0" * 4096, "the kernel is an ELF file, but not one for x86"),
    (b"\x7fELF\x02\x01" + b"\0" * 12 + b"\x3e\0" + b"\xff" * 4096, "program headers lie outside its file"),
    (b"\0" * 0x202 + b"HdrS" + b"\0" * 4096, "it enters in real mode and calls a BIOS"),
])
def test_what_is_no_kernel_is_refused_in_one_line(tmp_path, content, reason):
    (tmp_path / "kernel").write_bytes(content)
    done = vmm("--kernel", str(tmp_path / "kernel"))
    assert done.returncode == 125
    assert reason in done.stderr and done.stderr.count("\n") == 1


def test_a_guest_too_small_for_its_kernel_is_told_so():
    kernel = v2_machine.kernel()
    if not kernel:
        pytest.skip(v2_machine.missing() or "no kernel of Debian's cloud flavour in /boot")
    done = vmm("--kernel", kernel, "--memory", "16m")
    assert done.returncode == 125
    assert "more memory to unpack itself than the guest has" in done.stderr


def test_options_that_make_no_sense_are_refused():
    assert vmm().returncode == 125
    assert "1 to 64 CPUs, not 65" in vmm("--kernel", "/etc/passwd", "--cpus", "65").stderr
    assert "must be whole MiB" in vmm("--kernel", "/etc/passwd", "--memory", "1025k").stderr
    assert "unknown option --nonsense" in vmm("--nonsense").stderr


@pytest.mark.parametrize("option, reason", [
    ("tap=", 'is no name of a network interface'),
    ("tap=name-that-is-too-long", "is no name of a network interface"),
    ("tap=a,address=01:00:00:00:00:00", "is no Ethernet address of one card"),
    ("tap=a,address=02:00:00:00:00", "is no Ethernet address of one card"),
    ("address=02:00:00:00:00:01", "--network needs tap=NAME or fd=N"),
    ("fd=0", "descriptor 0 is no tap device"),
    ("bridge=x", '--network does not know "bridge=x"'),
])
def test_what_is_no_network_card_is_refused_in_one_line(option, reason):
    done = vmm("--kernel", "/etc/passwd", "--network", option)
    assert done.returncode == 125
    assert reason in done.stderr and done.stderr.count("\n") == 1, done.stderr
