/**
 * The shell that stands between the dispatcher and the command, so that an instance needs no dispatcher to live and to
 * leave its exit code. It is copied into each instance's folder: a newer dispatcher does not change what runs.
 */
export const SUPERVISOR = `#!/bin/sh
# Usage: supervise FOLDER COMMAND [ARGUMENT...]   Made by serverless-hosted-runner, provider "process".
folder=$1
shift

command -p mkfifo "$folder/pipe" 2>/dev/null
[ -p "$folder/pipe" ] || exit 70

# One symbolic link is lock and identity in one atomic step: whoever makes it runs the command, all others leave.
read -r stat <"/proc/$$/stat" || exit 70
read -r boot </proc/sys/kernel/random/boot_id || exit 70
set -f
start=$(set -- \${stat##*) }; echo "\${20}")
command -p ln -s "$$-$start-$boot" "$folder/supervisor" 2>/dev/null || exit 0

# The dispatcher reads this end of file as "accepted".
exec >/dev/null 2>&1
cd "$folder/work" || exit 71

# Reads the command's output. Two files of about 1 MiB at the most; dd writes each read at once, so that output is seen
# while the command runs.
keep() {
  trap '' TERM INT HUP
  before=0
  while :; do
    command -p dd bs=4096 count=256 >>"$folder/output" 2>/dev/null
    size=$(command -p wc -c <"$folder/output") || break
    [ "$size" -eq "$before" ] && break
    before=$size
    if [ "$size" -ge 1048576 ]; then
      command -p mv "$folder/output" "$folder/output.old" || break
      before=0
    fi
  done
  # End of output, or a full disk: then the command must still not block on its output.
  command -p cat >/dev/null
  # The supervisor has let go of the pipe, so the exit code is known; nobody else holds it, so all is read. In this
  # order whoever sees the end also sees the last line.
  command -p mv "$folder/exit.new" "$folder/exit"
  kill -KILL 0
}

# SIGTERM goes to the whole group; this shell stays to write the exit code. A caught signal, unlike an ignored one,
# is back to its default in the command.
trap : TERM INT HUP

keep <"$folder/pipe" &
exec 3>"$folder/pipe"
"$@" </dev/null >&3 2>&1 3>&-
echo "$?" >"$folder/exit.new"

# Like a container, the instance ends with its first process: what that left behind goes too, whether it lets go of
# the output at SIGTERM (then the reader ends the group) or not (then this shell does).
kill -TERM 0
exec 3>&-
command -p sleep 2
command -p mv "$folder/exit.new" "$folder/exit"
kill -KILL 0
`;
