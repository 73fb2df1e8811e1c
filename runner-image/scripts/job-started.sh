#!/bin/sh
# Runs in the job, before its first step: asks the dispatcher whether this job may run here, and fails the job on *no*.
# Any dispatcher can answer, so it asks for 5 minutes; then SHR_HOOK_SILENCE decides. Where no dispatcher ever
# answered this container, the address is wrong rather than the dispatcher away: a job that may run all the same waits for 15 s.
set -u
here=${0%/*}
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=callback.sh
. "$here/callback.sh"

may_run() {
  [ -z "${SHR_NEXT_JOB_STARTED:-}" ] || exec "$SHR_NEXT_JOB_STARTED"
  exit 0
}

silence() {
  if [ "${SHR_HOOK_SILENCE:-allow}" = deny ]; then
    echo "$1. The job may not run without its answer: run it again later, or ask those who run the dispatcher."
    exit 1
  fi
  [ -z "${SHR_CALLBACK_URL:-}" ] || say "$1: the job runs without its answer"
  may_run
}

[ -n "${SHR_CALLBACK_URL:-}" ] || silence 'No dispatcher is named to be asked whether this job may run here'
most=$(limit SHR_HOOK_SECONDS 300)
read_uptime
began=$up
pause=1
while :; do
  post 10 job-started \
    "repository=${GITHUB_REPOSITORY:-}" "run=${GITHUB_RUN_ID:-}" "attempt=${GITHUB_RUN_ATTEMPT:-}" \
    "event=${GITHUB_EVENT_NAME:-}" "actor=${GITHUB_ACTOR:-}" "fork=$("$here/is-fork")" \
    "job=${GITHUB_JOB:-}" "ref=${GITHUB_REF:-}"
  # A catch-all website says 200 to everything.
  case $ours$status in
    yes200)
      answer job-started
      may_run
      ;;
    yes403)
      answer job-started
      exit 1
      ;;
  esac
  longest=$most
  if [ "${SHR_HOOK_SILENCE:-allow}" != deny ] && [ ! -e "$SHR_STATE/reached" ]; then longest=$((most / 20)); fi
  tell_trouble job-started "$longest"
  read_uptime
  [ "$((up - began))" -lt "$longest" ] || break
  sleep "$pause"
  [ "$pause" -ge 15 ] || pause=$((pause * 2))
done
silence "The dispatcher gave no answer for $longest s (last: $(trouble job-started))"
