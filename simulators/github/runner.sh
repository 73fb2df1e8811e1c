#!/bin/sh
# The demo runner for containers with only a POSIX shell and wget (busybox is enough). It uses the same protocol as
# runner.mjs (see sessions.ts) and exits with the same codes. Request bodies are passed as files, so that the
# runner's token never appears in an argument list.
set -u

say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ): $*"; }

blob=${ACTIONS_RUNNER_INPUT_JITCONFIG:-}
unset ACTIONS_RUNNER_INPUT_JITCONFIG
if [ -z "$blob" ]; then
  say 'ACTIONS_RUNNER_INPUT_JITCONFIG is not set'
  exit 1
fi
config=$(printf %s "$blob" | base64 -d 2>/dev/null | sed -n 's/.*"\.simulator":"\([^"]*\)".*/\1/p' | base64 -d 2>/dev/null)
blob=
url=$(printf '%s\n' "$config" | sed -n 's/^url //p')
token=$(printf '%s\n' "$config" | sed -n 's/^token //p')
name=$(printf '%s\n' "$config" | sed -n 's/^name //p')
config=
if [ -z "$url" ] || [ -z "$token" ]; then
  say 'ACTIONS_RUNNER_INPUT_JITCONFIG is not a JIT configuration of the GitHub simulator'
  exit 1
fi

root=${RUNNER_ROOT:-$PWD}
[ "$root" = / ] && root=
temp="$root/_work/_temp.$$"
umask 077
mkdir -p "$temp" 2>/dev/null || {
  root=/tmp
  temp="/tmp/_work/_temp.$$"
  mkdir -p "$temp" || exit 1
}

stopping=
cancelling=
step_pid=
heart_pid=
poll_pid=

clean() { rm -rf "$temp"; }

# request FILE LINE...: the body of one request.
request() {
  file=$1
  shift
  printf '%s\n' "token $token" "$@" >"$file"
}

# post VERB BODY REPLY: one exchange; 0 when the simulator answered. The timeout is longer than a long poll.
post() { timeout 40 wget -q -O "$3" --post-file "$2" "$url/_runner/$1" 2>/dev/null; }

# ask VERB LINE...: retries until there is an answer, and leaves it in $temp/reply. Every verb may be repeated.
ask() {
  verb=$1
  shift
  request "$temp/request" "$@"
  tries=0
  until post "$verb" "$temp/request" "$temp/reply"; do
    tries=$((tries + 1))
    if [ "$tries" -ge 8 ]; then
      say "no answer to $verb from $url"
      leave 2
    fi
    sleep 1
  done
  word=$(sed -n '1s/ .*//p;1{/ /!p}' "$temp/reply" | sed -n 1p)
  rest=$(sed -n '1s/^[^ ]* //p' "$temp/reply")
}

stop_heart() {
  [ -n "$heart_pid" ] && kill "$heart_pid" 2>/dev/null
  heart_pid=
}

leave() {
  stop_heart
  clean
  exit "$1"
}

# Ends the running step: TERM, and after a while KILL, to its whole group.
end_step() {
  [ -n "$step_pid" ] || return 0
  # More than once: a new process can miss the first signal, or may not have its own group yet.
  (
    for second in 1 2 3 4 5 6 7; do
      kill -TERM -- "-$step_pid" 2>/dev/null || kill -TERM "$step_pid" 2>/dev/null || exit 0
      sleep 1
    done
    kill -KILL -- "-$step_pid" 2>/dev/null
  ) >/dev/null 2>&1 &
}

on_signal() {
  [ -n "$stopping" ] && return 0
  stopping=yes
  say 'shutting down'
  [ -n "$poll_pid" ] && kill "$poll_pid" 2>/dev/null
  end_step
}
on_cancel() {
  [ -n "$cancelling" ] && return 0
  cancelling=yes
  say 'The job is being cancelled'
  end_step
}
trap on_signal TERM INT
trap on_cancel USR1

tries=0
while :; do
  ask hello 'os Linux' 'version 2.335.0'
  [ "$word" = conflict ] && [ "$tries" -lt 10 ] && [ -z "$stopping" ] || break
  tries=$((tries + 1))
  sleep 1
