#!/bin/sh
# peer.sh CACHE SCRATCH SOCKET MODEL-LOG COMMAND...
#   Runs COMMAND while the model serves SOCKET with a TAP device as its wire, and a machine is behind the wire: this
#   network namespace, with the address 192.0.2.1. It serves
#     TCP 8000  two files by HTTP: /file, and /sum, its md5sum
#     TCP 8001  tells the md5sum of 3,000,000 bytes that it is sent
#   Must be started in user, network and PID namespaces of its own (unshare -Urn --fork --pid --kill-child): whatever it
#   starts ends with it. Every tool it needs is an applet of the busybox in CACHE.
set -eu
cache=$1 scratch=$2 socket=$3 log=$4
shift 4
b=$cache/root/usr/bin/busybox
[ -x "$b" ] || b=$cache/root/bin/busybox
www=$scratch/www
mkdir -p "$www"
"$b" dd if=/dev/urandom of="$www/file" bs=1000 count=3000 2> /dev/null
(cd "$www" && "$b" md5sum file > sum)
"$b" ip link set lo up
target/debug/nicfw-model serve --socket "$socket" --tap wire0 > "$log" 2>&1 &
n=0
until "$b" ip link set wire0 up mtu 9000 2> /dev/null; do
    n=$((n + 1))
    [ $n -le 100 ] || { echo "the model makes no TAP device:" >&2; cat "$log" >&2; exit 1; }
    sleep 0.1
done
"$b" ip addr add 192.0.2.1/24 dev wire0
"$b" httpd -f -p 192.0.2.1:8000 -h "$www" &
# shellcheck disable=SC2016
"$b" nc -ll -p 8001 -e "$b" sh -c '"$0" head -c 3000000 | "$0" md5sum | "$0" cut -c1-32' "$b" &
"$@"
