#!/bin/sh
# Makes shr-base:machine, a base for the runner image, from this machine's own programs and their libraries: without a
# network or a registry, in a few seconds. Needs a Linux with GNU coreutils. Prints its name.
set -eu
image=${1:-shr-base:machine}
programs="awk base64 basename bash cat chmod chown cp cut date dirname du env find free git grep groups gzip head hostname id
ln ls mkdir mktemp mv nproc printenv ps rm rmdir sed seq setpriv setsid sh sha256sum sleep sort stat tail tar tee test timeout
tini touch tr true uname uniq wc which xargs curl"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# Not every sh comes there when a signal ends it.
trap 'exit 130' HUP INT TERM
mkdir -p "$root/usr/bin" "$root/etc/ssl/certs" "$root/home" "$root/opt" "$root/proc" "$root/root" "$root/run" "$root/sys" \
  "$root/tmp" "$root/usr/lib" "$root/var/lib" "$root/dev"
# As on every current Linux. /usr/sbin too: what looks for a program there finds it.
ln -s usr/bin "$root/bin"
ln -s usr/bin "$root/sbin"
ln -s bin "$root/usr/sbin"
for folder in lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
ln -s /run "$root/var/run"
chmod 755 "$root"
chmod 1777 "$root/tmp"

lacking=
# The list is one of words. shellcheck disable=SC2086
for program in $programs; do
  found=$(command -v "$program" || true)
  case $found in
    /*) cp -L "$found" "$root/usr/bin/$program" ;;
    *)
      # A builtin of this shell: the program beside it.
      for folder in /usr/bin /bin; do
        [ -x "$folder/$program" ] && cp -L "$folder/$program" "$root/usr/bin/$program" && continue 2
      done
      lacking="$lacking $program"
      ;;
  esac
done
if [ -n "$lacking" ]; then
  echo "this machine lacks$lacking (on Debian: apt-get install tini curl git procps util-linux), or name a base: BASE=debian:bookworm-slim" >&2
  exit 1
fi

# Every library that they are linked with, and those of name service and of the demo's Node.
{
  for program in "$root"/usr/bin/*; do ldd "$program" 2>/dev/null || true; done
  [ -z "${NODE:-}" ] || ldd "$NODE"
} | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | sort -u >"$root/libraries"
ls /lib/*/libnss_files.so.2 /lib/*/libnss_dns.so.2 2>/dev/null >>"$root/libraries" || true
while read -r library; do
  folder=$root/usr/${library#/usr/}
  folder=${folder%/*}
  case $library in /usr/*) ;; *) folder=$root/usr${library%/*} ;; esac
  mkdir -p "$folder"
  cp -L "$library" "$folder/"
done <"$root/libraries"
rm "$root/libraries"
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
printf '%s\n' root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
printf '%s\n' root:x:0: >"$root/etc/group"
printf 'PRETTY_NAME="this machine"\n' >"$root/etc/os-release"
tar -C "$root" --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 -cf - . |
  docker import --change 'ENV PATH=/usr/bin' --change 'CMD ["/bin/sh"]' - "$image" >/dev/null
echo "$image"
