/**
 * What a container runs where a registration names no `command`: our own image's entrypoint, or else the official runner
 * image's layout as it is, under a small watchdog. Every provider may use it.
 */

/**
 * POSIX sh in one line, without an apostrophe: it passes unchanged through services that quote, split or log a command.
 * Without `$$` and `$(NAME)` either, which services of Kubernetes' descent replace before a shell sees them.
 *
 * The watchdog reads what the listener writes into `_diag/`, and looks for its worker in /proc. It signals the program that
 * it stands beside, never another one, and leaves a container alone that has no /proc/uptime.
 */
const SCRIPT = [
  '[ ! -x /opt/shr/entrypoint ] || exec /opt/shr/entrypoint;',
  'for run in /home/runner/run.sh /actions-runner/run.sh ./run.sh ""; do [ ! -x "$run" ] || break; done;',
  'if [ -z "$run" ]; then',
  'echo "shr: this image has no runner: neither /opt/shr/entrypoint nor run.sh in /home/runner, /actions-runner or its working folder" >&2;',
  'exit 127; fi;',
  // The token is of use to the hooks of our own image alone.
  'unset SHR_CALLBACK_TOKEN;',
  'export RUNNER_MANUALLY_TRAP_SIG=1 ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1;',
  'up() { up=0; read -r up rest </proc/uptime && up="${up%%.*}"; } 2>/dev/null;',
  'pick() { case "$1" in ""|*[!0-9]*|??????????*) limit="$2";; *) limit="$1";; esac; };',
  'pick "$SHR_LIFE_SECONDS" 435600; life="$limit";',
  'pick "$SHR_ONLINE_SECONDS" 600; online="$limit";',
  'pick "$SHR_IDLE_SECONDS" 4200; idle="$limit";',
  'pick "$SHR_CANCEL_SECONDS" 600; cancel="$limit";',
  'me=1; read -r me rest </proc/self/stat; up; began="$up";',
  'over() {',
  'echo "shr: $1" >&2; kill -TERM "$me"; [ "$cancel" -lt 60 ] || cancel=60; sleep "$cancel";',
  // The first process of a container cannot be killed from within; its listener can, and then it ends.
  'if [ "$me" -gt 1 ]; then kill -KILL "$me"; else',
  'for p in /proc/[0-9]*; do case "${p#/proc/}" in 1) continue;; esac;',
  'if grep -qsx "Runner[.].*" "$p/comm"; then kill -KILL "${p#/proc/}"; fi; done; fi; exit; };',
  'watch() {',
  'quiet="$began"; worked=; listens=;',
  'while sleep 2 && kill -0 "$me" 2>/dev/null; do up;',
  '[ "$((up-began))" -lt "$life" ] || over "the container has reached its $life s of life";',
  'if [ -z "$listens" ]; then',
  'if grep -qs "Listening for Jobs" "${run%/*}"/_diag/Runner_*.log; then listens=1; quiet="$up";',
  // Without a log nothing says that it is not online: then the limit on idling ends it.
  'elif grep -qs . "${run%/*}"/_diag/Runner_*.log && [ "$((up-began))" -ge "$online" ]; then over "the runner was not online within $online s"; fi; fi;',
  'if grep -qsx "Runner[.]Worker" /proc/[0-9]*/comm; then worked=1; quiet="$up";',
  'elif [ -n "$worked" ] && [ "$((up-quiet))" -ge "$cancel" ]; then over "the listener went on for $cancel s after its job";',
  'elif [ -z "$worked" ] && [ "$((up-quiet))" -ge "$idle" ]; then over "the runner had no job for $idle s"; fi;',
  'done; };',
  // Where the worker could not be seen, a busy runner would look idle.
  'if [ "$up" -gt 0 ] && grep -qs . /proc/self/comm; then watch & fi;',
  'exec "$run"',
].join(' ');

/** The default of an adapter's option `command`. An image without a shell needs a command of its own. */
export const RUNNER_COMMAND: readonly string[] = ['/bin/sh', '-c', SCRIPT, 'shr'];