done
case $word in
  session) session=$rest ;;
  conflict)
    say 'A session for this runner already exists'
    leave 5
    ;;
  *)
    say 'The runner registration has been deleted from the server'
    leave 1
    ;;
esac
heartbeat=$(sed -n 's/^heartbeat //p' "$temp/reply")
pause=$(awk "BEGIN { print ${heartbeat:-5000} / 1000 }")
say "Runner $name is connected. Listening for Jobs"

job=
misses=0
while [ -z "$stopping" ]; do
  request "$temp/poll" "session $session" 'wait 20'
  # In the background, because a trap waits for a foreground command to end.
  post poll "$temp/poll" "$temp/message" &
  poll_pid=$!
  if wait "$poll_pid"; then
    misses=0
  elif [ -z "$stopping" ]; then
    misses=$((misses + 1))
    if [ "$misses" -ge 8 ]; then
      say "no answer to poll from $url"
      leave 2
    fi
    sleep 1
    continue
  fi
  poll_pid=
  [ -n "$stopping" ] && break
  read -r word job <"$temp/message" || word=
  case $word in
    gone)
      say 'The runner registration has been deleted from the server'
      leave 1
      ;;
    job)
      ask take "session $session" "job $job"
      [ "$word" = ok ] && break
      job=
      ;;
    *) job= ;;
  esac
done

if [ -z "$job" ]; then
  # Like the real one: an idle runner that is stopped ends its session and keeps its registration.
  request "$temp/request" "session $session"
  post bye "$temp/request" "$temp/reply"
  leave 0
fi

title=$(sed -n 's/^name //p' "$temp/reply")
work="$root/_work/$(sed -n 's/^directory //p' "$temp/reply")"
mkdir -p "$work"
say "Running job: $title"

request "$temp/beat"
listener=$$
(
  # Ends with the runner, even if that is killed.
  while kill -0 "$listener" 2>/dev/null; do
    answer=$(timeout 10 wget -q -O - --post-file "$temp/beat" "$url/_runner/beat" 2>/dev/null)
    [ "$answer" = cancel ] && kill -USR1 "$listener"
    sleep "$pause"
  done
) >/dev/null 2>&1 &
heart_pid=$!

after=1
outcome=success
result=gone
while :; do
  [ -n "$stopping" ] && outcome=terminated
  ask next "after $after" "outcome $outcome"
  if [ "$word" = end ]; then
    result=$rest
    break
  fi
  [ "$word" = run ] || break
  after=${rest%% *}
  say "Step: ${rest#* }"
  cp "$temp/reply" "$temp/next"
  ask script "step $after"
  cp "$temp/reply" "$temp/$after.sh"
  [ -n "$stopping" ] && continue
  # A step that the server starts despite the cancellation has to run in any case.
  allowed=$(sed -n '2s/^cancelled$/yes/p' "$temp/next")
  [ -n "$allowed" ] && cancelling=yes
  # A new session has its own process group, so that the step's children end with it.
  (cd "$work" && exec setsid sh -e "$temp/$after.sh") >"$temp/output" 2>&1 </dev/null &
  step_pid=$!
  [ -n "$stopping" ] && end_step
  [ -n "$cancelling" ] && [ -z "$allowed" ] && end_step
  # A trap interrupts `wait`: wait again until the step has really ended.
  while :; do
    wait "$step_pid"
    code=$?
    kill -0 "$step_pid" 2>/dev/null || break
  done
  step_pid=
  cat "$temp/output"
  {
    printf '%s\n\n' "token $token"
    tail -c 65536 "$temp/output"
  } >"$temp/log"
  post log "$temp/log" "$temp/reply"
  if [ "$code" -eq 0 ]; then
    outcome=success
  elif [ -n "$cancelling" ] && [ -z "$allowed" ]; then
    outcome=cancelled
  else
    outcome=failure
  fi
done

say "Job $title completed with result: $result"
if [ "${ACTIONS_RUNNER_RETURN_JOB_RESULT_FOR_HOSTED:-}" = true ]; then
  case $result in
    success) leave 100 ;;
    failure) leave 102 ;;
    cancelled) leave 103 ;;
    *) leave 105 ;;
  esac
fi
leave 0
