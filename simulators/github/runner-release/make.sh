#!/bin/sh
# make.sh VERSION NODE FOLDER: makes actions-runner-linux-<arch>-VERSION.tar.gz in FOLDER, laid out as the real release, from
# the demo runner and this Node program. The same input gives the same bytes. Prints its path.
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
mkdir -p "$root/bin" "$root/externals/node24/bin"
cp "$here/bin/Runner.Listener" "$here/../runner.mjs" "$root/bin"
cp "$here/run.sh" "$here/run-helper.sh.template" "$here/safe_sleep.sh" "$root"
cp -L "$node" "$root/externals/node24/bin/node"
chmod -R u+w "$root"
tar -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - . | gzip -1 -n >"$file"
echo "$file"
