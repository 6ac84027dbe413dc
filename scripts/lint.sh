#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Checks formatting, then runs clang-tidy over every source file that the build compiles.
# usage: scripts/lint.sh BUILD
set -eu
build=$1
cd "$(dirname "$0")/.."
status=0

git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror || status=1

[ -f "$build/compile_commands.json" ] || meson setup "$build" >/dev/null
# Generated headers must be there; clang must not stumble over options that only gcc knows.
ninja -C "$build" >/dev/null
files=$(jq -r '.[].file' "$build/compile_commands.json" | grep '^\.\./\|^/' | sort -u | sed "s|^\.\./||")
# shellcheck disable=SC2086 # file names of this repository have no blanks
printf '%s\n' $files | xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$build" --extra-arg=-Wno-unknown-warning-option || status=1

git ls-files -z 'scripts/*.sh' .ci/run | xargs -0 shellcheck || status=1
exit $status
