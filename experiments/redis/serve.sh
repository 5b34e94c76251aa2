#!/bin/sh
# serve.sh HOST:PORT FOLDER [redis-server's options]: Debian's redis-server as it is, with its data in FOLDER.
set -eu
address=$1
folder=$2
shift 2
exec redis-server --bind "${address%:*}" --port "${address##*:}" --dir "$folder" --enable-debug-command local "$@"
