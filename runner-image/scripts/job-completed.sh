#!/bin/sh
# Runs in the job, after its last step: tells the dispatcher what the job used, and prints its words into the job's log.
# Never fails: that would fail the job.
set -u
here=${0%/*}
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=callback.sh
. "$here/callback.sh"

# shellcheck disable=SC2046 # one word each
set -- $("$here/measure")
# The runner tells its hooks nothing of the result: the exit code of the listener does.
hint job-completed 2 result= "$@"
if [ "$ours$status" = yes200 ]; then
  answer job-completed
else
  echo 'This job used, as the container counts:'
  printf '  %s\n' "$@"
fi
[ -z "${SHR_NEXT_JOB_COMPLETED:-}" ] || exec "$SHR_NEXT_JOB_COMPLETED"
exit 0
