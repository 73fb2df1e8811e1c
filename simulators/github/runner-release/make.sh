#!/bin/sh
# make.sh VERSION NODE FOLDER: makes actions-runner-linux-<arch>-VERSION.tar.gz in FOLDER, laid out as the real release, from
# the demo runner and this Node program; without one (an empty word) it takes the Node of the path. The same input gives the same bytes. Prints its path.
set -eu
here=$(cd "${0%/*}" && pwd)
version=$1
node=$2
case $(uname -m) in
  aarch64 | arm64) architecture=arm64 ;;
  *) architecture=x64 ;;
esac
file=$3/actions-runner-linux-$architecture-$version.tar.gz
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# Not every sh comes there when a signal ends it.
trap 'exit 130' HUP INT TERM
mkdir -p "$root/bin"
cp "$here/bin/Runner.Listener" "$here/../runner.mjs" "$root/bin"
cp "$here/run.sh" "$here/run-helper.sh.template" "$here/safe_sleep.sh" "$root"
if [ -n "$node" ]; then
  mkdir -p "$root/externals/node24/bin"
  cp -L "$node" "$root/externals/node24/bin/node"
fi
chmod -R u+w "$root"
# Only GNU tar can; without it the bytes differ each time.
same='--sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner'
# shellcheck disable=SC2086 # flags
tar $same --version >/dev/null 2>&1 || same=
# shellcheck disable=SC2086 # flags
tar -C "$root" $same -cf - . | gzip -1 -n >"$file"
echo "$file"
