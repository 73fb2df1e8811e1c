#!/bin/sh
# Builds shr-test:busybox, the image of the tests and of `make demo BACKEND=docker`: a static busybox with all its
# applets, made here without a registry. Does nothing where the image is there already. Prints its name.
set -eu
image=shr-test:busybox
busybox=${BUSYBOX:-$(command -v busybox || true)}

if docker image inspect "$image" >/dev/null 2>&1; then
  echo "$image"
  exit 0
fi
if [ -z "$busybox" ]; then
  echo "busybox is missing: apt-get install busybox-static, or set BUSYBOX" >&2
  exit 1
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/etc" "$root/home/runner" "$root/proc" "$root/root" "$root/run" "$root/sys" "$root/tmp" "$root/usr" "$root/var"
chmod 755 "$root"
chmod 1777 "$root/tmp"
cp "$busybox" "$root/bin/busybox"
"$busybox" --list | while read -r applet; do
  [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
ln -s ../bin "$root/usr/bin"
ln -s bin "$root/sbin"
echo 'root:x:0:0:root:/root:/bin/sh
runner:x:1001:1001:runner:/home/runner:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:
runner:x:1001:' >"$root/etc/group"
tar -C "$root" --numeric-owner --owner=0 --group=0 -cf - . |
  docker import --change 'ENV PATH=/bin' --change 'CMD ["/bin/sh"]' - "$image" >/dev/null
# A dynamic busybox has no libraries in there, and would fail much later with words that nobody understands.
if ! docker run --rm --network none "$image" true 2>/dev/null; then
  docker image rm "$image" >/dev/null
  echo "$busybox does not run alone: install busybox-static" >&2
  exit 1
fi
echo "$image"
