# shellcheck shell=sh
# Proxies in both spellings: curl reads http_proxy in small letters alone, many programs read the capitals alone.

for name in http_proxy https_proxy no_proxy; do
  capitals=$(printf '%s' "$name" | tr '[:lower:]' '[:upper:]')
  eval "small=\${$name:-} large=\${$capitals:-}"
  # shellcheck disable=SC2154 # eval sets them
  if [ -n "${small:-$large}" ]; then
    export "$name=${small:-$large}" "$capitals=${large:-$small}"
  fi
done
