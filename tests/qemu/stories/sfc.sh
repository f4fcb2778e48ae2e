# In the guest: the kernel's own driver, sfc, drives the adapter. The adapter is the model, in a process outside of the
# guest, and behind its wire is a machine with the address 192.0.2.1. Ends with 0 when every step did what it should.
peer=192.0.2.1 own=192.0.2.2
. /tests/common.sh

link_is() { [ "$(cat "/sys/class/net/$net/carrier")" = "$1" ]; }
# A counter of the adapter's own, as the driver tells it.
stat() { ethtool -S "$net" | sed -n "s/^ *$1: //p"; }
grown() { [ "$(stat "$1")" -gt "$2" ]; }
reached() { ping -c 1 -W 2 "${1:-$peer}" > /dev/null; }
up() {
    ip addr add $own/24 dev "$net" 2> /dev/null
    ip link set "$net" up && within 50 link_is 1
}
# Has the driver complained since the mark? Lines that it prints with every adapter are no complaints.
mark=0
# Extra argument: a complaint that belongs to the step.
complaints() {
    dmesg | tail -n +$((mark + 1)) | grep -E 'sfc |eth[0-9]|BUG|WARNING|Call Trace|Oops' |
        grep -vE "NIC detected|Unable to read VPD|no PTP support|link (up|down)|entered|left${1:+|$1}"
}
quiet() {
    complaints "$@" && fail "the driver complains"
    mark=$(dmesg | wc -l)
}

echo "STEP sfc binds to the adapter"
mark=$(dmesg | wc -l)
modprobe sfc || fail "modprobe"
within 100 found || fail "no interface"
driver=$(readlink "/sys/class/net/$net/device/driver")
[ "${driver##*/}" = sfc ] || fail "$net has the driver $driver"
echo "$net is $(cat "/sys/class/net/$net/address")"
ethtool -i "$net" || fail "ethtool -i"
quiet

echo "STEP up: the link comes up"
up || fail "no link"
ethtool "$net" | grep -E 'Speed: 10000Mb/s|Link detected: yes' || fail "ethtool"
quiet

echo "STEP ping"
ping -c 3 -W 5 $peer || fail "ping"
quiet

echo "STEP TCP: a file from the peer arrives whole, and one to the peer"
fetch_file() {
    wget -q -O /tmp/file http://$peer:8000/file && wget -q -O /tmp/sum http://$peer:8000/sum && (cd /tmp && md5sum -c sum)
}
fetch_file || fail "the file"
said=$(nc $peer 8001 < /tmp/file) || fail "nc"
[ "$said" = "$(md5sum < /tmp/file | cut -d' ' -f1)" ] || fail "the peer got another file: $said"
quiet

echo "STEP statistics move"
before=$(stat port_rx_packets)
reached || fail "ping"
within 30 grown port_rx_packets "$before" || fail "port_rx_packets stays at $before"
ethtool -S "$net" | grep -E 'port_(tx|rx)_(packets|bytes|unicast|good)|nodesc'
[ "$(stat port_rx_nodesc_drops)" = 0 ] || fail "frames found no buffer"
[ "$(ethtool -S "$net" | grep -E 'rx_(ip_hdr|tcp_udp)_chksum_err|rx_reset|tx_(ok|err).*err' | grep -vc ': 0$')" = 0 ] || fail "errors are counted"
quiet

echo "STEP 64 frames sent are 64 more in the function's own count, and as many in its port's"
# The adapter tells them apart, and nobody else sends through the port. The peer may ask meanwhile where this machine is.
sent() {
    ethtool -S "$net" > /tmp/S
    by_function=$(sed -n 's/^ *tx_unicast: //p' /tmp/S)
    by_port=$(sed -n 's/^ *port_tx_unicast: //p' /tmp/S)
}
# The driver reads the counts once a second.
sleep 3
sent
function_before=$by_function port_before=$by_port
ping -q -c 64 -i 0.1 -W 5 $peer || fail "ping"
counted() { sent && [ $((by_function - function_before)) -ge 64 ]; }
within 50 counted || fail "the function's count has grown by $((by_function - function_before)), not by 64"
[ $((by_function - function_before)) -le 72 ] || fail "the function's count has grown by $((by_function - function_before))"
[ $((by_port - port_before)) = $((by_function - function_before)) ] || fail "the port has sent $((by_port - port_before))"
quiet

echo "STEP ethtool: features, rings, filters, hash, coalescing"
ethtool -k "$net" | grep -E '^(rx-checksumming|tx-checksumming|tcp-segmentation-offload|receive-hashing):' || fail "-k"
ethtool -g "$net" > /tmp/g && ethtool -n "$net" && ethtool -x "$net" > /tmp/x || fail "-g -n -x"
ethtool -c "$net" > /tmp/c && ethtool -a "$net" && ethtool -C "$net" rx-usecs 30 || fail "-c -a -C"
ethtool -K "$net" rx off tx off && fetch_file && ethtool -K "$net" rx on tx on && fetch_file || fail "-K"
ethtool -G "$net" rx 512 && within 50 link_is 1 && within 20 reached && fetch_file || fail "-G"
quiet

