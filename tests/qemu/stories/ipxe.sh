# In the guest that iPXE has started (boot.ipxe): the kernel's own driver, sfc, takes the adapter that iPXE left.
peer=192.0.2.1 own=192.0.2.2
. /tests/common.sh

echo "STEP sfc takes the adapter that iPXE had"
modprobe sfc || fail "modprobe"
within 100 found || fail "no interface"
[ "$(cat "/sys/class/net/$net/address")" = 00:0f:53:00:00:00 ] || fail "another MAC"
ip addr add $own/24 dev "$net" && ip link set "$net" up || fail "up"
within 100 ping -c 1 -W 1 $peer || fail "nobody answers"

echo "STEP what it fetches is what is there"
wget -q -O /tmp/file http://$peer:8000/file && wget -q -O /tmp/sum http://$peer:8000/sum || fail "wget"
[ "$(md5sum < /tmp/file | cut -c1-32)" = "$(cut -c1-32 /tmp/sum)" ] || fail "another file"

echo "STEP devlink tells what the adapter runs, and what is stored on its board"
device=$(basename "$(readlink "/sys/class/net/$net/device")")
devlink dev info "pci/$device" > /tmp/info || fail "devlink"
sed 's/^/    /' /tmp/info
running=$(sed -n '/running:/,/stored:/s/^ *fw.mgmt //p' /tmp/info)
[ "$running" = 6.2.7.1000 ] || fail "the firmware that runs is '$running'"

echo "STEP the kernel complains about nothing"
dmesg | grep -E 'sfc .*(fail|error|rc=-)|BUG:|WARNING:' && fail "see above"
echo "STORY OK"
