#!/bin/sh
# A stand-in for dockerd: works with the storage drivers in $STAND_IN_DRIVERS alone, and answers a ping on its socket. Needs a
# Node, beside the runner or on the path.
for word in "$@"; do
  case $before in
    --storage-driver) driver=$word ;;
    --host) socket=${word#unix://} ;;
  esac
  before=$word
done
case " ${STAND_IN_DRIVERS-vfs} " in
  *" $driver "*) ;;
  *)
    echo "failed to start daemon: error initializing graphdriver: $driver" >&2
    exit 1
    ;;
esac
[ -z "$STAND_IN_SILENT" ] || exec sleep 60
node=/home/runner/externals/node24/bin/node
[ -x "$node" ] || node=node
exec "$node" -e '
  const [socket] = process.argv.slice(1);
  const { chmodSync, chownSync, readFileSync } = require("node:fs");
  const server = require("node:http").createServer((_, response) => response.end("OK"));
  server.listen(socket, () => {
    const group = /^docker:x:(\d+):/m.exec(readFileSync("/etc/group", "utf8"));
    if (group) chownSync(socket, 0, Number(group[1]));
    chmodSync(socket, 0o660);
  });
' "$socket"