echo "STEP ethtool: online self-test"
ethtool -t "$net" online || fail "self-test"
# The driver asks for workaround 41750 first. A firmware that has it keeps it from testing interrupts; any other refuses, and
# every refusal but EPERM is a line (docs/hardware/linux-sfc.md, 6).
quiet 'online (testing|self-tests)|Passed phy selftest|MC command 0x4a inlen 8 failed rc=-2'

echo "STEP ethtool: offline self-test, and what the module tells"
ethtool -t "$net" offline > /tmp/t || { cat /tmp/t; fail "self-test"; }
grep -E 'result|chip|memory|registers' /tmp/t
within 100 link_is 1 && within 50 reached || fail "not up after the self-test"
ethtool -m "$net" | grep -E 'Vendor name *: EMULATED' || fail "-m"
fetch_file || fail "the file"
quiet 'offline (testing|self-tests)|Passed phy selftest|resetting \((ALL|WORLD)\)|MC command 0x4a inlen 8 failed rc=-2'

echo "STEP a rule of ethtool drops, and no longer when it is gone"
# Asks the peer for a file, from this local port.
range=$(cat /proc/sys/net/ipv4/ip_local_port_range)
ask() {
    echo "$1 $1" > /proc/sys/net/ipv4/ip_local_port_range
    timeout 3 wget -q -O /tmp/sum http://$peer:8000/sum
    rc=$?
    echo "$range" > /proc/sys/net/ipv4/ip_local_port_range
    return $rc
}
ask 4000 || fail "the peer does not answer"
rule=$(ethtool -N "$net" flow-type tcp4 dst-ip $own dst-port 4001 action -1 2>&1) || fail "-N: $rule"
echo "$rule"
ethtool -n "$net" | grep -A 12 Filter
ask 4001 && fail "the rule does not drop"
ask 4002 || fail "the rule drops another port"
ethtool -N "$net" delete "${rule##* }" || fail "-N delete"
ask 4001 || fail "the rule still drops"
quiet

echo "STEP down and up, three times"
for i in 1 2 3; do
    ip link set "$net" down && up && within 20 reached || fail "round $i"
done
quiet

echo "STEP MTU 9000: long frames both ways"
ip link set "$net" mtu 9000 && within 50 link_is 1 || fail "mtu"
ping -c 2 -W 5 -s 8900 $peer || fail "a long ping"
fetch_file || fail "the file"
ip link set "$net" mtu 1500 && within 20 reached || fail "mtu back"
quiet

echo "STEP another MAC"
old=$(cat "/sys/class/net/$net/address")
ip link set "$net" down && ip link set "$net" address 02:aa:bb:cc:dd:01 && up && within 20 reached || fail "another MAC"
ip link set "$net" down && ip link set "$net" address "$old" && up && within 20 reached || fail "the MAC back"
quiet

echo "STEP VLAN 7: the driver takes it up and drops it"
modprobe 8021q
ip link add link "$net" name v7 type vlan id 7 && ip addr add 198.51.100.2/24 dev v7 && ip link set v7 up || fail "vlan"
before=$(stat port_tx_packets)
reached 198.51.100.1 && fail "nobody is on the VLAN"
within 30 grown port_tx_packets "$before" || fail "nothing was sent on the VLAN"
ip link del v7
quiet

echo "STEP promiscuous and multicast"
ip link set "$net" promisc on && reached && ip link set "$net" promisc off && reached || fail "promiscuous"
ifconfig "$net" allmulti && reached && ifconfig "$net" -allmulti && reached || fail "multicast"
quiet

echo "STEP the MC reboots: the driver recovers"
ping -i 0.2 -c 60 $peer > /tmp/ping & pinger=$!
ethtool --reset "$net" flags 0x00ff0000 || fail "--reset"
within 100 reached || fail "no recovery"
kill $pinger
fetch_file || fail "the file"
quiet 'resetting \(WORLD\)'

echo "STEP FLR between two drivers"
device=$(readlink -f "/sys/class/net/$net/device")
echo "${device##*/}" > /sys/bus/pci/drivers/sfc/unbind
echo 1 > "$device/reset" || fail "FLR"
echo "${device##*/}" > /sys/bus/pci/drivers/sfc/bind
within 100 found && up && within 20 reached || fail "after the FLR"
quiet

echo "STEP rmmod, modprobe, twice"
for i in 1 2; do
    rmmod sfc || fail "rmmod"
    modprobe sfc && within 100 found && up && within 20 reached || fail "modprobe again"
done
fetch_file || fail "the file"
quiet
echo "STORY OK"
