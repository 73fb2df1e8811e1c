#!/bin/bash
# As the real one: keeps the listener going through its helper. With RUNNER_MANUALLY_TRAP_SIG it turns TERM and INT into an
# INT for the helper's group; without, it has no trap.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -n "$RUNNER_MANUALLY_TRAP_SIG" ]; then
  set -m
  trap 'kill -INT -"$helper"' INT TERM
fi
while :; do
  cp -f "$root/run-helper.sh.template" "$root/run-helper.sh"
  "$root/run-helper.sh" "$@" &
  helper=$!
  wait "$helper"
  code=$?
  [ "$code" -eq 2 ] && continue
  if [ "$code" -gt 128 ]; then
    trap - INT TERM
    wait "$helper"
  fi
  [ -n "$RUNNER_MANUALLY_TRAP_SIG" ] || [ "$code" -eq 7 ] || code=0
  exit "$code"
done
