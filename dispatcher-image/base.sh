#!/bin/sh
# Makes shr-base:node, a base for the dispatcher's image without a registry: Node and the libraries that it links to, and
# nothing else. For tests, and for machines that reach no registry. It takes the Node of the clone, which `make deps`
# installs, else that of the path; NODE=path takes another one. Prints the name of the image.
set -eu
image=${IMAGE:-shr-base:node}
own=$(dirname "$0")/../node_modules/.bin/node
[ -x "$own" ] || own=$(command -v node) || own=
node=${NODE:-$own}
[ -n "$node" ] || {
  echo 'base.sh: there is no node here. Run `make deps`, or name one with NODE=path.' >&2
  exit 1
}
node=$(readlink -f "$node")
version=$("$node" --version)
"$node" --eval 'const [major, minor] = process.versions.node.split("."); process.exit(major > 24 || (major == 24 && minor >= 9) ? 0 : 1)' || {
  echo "base.sh: $node is Node $version, and the dispatcher needs 24.9 or later. Run \`make deps\`, or name one with NODE=path." >&2
  exit 1
}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/usr/local/bin" "$root/etc" "$root/tmp" "$root/proc" "$root/sys" "$root/dev"
chmod 755 "$root"
chmod 1777 "$root/tmp"
cp "$node" "$root/usr/local/bin/node"
ldd "$node" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-[^ ]*\).*/\1/p' | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
printf '%s\n' root:x:0:0:root:/root:/bin/false shr:x:10001:10001:shr:/var/lib/shr:/bin/false >"$root/etc/passwd"
printf '%s\n' root:x:0: shr:x:10001: >"$root/etc/group"
[ ! -f /etc/ssl/certs/ca-certificates.crt ] || {
  mkdir -p "$root/etc/ssl/certs"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
}
tar -C "$root" --numeric-owner --owner=0 --group=0 -cf - . |
  docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change 'CMD ["node"]' - "$image" >/dev/null
echo "$image"
