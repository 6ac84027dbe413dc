#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Installs the Debian packages that a purpose needs; does nothing (and asks for no privilege) when all are there.
# usage: scripts/packages.sh build|demo|test|bench|lint|fuzz...
set -eu

build="gcc libc6-dev meson ninja-build pkg-config libjansson-dev libseccomp-dev libarchive-dev
       libmnl-dev libnftnl-dev nettle-dev zlib1g-dev libzstd-dev busybox-static"
demo="mmdebstrap curl ca-certificates iproute2 linux-image-cloud-amd64 erofs-utils e2fsprogs"
test="$demo libcmocka-dev libzydis-dev python3-pytest python3-pytest-xdist skopeo uidmap passt iproute2 nftables strace procps
      podman catatonit containernetworking-plugins containerd docker.io iptables crun runc jq zstd
      qemu-system-x86 linux-image-cloud-amd64 acpica-tools qemu-utils erofs-utils e2fsprogs cpio lz4
      seabios ovmf grub-rescue-pc ipxe u-boot-qemu memtest86+"
bench="$demo crun runc podman time util-linux nftables iproute2 lz4 qemu-utils qemu-system-x86 linux-image-cloud-amd64"
lint="clang-format clang-tidy jq shellcheck"
fuzz="clang libclang-rt-14-dev"

wanted=
for purpose in "$@"; do
    case $purpose in
        build) wanted="$wanted $build" ;;
        demo) wanted="$wanted $build $demo" ;;
        test) wanted="$wanted $build $test" ;;
        bench) wanted="$wanted $build $bench" ;;
        lint) wanted="$wanted $build $lint" ;;
        fuzz) wanted="$wanted $build $fuzz" ;;
        *) echo "usage: $0 build|demo|test|bench|lint|fuzz..." >&2; exit 2 ;;
    esac
done

missing=
for package in $wanted; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "onggi: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# Services of the packages (dockerd, containerd, nginx) are of no use to us: keep them from starting.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod 755 $policy
    made_policy=1
fi
trap '[ -z "$made_policy" ] || $sudo rm -f $policy' EXIT
$sudo apt-get install -y --no-install-recommends $missing >/dev/null 2>&1 || {
    $sudo apt-get update -q >&2
    $sudo apt-get install -y -q --no-install-recommends $missing >&2
}
