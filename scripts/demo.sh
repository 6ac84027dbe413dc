#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The main job from start to end: a Debian root file system with nginx, made with mmdebstrap, becomes an image, runs as a container
# with a published port, answers, and everything is removed again. Works in folders of its own; the host's store is not touched.
# usage: scripts/demo.sh BUILD
set -eu
build=$(readlink -f "$1")

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() {
    printf '$'
    for word; do
        case $word in *[!A-Za-z0-9_./:=@-]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
    done
    echo
    "$@"
}
onggi() { "$build/src/cli/onggi" "$@"; }

[ "$(id -u)" = 0 ] || { echo "demo: needs root, for the bridge of the published port; \`sudo make demo\`" >&2; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/onggi-demo.XXXXXX")
export ONGGI_ROOT="$work/root" ONGGI_STATE="$work/state"
clean() {
    onggi rm --force web >/dev/null 2>&1 || :
    # The bridge goes a second after the last one who used it; its description must stay until then.
    bridge=$(onggi network inspect default 2>/dev/null | sed -n 's/.*bridge.name": "\(.*\)".*/\1/p')
    for _ in $(seq 50); do
        ip link show "${bridge:-none}" >/dev/null 2>&1 || break
        sleep 0.1
    done
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

say '1. A program in a container, from the image that onggi brings along'
show onggi run --rm onggi/base echo 'hello from a container'

say '2. A Debian root file system with nginx, made by mmdebstrap (the longest step: about 40 packages from the Debian archive)'
program=nginx
log="$work/mmdebstrap.log"
if mmdebstrap --mode=root --variant=essential --include=nginx-light --aptopt='Acquire::Retries "3"' \
        --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --customize-hook='echo "served by nginx of Debian, from an onggi container" >"$1/var/www/html/index.html"' \
        bookworm "$work/nginx.tar" >"$log" 2>&1; then
    ls -sh "$work/nginx.tar" | sed "s|$work/||"
    show onggi import --change 'CMD ["nginx", "-g", "daemon off;"]' --change 'EXPOSE 80' "$work/nginx.tar" debian-nginx
else
    tail -n 3 "$log" >&2
    echo "demo: mmdebstrap could not make the file system (is the Debian archive reachable?);" \
        "going on with busybox httpd of onggi/base instead" >&2
    program=busybox
fi
show onggi images

say '3. The server in a container: 64 MB of memory, half a processor, a port on the host'
if [ $program = nginx ]; then
    show onggi run --detach --name web --memory 64m --cpus 0.5 --publish 127.0.0.1::80 debian-nginx
else
    show onggi run --detach --name web --memory 64m --cpus 0.5 --publish 127.0.0.1::80 onggi/base \
        sh -c 'echo "served by busybox, from an onggi container" >/tmp/index.html; exec httpd -f -p 80 -h /tmp'
fi
show onggi ps
address=$(onggi port web 80)

say '4. It answers'
show curl --silent --show-error --fail --retry 20 --retry-connrefused --retry-delay 1 "http://$address/"
show onggi stats --no-stream web

say '5. Everything is removed'
show onggi rm --force web
trap - EXIT
clean
echo 'done.'
