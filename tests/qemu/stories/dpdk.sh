# In the guest: three functions of one adapter. nicfw has the privileged one through VFIO. An application of a container, DPDK's
# testpmd as Debian ships it, drives the second one by itself, through VFIO as well: no kernel sees its frames. The third one,
# the kernel's driver's, is only there to talk to the machine behind the wire (192.0.2.1 and 192.0.2.9), which sends frames on
# request and tells how many came: it counts on its side of the wire. Ends with 0 when every step did what it should.
peer=192.0.2.1 stranger=192.0.2.9 own=192.0.2.2 app=192.0.2.10
app_mac=00:0f:53:00:00:01 peer_mac=02:00:00:00:00:fe
log=/tmp/testpmd.log
exec 9> /dev/null
. /tests/common.sh
details() {
    printf 'show port stats 0\nshow fwd stats all\nshow port xstats 0\n' >&9
    sleep 3
    tail -n +20 $log | grep -v ': 0$'
}
peer() { ask "$@" || fail "peer cannot: $*: $said"; }
# udp PORT SOURCE WANTED: four datagrams to the application; so many must come back.
udp() {
    seconds=3
    [ "$3" = 0 ] || seconds=30
    peer udp $app "$1" "$2" $seconds
    echo "    udp from $2 to $app:$1: $said came back"
    [ "$said" = "$3" ] || fail "$3 should"
}
# came WANTED WHOSE PORT: frames that have come behind the wire by then.
came() {
    peer came "$2" "$3"
    [ "$said" = "$1" ] || { sleep 2; peer came "$2" "$3"; }
    echo "    behind the wire, from $2 to port $3: $said"
    [ "$said" = "$1" ] || fail "$1 should"
}
# Types a line at testpmd's prompt, and waits for the words that answer it.
lines() { wc -l < $log; }
types() {
    before=$(lines)
    echo "$1" >&9
    within 600 answered "$2" || fail "testpmd does not say '$2' to '$1'"
}
answered() { tail -n +"$((before + 1))" $log | grep -q "$1"; }
# Forwards by a mode, after so many bursts of 32 frames that nobody asked for. $sent is what the mode before has sent, as the
# adapter's own counts tell.
forwards() {
    types stop 'Done\|not started'
    sent=$(tail -n +"$((before + 1))" $log | sed -n 's/^ *TX-packets: \([0-9]*\) .*/\1/p' | head -1)
    types "set fwd $1" "Set $1 packet forwarding mode"
    types "start${2:+ tx_first $2}" 'io packet forwarding\|packet forwarding - ports'
}

for device in /sys/bus/pci/devices/*; do
    [ "$(cat "$device/vendor")" = 0x1924 ] || continue
    case $(cat "$device/device") in
        0x0a03) pf=${device##*/} ;;
        0x1a03) vfs="$vfs ${device##*/}" ;;
    esac
done
# shellcheck disable=SC2086
set -- $vfs
vf=$1 host=$2
[ -n "$pf" ] && [ -n "$host" ] || fail "three functions are wanted, there are: $pf $vfs"

echo "STEP the privileged function and the container's go to vfio-pci, the host's to sfc"
modprobe vfio_iommu_type1
modprobe vfio-pci
for function in "$pf" "$vf"; do
    echo vfio-pci > "/sys/bus/pci/devices/$function/driver_override"
    echo "$function" > /sys/bus/pci/drivers_probe
done
modprobe sfc || fail "modprobe sfc"
within 100 test -d "/sys/bus/pci/devices/$host/net" || fail "sfc makes no interface"
net=$(ls "/sys/bus/pci/devices/$host/net")
echo 1 > "/proc/sys/net/ipv6/conf/$net/disable_ipv6" 2> /dev/null
ip addr add $own/24 dev "$net" && ip link set "$net" up || fail "up"
# ARP requests go to everybody, and nobody but the bound may send or get anything.
arp -i "$net" -s $peer $peer_mac || fail "arp"
for function in "$pf" "$vf" "$host"; do
    driver=$(readlink "/sys/bus/pci/devices/$function/driver")
    echo "    $function: ${driver##*/}"
done

