#!/bin/sh
# Makes shr-demo:busybox, the image of the Docker tests and of `make demo BACKEND=docker`: busybox with all its applets.
# Made from the static busybox of this machine, without a registry (Debian: busybox-static; another one: BUSYBOX=path);
# where there is none the official busybox image is pulled instead. Does nothing where it is there already.
# Prints its name.
set -eu
image=shr-demo:busybox
busybox=${BUSYBOX:-$(command -v busybox || true)}

if docker image inspect "$image" >/dev/null 2>&1; then
  echo "$image"
  exit 0
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# Not every sh comes there when a signal ends it.
trap 'exit 130' HUP INT TERM

import_busybox() {
  mkdir -p "$root/bin" "$root/etc" "$root/home/runner" "$root/proc" "$root/root" "$root/run" "$root/sys" "$root/tmp" \
    "$root/usr" "$root/var"
  chmod 755 "$root"
  chmod 1777 "$root/tmp"
  cp "$busybox" "$root/bin/busybox"
  "$busybox" --list | while read -r applet; do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
  done
  ln -s ../bin "$root/usr/bin"
  ln -s bin "$root/sbin"
  printf '%s\n' root:x:0:0:root:/root:/bin/sh runner:x:1001:1001:runner:/home/runner:/bin/sh >"$root/etc/passwd"
  printf '%s\n' root:x:0: runner:x:1001: >"$root/etc/group"
  tar -C "$root" --numeric-owner --owner=0 --group=0 -cf - . |
    docker import --change 'ENV PATH=/bin' --change 'CMD ["/bin/sh"]' - "$image" >/dev/null
}

runs() {
  docker run --rm --network none "$image" true >/dev/null 2>&1
}

if [ -n "$busybox" ]; then
  import_busybox
  # A dynamic busybox has no libraries in there.
  if runs; then
    echo "$image"
    exit 0
  fi
  docker image rm -f "$image" >/dev/null
fi

if docker pull --quiet busybox:stable >/dev/null && docker tag busybox:stable "$image" && runs; then
  echo "$image"
  exit 0
fi
echo "no image for the tests: install busybox-static (or set BUSYBOX to a static one), or let the engine pull busybox:stable" >&2
exit 1
