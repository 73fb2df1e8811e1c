#!/bin/sh
# What `make image` does: builds the runner image with the pinned release. BASE is what it is built on, TARGET slim or dind,
# TAG its name, PUSH=1 pushes it. MIRROR is a folder that `shr runner-dist mirror` made, or its URL. NETWORK=none builds without
# a network, with the release in dist/ or in such a folder.
set -eu
here=$(cd "${0%/*}" && pwd)
command -v docker >/dev/null || {
  echo 'the docker command is missing: install it (Debian: apt-get install docker.io), beside an engine that may be elsewhere' >&2
  exit 1
}
target=${TARGET:-slim}
version=$(sed -n 's/.*actions-runner-linux-[^-]*-\(.*\)\.tar\.gz$/\1/p' "$here/runner.sha256" | sort -u)
if [ -z "$version" ]; then
  echo 'no release of the runner is pinned: run shr runner-dist pin --public, which asks github.com and writes runner-image/runner.sha256, or shr runner-dist pin --registration NAME in the folder of dispatcher.yaml, which asks the GitHub of that registration' >&2
  exit 1
fi
if [ "$(printf '%s\n' "$version" | wc -l)" -ne 1 ]; then
  echo "runner-image/runner.sha256 pins more than one release: $(echo "$version" | paste -s -d ' ' -): leave the lines of one" >&2
  exit 1
fi
case $target in
  slim | dind) ;;
  *)
    echo "TARGET is slim or dind, and not '$target'" >&2
    exit 1
    ;;
esac
case ${PUSH:-} in
  '' | 1) ;;
  *)
    echo "PUSH is 1 or not set, and not '$PUSH'" >&2
    exit 1
    ;;
esac
mirror=
case ${MIRROR:-} in
  '') ;;
  https://* | http://*) mirror=${MIRROR%/} ;;
  *)
    # Into the build context: a builder may be on another machine. Whole or not at all: the next build would take the rest for it.
    for platform in linux-x64 linux-arm64; do
      file=actions-runner-$platform-$version.tar.gz
      [ -e "${MIRROR%/}/v$version/$file" ] || continue
      mkdir -p "$here/dist"
      cp "${MIRROR%/}/v$version/$file" "$here/dist/.$file.$$"
      mv "$here/dist/.$file.$$" "$here/dist/$file"
      mirror=$here/dist
    done
    if [ -z "$mirror" ]; then
      echo "$MIRROR has no runner $version: run shr runner-dist mirror --to $MIRROR" >&2
      exit 1
    fi
    mirror=
    ;;
esac
tag=${TAG:-serverless-hosted-runner/runner:$version-$target}
set -- --target "$target" --build-arg "RUNNER_VERSION=$version" --tag "$tag"
[ -z "${BASE:-}" ] || set -- "$@" --build-arg "BASE=$BASE"
[ -z "$mirror" ] || set -- "$@" --build-arg "RUNNER_MIRROR=$mirror"
[ -z "${NETWORK:-}" ] || set -- "$@" --network "$NETWORK"
docker build --force-rm "$@" "$here"
echo "built $tag: runner $version on ${BASE:-$(sed -n 's/^ARG BASE=//p' "$here/Dockerfile")}"
if [ "${PUSH:-}" = 1 ]; then
  docker push "$tag"
fi