echo "STEP testpmd takes the function, and echoes what it gets"
echo 96 > /proc/sys/vm/nr_hugepages
mkdir -p /dev/hugepages && mount -t hugetlbfs none /dev/hugepages || fail "huge pages"
mkfifo /tmp/typed
LD_PRELOAD=/lib/libstdbuf.so _STDBUF_O=L dpdk-testpmd -l 0-1 --iova-mode=va --in-memory --no-telemetry -a "$vf" \
    -d /lib/dpdk/librte_mempool_ring.so -d /lib/dpdk/librte_net_sfc.so -- \
    -i --total-num-mbufs=8192 --rxd=512 --txd=512 --burst=32 --forward-mode=5tswap \
    --eth-peer=0,$peer_mac --tx-ip=$app,$peer --tx-udp=4000,9000 < /tmp/typed > $log 2>&1 &
testpmd=$!
exec 9> /tmp/typed
within 1200 grep -q '^testpmd>' $log || fail "testpmd does not start"
grep -E 'Port 0: |Link speed|Probe PCI driver: net_sfc' $log | sed 's/^/    /'
grep -qi "Port 0: $app_mac" $log || fail "testpmd does not have the MAC $app_mac"
types start '5tswap packet forwarding'

echo "STEP without a policy the peer reaches every port of the application, from every address"
udp 5000 $peer 4
udp 5001 $peer 4
udp 5000 $stranger 4

echo "STEP nicfw applies the policy through the privileged function, and testpmd goes on polling"
nicfw apply /dpdk.yaml --device "$pf" --adopt --reason "story: only the echo service" || fail "apply"

echo "STEP what the policy allows passes both ways, what it denies does not"
udp 5000 $peer 4
udp 5001 $peer 0
udp 5000 $stranger 0
forwards icmpecho
peer ping $app $peer
echo "$said" | sed 's/^/    /'
peer pingless $app $stranger
echo "$said" | sed 's/^/    /'
forwards 5tswap 2
came 64 $app 9000

echo "STEP what the application forges does not pass: the peer's IP, the peer's MAC and IP, a MAC and IP of nobody"
forwards macswap
# Beside the 64 it has sent back what the peer says of a port that nobody listens at.
[ "$sent" -ge 64 ] && [ "$sent" -le 96 ] || fail "the adapter has counted $sent frames, not 64"
udp 5000 $peer 0
came 0 $peer 5000
forwards io
echo "    sent by the application: $sent"
[ "$sent" = 4 ] || fail "4 should be"
udp 5000 $peer 0
came 0 $peer_mac any
forwards flowgen
echo "    sent by the application: $sent"
[ "$sent" = 4 ] || fail "4 should be"
sleep 2
forwards 5tswap
echo "    sent by the application: $sent"
[ "$sent" -ge 1000 ] || fail "it forged next to nothing"
came 0 10.254.0.0 any
udp 5000 $peer 4

echo "STEP the application's own rules of rte_flow change what it gets of that, and nothing else"
ends="pattern eth / ipv4 dst is $app / udp dst is"
types "flow create 0 ingress $ends 5001 / end actions queue index 0 / end" 'Flow rule #0 created'
types "flow create 0 ingress $ends 5000 / end actions drop / end" 'Flow rule #1 created'
udp 5001 $peer 0
udp 5000 $peer 0
udp 5000 $stranger 0
types 'flow destroy 0 rule 1' 'Flow rule #1 destroyed'
udp 5000 $peer 4
udp 5000 $stranger 0

echo "STEP the policy changes while testpmd polls: port 5001 instead of 5000, and no more reports"
sed 's/local_ports: 5000/local_ports: 5001/; /reports/d' /dpdk.yaml > /dpdk-moved.yaml
nicfw apply /dpdk-moved.yaml --device "$pf" --reason "story: the service moves" & change=$!
rounds=0
while kill -0 $change 2> /dev/null; do
    udp 5000 $stranger 0
    udp 5002 $peer 0
    rounds=$((rounds + 1))
done
wait $change || fail "apply"
[ $rounds -ge 1 ] || fail "nothing was tried meanwhile"
echo "    what both policies deny was tried $rounds times meanwhile"
udp 5001 $peer 4
udp 5000 $peer 0
udp 5001 $stranger 0
forwards 5tswap 2
sleep 1
came 64 $app 9000

echo "STEP testpmd leaves in good order, the same process as at first"
kill -0 $testpmd || fail "testpmd is gone"
types stop 'Forward statistics for port 0'
echo quit >&9
exec 9>&-
wait $testpmd || fail "testpmd ends with $?"

echo "STEP the kernel complains about nothing"
dmesg | grep -E 'DMAR:.*fault|vfio.*(error|fail)|sfc .*(fail|error|rc=-)|BUG:|WARNING:' && fail "see above"
echo "STORY OK"
