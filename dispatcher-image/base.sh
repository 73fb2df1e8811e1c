#!/bin/sh
# Makes shr-base:node, a base for the dispatcher's image without a registry: this machine's Node and the libraries that
# it links to, and nothing else. For tests, and for machines that reach no registry. NODE=path takes another Node.
# Prints its name.
set -eu
image=${IMAGE:-shr-base:node}
node=$(readlink -f "${NODE:-$(command -v node)}")

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
