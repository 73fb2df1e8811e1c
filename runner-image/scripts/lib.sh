# shellcheck shell=sh
# Words, time and limits: read by the scripts beside it.

say() { printf 'shr: %s\n' "$*" >&2; }

# Sets `up`: whole seconds since the machine started. Unlike the time of day, this is never set back.
read_uptime() {
  read -r up _ </proc/uptime
  up=${up%%.*}
}

# limit NAME DEFAULT: prints the variable's seconds, or the default where it is missing or not a whole number.
limit() {
  eval "given=\${$1:-}"
  # shellcheck disable=SC2154 # eval sets it
  case $given in
    0 | [1-9] | [1-9][0-9] | [1-9][0-9][0-9] | [1-9][0-9][0-9]*)
      case $given in
        *[!0-9]* | ??????????*) ;;
        *)
          printf '%s\n' "$given"
          return
          ;;
      esac
      ;;
    '')
      printf '%s\n' "$2"
      return
      ;;
  esac
  say "$1 is not a whole number of seconds, so $2 applies: $given"
  printf '%s\n' "$2"
}
