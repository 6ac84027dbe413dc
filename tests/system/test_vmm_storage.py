# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks and network cards of onggi-vmm with a stock kernel, on the real KVM of an emulated machine: images and their chains, limits,
a host without room, cards with several queues, the user-mode network. QEMU's tools judge the images there."""
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import programs

sys.path.insert(0, str(Path(__file__).parent.parent / "nested"))
import guests  # noqa: E402
import v2_machine  # noqa: E402

BLOCK = ("virtio_pci", "virtio_blk", "ext4")

# The guest knows its disks by serial. `fill` writes a file of so many MiB and waits until it is on the disk.
IMAGES_SCRIPT = """
mount -t ext4 -o discard /dev/vda /mnt && cat /mnt/greeting && echo more >>/mnt/greeting
dd if=/dev/zero bs=1M count=6 2>/dev/null | tr '\\0' x >/mnt/big && sync && sha256sum </mnt/big
rm /mnt/big && sync
umount /mnt
blkdiscard /dev/vdb 2>/dev/null || echo no blkdiscard
dd if=/dev/vda of=/dev/vdb bs=64k count=64 2>/dev/null && sync
"""

KILLED_SCRIPT = """
i=0
while :; do
    dd if=/dev/urandom of=/dev/vda bs=64k count=8 seek=$((i % 40 * 3)) conv=fsync 2>/dev/null
    i=$((i + 1)); echo round $i
done
"""

LIMITS_SCRIPT = """
read begin rest </proc/uptime
dd if=/dev/vda of=/dev/null bs=64k count=48 iflag=direct 2>/dev/null
read end rest </proc/uptime
echo "limited $begin $end"
"""

FULL_SCRIPT = """
dd if=/dev/zero bs=64k count=96 2>/dev/null | tr '\\0' y | dd of=/dev/vda bs=64k conv=fsync 2>&1 | grep -v records
"""

# What the emulated machine does beside a guest that is paused: looks, makes room, lets it go on.
FULL_HOST = """
mkdir -p /small && mount -t tmpfs -o size=5m small /small && dd if=/dev/zero of=/small/filler bs=1M count=3 2>/dev/null
truncate -s 8M /small/disk
(n=0; until [ $((n += 1)) -gt 100 ] || talk unix-send /full '{"command":"status"}' </dev/null 2>/dev/null | grep paused; do sleep 0.3; done
 rm /small/filler; mount -o remount,size=16m /small; talk unix-send /full '{"command":"resume"}' </dev/null) >/answers 2>&1 &
"""

QUEUES_SCRIPT = """
ip addr add 10.9.0.2/24 dev eth0
ip link set eth0 up
ls /sys/class/net/eth0/queues | tr '\\n' ' '
for i in 1 2 3; do wget -q -O /tmp/data http://10.9.0.1/data && sha256sum </tmp/data; done
"""

NETWORK_HOST = """
mknod /dev/net/tun c 10 200 2>/dev/null
grep -q nobody /etc/passwd || echo nobody:x:65534:65534::/:/bin/sh >>/etc/passwd
mkdir -p /www && [ -e /www/data ] || dd if=/dev/urandom of=/www/data bs=1M count=2 2>/dev/null
ip link add br9 type bridge 2>/dev/null
httpd -h /www -p 80 2>/dev/null
sha256sum </www/data
"""

USER_SCRIPT = """
cat >/lease <<'END'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface; ip route add $router dev $interface; ip route add default via $router
END
chmod +x /lease
ip link set eth0 up
udhcpc -n -q -t 5 -s /lease -i eth0 >/dev/null 2>&1
echo "leased $(ip -4 addr show eth0 | grep -c inet) mtu $(cat /sys/class/net/eth0/mtu)"
wget -q -O /tmp/data http://10.9.9.2/data && sha256sum </tmp/data
(echo hello from the guest | nc -l -p 8000) &
sleep 1; wait; dmesg | grep -i segfault
sleep 4; cat /sys/class/net/eth0/carrier
"""


