# shellcheck shell=sh
# Calls to the dispatcher. Everything works without them, except a container that waits for its JIT configuration.

status=000
# Whether the last answer was a dispatcher's; otherwise empty.
ours=

# post SECONDS EVENT [NAME=VALUE ...]: one call. Sets `status` (000: no answer, and `trouble` says why) and leaves the words in
# $SHR_STATE/answer.EVENT. Only a dispatcher marks its answers: one of a proxy or another website does not count as `reached`.
post() {
  seconds=$1
  event=$2
  shift 2
  status=000
  ours=
  [ -n "${SHR_CALLBACK_URL:-}" ] || return 0
  for field in "$@"; do
    set -- "$@" --data-urlencode "$field"
    shift
  done
  [ "$#" -gt 0 ] || set -- --data ''
  # The token stays out of the argument list: curl reads it from a file.
  [ ! -s "$SHR_STATE/callback-header" ] || set -- "$@" --header "@$SHR_STATE/callback-header"
  status=$(curl --silent --show-error --max-time "$seconds" --max-filesize 32768 --output "$SHR_STATE/answer.$event" \
    --dump-header "$SHR_STATE/head.$event" --write-out '%{http_code}' "$@" "$SHR_CALLBACK_URL/$event" 2>"$SHR_STATE/trouble.$event") || status=000
  if [ "$status" != 000 ] && grep -qi '^shr-dispatcher: 1' "$SHR_STATE/head.$event"; then
    ours=yes
    : >"$SHR_STATE/reached"
  fi
}

# trouble EVENT: why the last call brought no answer that counts: the status, or curl's words without its number.
trouble() {
  [ "$status" = 000 ] || {
    [ -n "$ours" ] && echo "$status" || echo "$status, not of a dispatcher"
    return
  }
  words=$(sed -n '1s/^curl: ([0-9]*) //p' "$SHR_STATE/trouble.$1" 2>/dev/null)
  case $words in
    *issuer* | *self?signed* | *verification*) words="$words; SHR_CA_CERTIFICATES of the image names further authorities" ;;
  esac
  echo "${words:-no answer}"
}

# tell_trouble EVENT SECONDS: each reason once, so that a log shows what is waited for.
told=
tell_trouble() {
  reason=$(trouble "$1")
  [ "$reason" != "$told" ] || return 0
  told=$reason
  say "no answer yet from $SHR_CALLBACK_URL ($reason): asks again for up to $2 s"
}

# hint EVENT TRIES [NAME=VALUE ...]: may fail without a consequence. Only a dispatcher's answer is one: a proxy's 404 says nothing.
hint() {
  hinted=$1
  left=$2
  shift 2
  while [ "$left" -gt 0 ] && [ ! -e "$SHR_STATE/no-hints" ]; do
    post 5 "$hinted" "$@"
    case $ours$status in
      yes2??) return 0 ;;
      # This dispatcher does not know us, and will not: stop telling it.
      yes401 | yes404) : >"$SHR_STATE/no-hints" ;;
    esac
    left=$((left - 1))
  done
}

# answer EVENT: prints the words of the last call.
answer() {
  head -c 8192 "$SHR_STATE/answer.$1" 2>/dev/null || :
}
