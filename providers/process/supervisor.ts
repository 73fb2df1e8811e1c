/**
 * The shell between the dispatcher and the command, so that an instance lives and leaves its exit code without a
 * dispatcher. It is copied into each instance's folder, so that a newer dispatcher does not change what is running.
 */
export const SUPERVISOR = `#!/bin/sh
# Usage: supervise FOLDER COMMAND [ARGUMENT...]   Made by serverless-hosted-runner, provider "process".
folder=$1
shift

command -p mkfifo "$folder/pipe" 2>/dev/null
[ -p "$folder/pipe" ] || exit 70

# One symbolic link is lock and identity in one atomic step: its creator runs the command, all others exit.
read -r stat <"/proc/$$/stat" || exit 70
read -r boot </proc/sys/kernel/random/boot_id || exit 70
set -f
start=$(set -- \${stat##*) }; echo "\${20}")
command -p ln -s "$$-$start-$boot" "$folder/supervisor" 2>/dev/null || exit 0

# The dispatcher reads this end of file as "accepted".
exec >/dev/null 2>&1
cd "$folder/work" || exit 71

# Reads the command's output into two files of at most about 1 MiB each; dd writes each read at once, so that output is
# visible while the command runs.
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
  # End of output, or a full disk: even then the command must not block on its output.
  command -p cat >/dev/null
  # The supervisor has closed the pipe, so the exit code is known; no other writer is left, so everything has been read.
  # In this order, a reader that sees the end also sees the last line.
  command -p mv "$folder/exit.new" "$folder/exit"
  kill -KILL 0
}

# SIGTERM goes to the whole group; this shell stays to write the exit code. A caught signal, unlike an ignored one,
# is reset to its default in the command.
trap : TERM INT HUP

keep <"$folder/pipe" &
exec 3>"$folder/pipe"
"$@" </dev/null >&3 2>&1 3>&-
echo "$?" >"$folder/exit.new"

# Like a container, the instance ends with its first process: processes that it left behind are killed too, whether they
# close the output at SIGTERM (then the reader ends the group) or not (then this shell does).
kill -TERM 0
exec 3>&-
command -p sleep 2
command -p mv "$folder/exit.new" "$folder/exit"
kill -KILL 0
`;
