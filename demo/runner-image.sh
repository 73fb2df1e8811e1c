#!/bin/sh
# Builds the runner image with a stand-in release, whose runner works for the simulated GitHub: the image of
# `make demo BACKEND=docker` and of the tests. On BASE, or else on a base made of this machine's own programs; TARGET is slim
# or dind. Needs no network where the base has what runner-image/build/prepare-base asks for. NODE is the Node program that
# goes into the release; without it (on a Mac) the base has one. With BASE, NETWORK=none builds without one too. Prints the image's name, which stands for all that it was made of: one that is there is not built
# again. Says on stderr which base it is.
set -eu
here=$(cd "${0%/*}" && pwd)
command -v docker >/dev/null || {
  echo 'the docker command is missing: install it (Debian: apt-get install docker.io), beside an engine that may be elsewhere' >&2
  exit 1
}
target=${TARGET:-slim}
version=2.335.0
node=${NODE:-}
# Without a Node for the release, the base must have one; and one of this machine's programs has none.
[ -n "$node" ] || BASE=${BASE:-node:24-bookworm-slim}

command -v sha256sum >/dev/null || sha256sum() { shasum -a 256 "$@"; }
made_of=$({
  echo "$target ${BASE:-}"
  [ -z "$node" ] || "$node" --version
  cd "$here/.."
  find runner-image demo/base.sh demo/runner-image.sh simulators/github/runner-release simulators/github/runner.mjs \
    -type f ! -path '*/dist/*' | LC_ALL=C sort | while read -r file; do sha256sum "$file"; done
} | sha256sum | cut -c 1-12)
image=shr-runner:$target-$made_of
if docker image inspect "$image" >/dev/null 2>&1; then
  echo "runner image $image on ${BASE:-a base made of this machine}, built before" >&2
  echo "$image"
  exit 0
fi

context=$(mktemp -d)
trap 'rm -rf "$context" "$context.log"' EXIT
# Not every sh comes there when a signal ends it.
trap 'exit 130' HUP INT TERM

if [ -n "${BASE:-}" ]; then
  base=$BASE
  network=${NETWORK:-default}
else
  base=shr-base:machine
  network=none
  if ! NODE=$node "$here/base.sh" "$base" >/dev/null; then
    base=debian:bookworm-slim
    network=default
  fi
fi
echo "building the runner image $image on $base" >&2

cp -R "$here/../runner-image/." "$context"
mkdir -p "$context/dist"
rm -f "$context"/dist/*
"$here/../simulators/github/runner-release/make.sh" "$version" "$node" "$context/dist" >/dev/null
(cd "$context/dist" && sha256sum ./*.tar.gz | sed 's/ \.\// /') >"$context/runner.sha256"

# What the builder says is of interest where it fails.
if ! docker build --force-rm --network "$network" --target "$target" --tag "$image" \
  --build-arg "BASE=$base" --build-arg "RUNNER_VERSION=$version" "$context" >"$context.log" 2>&1; then
  tail -n 25 "$context.log" >&2
  exit 1
fi
echo "$image"
