# In the guest: operations on sfc's interface, one after the other, chosen by a seeded generator: link, ethtool settings,
# filters, queues, MTU, MAC, modes, traffic, resets. Afterwards the driver is removed; what the adapter then still holds is
# told by the model's log. The kernel's parameters churn= and seed= say how many operations, and which.
peer=192.0.2.1 own=192.0.2.2
ops=100 state=1
for word in $(cat /proc/cmdline); do
    case $word in
        churn=*) ops=${word#*=} ;;
        seed=*) state=${word#*=} ;;
    esac
done
. /tests/common.sh
pause=20000
details() { echo "at operation $n ($op)"; }
# Sets r to a number below $1 (Knuth's MMIX generator, the high bits).
draw() {
    state=$((state * 6364136223846793005 + 1442695040888963407))
    r=$((((state >> 33) & 0x7fffffff) % $1))
}
up() { ip link set "$net" up && ip addr replace $own/24 dev "$net"; }
reaches() { within 100 ping -c 1 -W 1 $peer; }

modprobe sfc && within 200 found || fail "no interface"
device=$(readlink -f "/sys/class/net/$net/device")
mac=$(cat "/sys/class/net/$net/address")
up
n=0 op=start rules= count=0
reaches || fail "no traffic"
while [ $n -lt "$ops" ]; do
    n=$((n + 1))
    draw 1000
    case $r in
        [0-9]|1[0-9]) op=down-up && ip link set "$net" down && up || fail ;;
        2[0-4]) op=mtu && draw 4 && ip link set "$net" mtu $((1500 + r * 1500)) || fail ;;
        2[5-9]) op=rings && draw 3 && ethtool -G "$net" rx $((512 << r)) > /dev/null 2>&1 || op=rings-same ;;
        3[0-4]) op=channels && draw 2 && ethtool -L "$net" combined $((r + 1)) > /dev/null 2>&1 || op=channels-same ;;
        3[5-6]) op=mc-reboot && ethtool --reset "$net" flags 0x00ff0000 > /dev/null && reaches || fail ;;
        37) op=flr && echo "${device##*/}" > /sys/bus/pci/drivers/sfc/unbind && echo 1 > "$device/reset" &&
            echo "${device##*/}" > /sys/bus/pci/drivers/sfc/bind && within 200 found && up && rules= && count=0 && reaches || fail ;;
        38) op=remove && rmmod sfc && modprobe sfc && within 200 found && up && rules= && count=0 && reaches || fail ;;
        # With another MAC the driver forgets its filters.
        39) op=mac && draw 250 && ip link set "$net" down && ip link set "$net" address "02:aa:00:00:00:$(printf %02x "$r")" && up &&
            rules= && count=0 || fail ;;
        [4-9][0-9]|1[0-4][0-9]) op=promiscuous && draw 2 && if [ "$r" = 0 ]; then ip link set "$net" promisc on; else ip link set "$net" promisc off; fi || fail ;;
        1[5-9][0-9]) op=multicast && draw 2 && if [ "$r" = 0 ]; then ifconfig "$net" allmulti; else ifconfig "$net" -allmulti; fi || fail ;;
        2[0-9][0-9]) op=coalescing && draw 200 && ethtool -C "$net" rx-usecs $((r + 1)) > /dev/null 2>&1 || op=coalescing-same ;;
        3[0-4][0-9]) op=checksums && draw 2 && if [ "$r" = 0 ]; then ethtool -K "$net" rx off tx off > /dev/null; else ethtool -K "$net" rx on tx on > /dev/null; fi || fail ;;
        3[5-9][0-9]) op=statistics && ethtool -S "$net" > /tmp/s || fail ;;
        4[0-9][0-9]|5[0-4][0-9]) op=spread && draw 2 && ethtool -X "$net" equal $((r + 1)) > /dev/null 2>&1 || op=spread-one-queue ;;
        5[5-9][0-9]|6[0-9][0-9]) op=filter-add
            if [ $count -lt 50 ]; then
                said=$(ethtool -N "$net" flow-type tcp4 dst-ip $own dst-port $((n % 60000 + 5000)) action -1 2>&1) || fail "$said"
                rules="$rules ${said##* }" count=$((count + 1))
            fi ;;
        7[0-9][0-9]) op=filter-delete && set -- $rules
            if [ $# -gt 0 ]; then
                ethtool -N "$net" delete "$1" || fail
                shift
                rules=$* count=$#
            fi ;;
        *) op=traffic && ping -c 1 -W 1 $peer > /dev/null || reaches || fail ;;
    esac
    [ "$ops" -le 500 ] && echo "    $n $op"
    [ $((n % 1000)) = 0 ] && echo "    $n operations, $(cut -d' ' -f1 /proc/uptime) s"
done
op=end
wget -q -O /tmp/file http://$peer:8000/file && wget -q -O /tmp/sum http://$peer:8000/sum && (cd /tmp && md5sum -c sum) || fail "the file"
ip link set "$net" down
rmmod sfc || fail "rmmod"
dmesg | grep -E 'sfc |eth[0-9]|BUG|WARNING|Call Trace|Oops' |
    grep -vE 'NIC detected|Unable to read VPD|no PTP support|link (up|down)|entered|left|resetting \((WORLD|RECOVER_OR_ALL|ALL)\)' &&
    fail "the driver complains"
echo "STEP $ops operations"
echo "STORY OK"
