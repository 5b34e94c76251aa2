#!/bin/sh
# nginx.sh HOST:PORT UPSTREAM_A UPSTREAM_B FOLDER: Debian's nginx, with its files in FOLDER.
set -eu
PATH="$PATH:/usr/sbin"
sed -e "s|@listen@|$1|" -e "s|@a@|$2|" -e "s|@b@|$3|" -e "s|@state@|$4|" nginx.conf.in > "$4/nginx.conf"
exec nginx -e stderr -p "$4" -c "$4/nginx.conf"