def missing():
    for tool in ("qemu-img", "mkfs.ext4", "passt"):
        if not shutil.which(tool):
            return f"{tool} is not installed (Debian: qemu-utils, e2fsprogs, passt)"
    return v2_machine.missing()


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    if missing():
        pytest.skip(missing())
    folder = tmp_path_factory.mktemp("storage")
    bench = guests.Bench(folder, programs.program("onggi-vmm"))
    for tool in ("qemu-img", "passt"):
        path = shutil.which(tool)
        bench.files |= {f"/bin/{tool}": path, **guests.libraries(path)}
    talk = folder / "talk"
    subprocess.run(["cc", "-static", "-o", talk, Path(__file__).parent.parent / "nested/talk.c"], check=True)
    bench.files["/bin/talk"] = talk
    (folder / "tree").mkdir()
    (folder / "tree/greeting").write_text("hello from the base\n")
    subprocess.run(["truncate", "--size", "16M", folder / "base"], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-d", folder / "tree", folder / "base"], check=True)
    bench.files["/disks/base"] = folder / "base"

    bench.guest("images", IMAGES_SCRIPT, modules=BLOCK,
                before="sum=$(sha256sum </disks/base); qemu-img create -q -f qcow2 -b base -F raw /disks/top; "
                       "qemu-img create -q -f qcow2 -o cluster_size=4k /disks/other 16M",
                options=["--disk", "/disks/top", "--disk", "/disks/other,format=qcow2", "--cpus", "2"],
                after="qemu-img check /disks/top; qemu-img check /disks/other; [ \"$sum\" = \"$(sha256sum </disks/base)\" ] && echo "
                      "the base is as it was; echo size of the overlay $(du -k /disks/top | cut -f1); "
                      "qemu-img convert -O raw /disks/top /flat; grep -c more /flat")
    bench.guest("killed", KILLED_SCRIPT, modules=BLOCK, seconds=60, options=["--disk", "/disks/killed,format=qcow2"],
                before="qemu-img create -q -f qcow2 -o cluster_size=4k /disks/killed 16M; n=0; (until [ $((n += 1)) -gt 200 ] || [ $(du -k /disks/killed | cut -f1) -gt 1500 ]; do sleep 0.2; done; kill -9 $(pidof onggi-vmm)) &",
                after="qemu-img check /disks/killed >/check 2>&1; echo check says $?; cat /check")
    bench.guest("limits", LIMITS_SCRIPT, modules=BLOCK, options=["--disk", "/disks/base,ro,format=raw,rate-bytes=1m:64k"])
    bench.guest("error", FULL_SCRIPT, modules=BLOCK, options=["--disk", "/small/disk,format=raw"], before=FULL_HOST,
                after="kill $!; umount /small")
    bench.guest("pause", FULL_SCRIPT, modules=BLOCK, options=["--disk", "/small/disk,format=raw,full=pause", "--control", "/full"],
                before=FULL_HOST, after="cat /answers; umount /small")
    bench.guest("queues", QUEUES_SCRIPT, modules=("virtio_pci", "virtio_net"), before=NETWORK_HOST + """
                (until [ -e /sys/class/net/many ]; do sleep 0.1; done; ip addr add 10.9.0.1/24 dev many; ip link set many up) &""",
                options=["--cpus", "2", "--network", "tap=many,queues=2"])
    bench.guest("user", USER_SCRIPT, modules=("virtio_pci", "virtio_net"), before=NETWORK_HOST + """
                tunctl -t up0 >/dev/null; ip addr add 10.9.9.1/24 dev up0; ip link set up0 up; ip route add default via 10.9.9.2 dev up0
                (n=0; until [ $((n += 1)) -gt 80 ] || nc -w 2 127.0.0.1 9000 </dev/null 2>/dev/null | grep guest; do sleep 0.5; done; sleep 2; kill $(pidof passt)) &""",
                options=["--network", "user,publish=9000:8000"], after="wait")
    return bench.run()


def ended_well(nested, name):
    status, output = nested[name]
    assert status == 0, output
    inside, _, after = output.partition("ended with")
    return inside, after


@pytest.mark.slow
def test_a_guest_writes_an_overlay_and_discards_reach_the_file(nested):
    inside, after = ended_well(nested, "images")
    assert "hello from the base" in inside
    assert after.count("No errors were found on the image.") == 2, after
    assert "the base is as it was" in after
    assert int(re.search(r"size of the overlay (\d+)", after).group(1)) < 3 * 1024, after
    assert after.rstrip().endswith("1"), after


@pytest.mark.slow
def test_a_killed_vmm_leaves_a_whole_image(nested):
    output = nested["killed"][1]
    assert nested["killed"][0] == 137 and "round 2" in output, output
    assert int(re.search(r"check says (\d+)", output).group(1)) in (0, 3), output


@pytest.mark.slow
def test_a_disk_gets_no_more_than_its_rate(nested):
    inside, _ = ended_well(nested, "limits")
    begin, end = map(float, re.search(r"limited (\S+) (\S+)", inside).groups())
    assert end - begin > 2.7, inside            # 3 MiB at 1 MiB/s, with a burst of 64 KiB


@pytest.mark.slow
def test_where_the_host_is_full_the_guest_sees_an_error(nested):
    inside, _ = ended_well(nested, "error")
    assert re.search(r"[Ii]/?O? ?error|Input/output error", inside), inside
    assert "onggi-vmm: disk /small/disk: the guest sees an I/O error: No space left on device" in inside


@pytest.mark.slow
def test_where_the_host_is_full_the_guest_waits_if_it_shall(nested):
    inside, after = ended_well(nested, "pause")
    assert "there is no room left on the host; the guest is paused" in inside
    assert "rror" not in inside.replace("full=error", ""), inside
    assert '"state":"paused"' in after and '"ok":true' in after, after


@pytest.mark.slow
def test_a_card_has_several_queues(nested):
    inside, _ = ended_well(nested, "queues")
    assert "rx-0 rx-1 tx-0 tx-1" in inside
    sums = re.findall(r"\b[0-9a-f]{64}\b", inside)
    assert len(sums) == 4 and len(set(sums)) == 1, inside


@pytest.mark.slow
def test_a_guest_reaches_the_world_through_passt_and_is_reached(nested):
    inside, _ = ended_well(nested, "user")
    assert "leased 1" in inside
    sums = re.findall(r"^[0-9a-f]{64}", inside, re.MULTILINE)
    assert len(sums) == 2 and len(set(sums)) == 1, inside
    assert "hello from the guest" in nested["user"][1]


@pytest.mark.slow
def test_the_end_of_passt_is_told_to_guest_and_user(nested):
    inside, _ = ended_well(nested, "user")
    assert "onggi-vmm: passt " in inside, inside


@pytest.mark.parametrize("option, reason", [
    ("user,queues=2", "a network card by passt has one pair of queues"),
    ("tap=a,publish=80:80", "publish= is for a network card by passt"),
    ("user,publish=80", "publish=80: it takes [ADDRESS:]HOST:GUEST[/udp], two ports"),
    ("user,publish=0:80", "two ports"),
    ("user,tap=a", "--network needs tap=NAME or fd=N or user"),
    ("tap=a,queues=9", "a network card has 1 to 8 pairs of queues, not 9"),
    ("tap=a,rate-bytes=fast", '"fast" is no rate'),
])
def test_what_is_no_network_card_is_refused_in_one_line(option, reason):
    done = subprocess.run([programs.program("onggi-vmm"), "--kernel", "/etc/passwd", "--network", option], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 125 and reason in done.stderr and done.stderr.count("\n") == 1, done.stderr
