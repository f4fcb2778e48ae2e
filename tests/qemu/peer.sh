#!/bin/sh
# peer.sh CACHE SCRATCH SOCKETS MODEL-LOG COMMAND...
#   Runs COMMAND while the model serves SOCKETS (the privileged function's; behind a comma, a shared one's) with a TAP
#   device as its wire, and a machine is behind the wire: this network namespace, with the addresses 192.0.2.1 and
#   192.0.2.9. It serves
#     TCP 8000  two files by HTTP: /file, and /sum, its md5sum
#     TCP 8001  tells the md5sum of 3,000,000 bytes that it is sent
#     TCP 8003  sends 20 pieces a second until somebody hangs up
#     TCP 8002  tries what a line asks for, and tells how it came out: `curl ADDRESS PORT SOURCE`, `ping ADDRESS SOURCE`,
#               `iperf3 ADDRESS`; `pingless ADDRESS SOURCE`: that no ping comes back; `udp ADDRESS PORT SOURCE SECONDS`: how many of
#               four datagrams come back; `came IP|MAC PORT|any`: how many frames of an IP, or of a MAC, came to a UDP port, counted
#               behind the wire since the start (if CAPTURE names a file)
#   If BOOT names an initramfs and BOOT_SCRIPT a script, machines that boot from the network get addresses from 192.0.2.50 on by
#   DHCP, and by TFTP and HTTP these, and Debian's kernel.
#   SOCKETS may have a container's function between the two.
#   Must be started in user, network and PID namespaces of its own (unshare -Urn --fork --pid --kill-child): whatever it
#   starts ends with it. Every tool it needs is in CACHE.
set -eu
cache=$1 scratch=$2 sockets=$3 log=$4
shift 4
b=$cache/root/usr/bin/busybox
[ -x "$b" ] || b=$cache/root/bin/busybox
libs=$cache/root/usr/lib/x86_64-linux-gnu
www=$scratch/www
capture=${CAPTURE:-}
mkdir -p "$www"
"$b" dd if=/dev/urandom of="$www/file" bs=1000 count=3000 2> /dev/null
(cd "$www" && "$b" md5sum file > sum)

# What serves port 8002.
cat > "$scratch/try" << T
# A line that is too long or has other letters asks for nothing.
read -r what address port source seconds
case "\$what\$address\$port\$source\$seconds" in *[!a-z0-9.:]*) what=nothing ;; esac
run() { "$libs/ld-linux-x86-64.so.2" --library-path "$libs" "$cache/root/usr/bin/\$@"; }
case \$what in
    curl) run curl -sS --max-time 3 --interface "\$source" "http://\$address:\$port/" 2>&1 ;;
    ping) "$b" ping -q -c 2 -W 2 -I "\$port" "\$address" 2>&1 ;;
    pingless) ! "$b" ping -q -c 2 -W 2 -I "\$port" "\$address" 2>&1 ;;
    udp)
        "$b" ip route replace "\$address" dev wire0 src "\$source" && bash "$scratch/udp" "\$address" "\$port" "\$seconds" ;;
    came)
        case \$address in *:*) frames="ether src \$address" ;; *) frames="src host \$address" ;; esac
        case \$port in any) ;; *) frames="\$frames and udp dst port \$port" ;; esac
        run tcpdump -Z root -nn -r "$capture" "\$frames" 2> /dev/null | "$b" wc -l ;;
    iperf3) run iperf3 --connect-timeout 3000 -t 2 -c "\$address" 2>&1 | "$b" grep receiver ;;
    *) false ;;
esac
echo "rc=\$?"
T

# Sends four datagrams, and tells how many came back within so many seconds.
cat > "$scratch/udp" << 'T'
exec 3<> "/dev/udp/$1/$2" || exit 1
for n in 1 2 3 4; do echo "datagram $n" >&3; done
timeout "$3" dd bs=64 count=4 <&3 2> /dev/null | grep -c '^datagram [1-4]$'
true
T

"$b" ip link set lo up
functions=
case $sockets in
    *,*,*) functions="--container ${sockets#*,}" && functions="${functions%,*} --shared ${sockets##*,}" ;;
    *,*) functions="--shared ${sockets#*,}" ;;
esac
# shellcheck disable=SC2086
RUST_LOG=${RUST_LOG:-warn,nicfw_model::mc=debug,nicfw_model::serve=info} target/x86_64-unknown-linux-gnu/debug/nicfw-model serve --socket "${sockets%%,*}" $functions --tap wire0 > "$log" 2>&1 &
model=$!
n=0
until "$b" ip link set wire0 up mtu 9000 address 02:00:00:00:00:fe 2> /dev/null; do
    n=$((n + 1))
    [ $n -le 100 ] || { echo "the model makes no TAP device:" >&2; cat "$log" >&2; exit 1; }
    sleep 0.1
done
"$b" ip addr add 192.0.2.1/24 dev wire0
"$b" ip addr add 192.0.2.9/24 dev wire0
if [ -n "${CAPTURE:-}" ]; then
    # Nobody asks who is where: who is not bound gets no answer.
    "$b" arp -i wire0 -s 192.0.2.2 00:0f:53:00:00:02
    "$b" arp -i wire0 -s 192.0.2.10 00:0f:53:00:00:01
    "$libs/ld-linux-x86-64.so.2" --library-path "$libs" "$cache/root/usr/bin/tcpdump" -Z root -i wire0 -Q in -s 64 -U \
        -w "$CAPTURE" 2> /dev/null &
fi
if [ -n "${BOOT:-}" ]; then
    ln -s "$cache/vmlinuz" "$BOOT" "$www/"
    cp "$BOOT_SCRIPT" "$www/boot.ipxe"
    : > "$scratch/leases"
    printf '%s\n' "start 192.0.2.50" "end 192.0.2.59" "interface wire0" "lease_file $scratch/leases" \
        "option subnet 255.255.255.0" "option router 192.0.2.1" > "$scratch/udhcpd.conf"
    "$b" udhcpd -f "$scratch/udhcpd.conf" > "$scratch/dhcp.log" 2>&1 &
    "$libs/ld-linux-x86-64.so.2" --library-path "$libs" "$cache/root/usr/sbin/atftpd" --daemon --no-fork --user root \
        --group root --bind-address 192.0.2.1 --logfile - "$www" > "$scratch/tftp.log" 2>&1 &
fi
"$b" httpd -f -p 192.0.2.1:8000 -h "$www" &
# shellcheck disable=SC2016
"$b" nc -ll -p 8001 -e "$b" sh -c '"$0" head -c 3000000 | "$0" md5sum | "$0" cut -c1-32' "$b" &
# shellcheck disable=SC2016
"$b" nc -ll -p 8003 -e "$b" sh -c 'while "$0" head -c 1000 /dev/zero; do "$0" usleep 50000; done' "$b" &
"$b" nc -ll -p 8002 -e "$b" sh "$scratch/try" &

# What the model's process holds must be the same once the guest has left.
descriptors() { ls "/proc/$model/fd" | wc -l; }
before=$(descriptors)
"$@"
n=0
# Each function's client leaves by itself, the last of them when the guest is gone.
clients=$(echo "$sockets" | "$b" tr , "\n" | "$b" wc -l)
until [ "$(descriptors)" = "$before" ] && [ "$("$b" grep -c "the client has left" "$log")" -ge "$clients" ]; do
    n=$((n + 1))
    [ $n -le 50 ] || { echo "the model had $before descriptors, and has $(descriptors); see $log" >&2; exit 1; }
    sleep 0.1
done
