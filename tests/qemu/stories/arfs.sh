# In the guest, with two processors: two functions of one adapter, as in `both`. The kernel's driver, sfc, has the unprivileged
# one with accelerated RFS on, and a container with a MACVLAN of it reads from four connections; nicfw has bound the
# container's IP. Processor 0 takes the interrupt of queue 0, processor 1 that of queue 1.
# `tests/qemu/run` compares what the driver did with the adapter's filters with the lines that begin with "ARFS".
peer=192.0.2.1 stranger=192.0.2.9 own=192.0.2.2 web=192.0.2.10
. /tests/common.sh
details() { ethtool -S "$net" | grep -E 'rfs|rx-'; }
stat() { ethtool -S "$net" | sed -n "s/^ *$1: //p"; }
is() { [ "$(stat "$1")" = "$2" ]; }
grown() { [ "$(stat "$1")" -ge "$2" ]; }
# The policy holds, whatever queue a frame goes to.
holds() {
    ask curl $web 80 $peer || fail "the peer cannot reach what the policy allows: $said"
    ask curl $web 8080 $peer && fail "the peer reaches port 8080"
    ask curl $web 80 $stranger && fail "the stranger reaches port 80"
    inside timeout 3 nc $peer 8001 < /etc/passwd && fail "the container reaches port 8001"
    echo "    the policy holds: port 80 from the office; not 8080, not the stranger, not to port 8001"
}
# Local ports whose connections with the peer's port 8003 the adapter's hash gives to queue 0 (the driver cannot choose the
# hash of an unprivileged function). Only a filter brings them to queue 1.
port() { echo 40001 40006 40007 40008 | cut -d' ' -f"$1"; }
# moves PROCESSOR CONNECTION...: processes that read go to a processor.
moves() {
    processor=$1
    shift
    for n in "$@"; do
        eval "reader=\$reader$n"
        taskset -p $((1 << processor)) "$reader" > /dev/null || fail "taskset"
        echo "ARFS port $(port "$n") queue $processor"
    done
}
# The frames of the connections, about 20 a second each, come to the queues: so many connections to queue 0, and to queue 1.
shared() {
    zero=$(stat rx-0.rx_packets) one=$(stat rx-1.rx_packets)
    sleep 3
    zero=$(($(stat rx-0.rx_packets) - zero)) one=$(($(stat rx-1.rx_packets) - one))
    all=$((zero + one))
    # Within a fifth of all: the story's own frames are among them.
    [ $all -ge 40 ] && [ $((4 * zero)) -le $((all * $1 + all * 4 / 5)) ] && [ $((4 * one)) -le $((all * $2 + all * 4 / 5)) ]
}
share() {
    within 20 shared "$1" "$2" || fail "of $all frames $zero came to queue 0, $one to queue 1"
    echo "    of $all frames in 3 s, $zero came to queue 0 and $one to queue 1"
}

for device in /sys/bus/pci/devices/*; do
    [ "$(cat "$device/vendor")" = 0x1924 ] || continue
    case $(cat "$device/device") in
        0x0a03) pf=${device##*/} ;;
        0x1a03) vf=${device##*/} ;;
    esac
done
[ -n "$pf" ] && [ -n "$vf" ] || fail "two functions are wanted, there are: $pf $vf"

echo "STEP sfc has one function, with a queue for each of two processors, and steers flows; nicfw has the other one"
modprobe vfio_iommu_type1
modprobe vfio-pci
echo vfio-pci > "/sys/bus/pci/devices/$pf/driver_override"
echo "$pf" > /sys/bus/pci/drivers_probe
modprobe sfc || fail "modprobe sfc"
within 100 test -d "/sys/bus/pci/devices/$vf/net" || fail "sfc makes no interface"
net=$(ls "/sys/bus/pci/devices/$vf/net")
ip addr add $own/24 dev "$net" && ip link set "$net" up || fail "up"
[ -d "/sys/class/net/$net/queues/rx-1" ] || fail "one queue only"
ethtool -K "$net" ntuple on || fail "ntuple"
echo 1024 > /proc/sys/net/core/rps_sock_flow_entries
# A flow may expire when its processor has queued ten times as many frames as a queue has flows here.
for queue in 0 1; do
    echo 16 > "/sys/class/net/$net/queues/rx-$queue/rps_flow_cnt" || fail "rps_flow_cnt"
    irq=$(grep -E "$net-$queue\$|$net-rx-$queue\$" /proc/interrupts | cut -d: -f1)
    echo $((1 << queue)) > "/proc/irq/${irq# *}/smp_affinity" || fail "interrupt of queue $queue: $irq"
done
grep "$net" /proc/interrupts | sed 's/  */ /g; s/^/    /'

echo "STEP a container, bound to a policy"
modprobe macvlan
mkdir -p /etc /www /var/lib/nginx /var/log/nginx /run
echo 'root:x:0:0:root:/:/bin/sh' > /etc/passwd
echo 'root:x:0:' > /etc/group
unshare -n sleep 100000 &
container=$!
within 50 sh -c "[ \$(readlink /proc/$container/ns/net) != \$(readlink /proc/self/ns/net) ]" || fail "no namespace"
ip link add link "$net" name web0 address 02:00:0a:1e:01:11 type macvlan mode vepa || fail "macvlan"
ip link set web0 netns "$container" || fail "netns"
inside ip link set lo up && ip link set lo up
inside ip addr add $web/24 dev web0 && inside ip link set web0 up || fail "the container's interface"
echo "shop front" > /www/index.html
cat > /etc/nginx.conf << 'C'
daemon off; master_process off; user root root; pid /run/nginx.pid; error_log /dev/null;
events {}
http {
    access_log off;
    server { listen 80; root /www; }
    server { listen 8080; root /www; }
}
C
inside nginx -c /etc/nginx.conf -e /dev/null &
within 50 inside wget -q -O /dev/null http://127.0.0.1/ || fail "nginx does not answer in the container"
sed 's/remote_ports: 8000/remote_ports: [8000, 8003]/' /policy.yaml > /arfs.yaml
nicfw apply /arfs.yaml --device "$pf" --adopt --reason "story: default deny for web-1" > /tmp/apply || fail "apply"
holds

echo "STEP four connections are read by processor 1: the driver steers them to queue 1"
mkfifo /tmp/silence
exec 8<> /tmp/silence
for n in 1 2 3 4; do
    inside sh -c "echo $(port "$n") $(port "$n") > /proc/sys/net/ipv4/ip_local_port_range"
    # The process that reads is the one that moves.
    (exec nsenter --net="/proc/$container/ns/net" -- taskset 2 nc $peer 8003 < /tmp/silence > /dev/null) &
    eval "reader$n=$!"
    within 50 sh -c "nsenter --net=/proc/$container/ns/net -- netstat -tn | grep -q ':$(port "$n") .*:8003 *ESTABLISHED'" ||
        fail "connection $n: $(inside netstat -tn)"
done
inside sh -c 'echo 45000 50000 > /proc/sys/net/ipv4/ip_local_port_range'
moves 1 1 2 3 4
within 200 grown rfs_filter_count 4 || fail "filters: $(stat rfs_filter_count)"
echo "    rfs_filter_count $(stat rfs_filter_count), rfs_succeeded $(stat rfs_succeeded), rfs_failed $(stat rfs_failed)"
share 0 4
holds

echo "STEP two readers move to processor 0: their connections follow, the others stay"
succeeded=$(stat rfs_succeeded)
moves 0 1 2
within 200 grown rfs_succeeded $((succeeded + 2)) || fail "nothing has moved"
echo "    rfs_succeeded $(stat rfs_succeeded), rfs_failed $(stat rfs_failed)"
share 2 2
holds
is rfs_failed 0 || fail "rfs_failed"

echo "STEP the connections end: the filters expire"
for n in 1 2 3 4; do
    eval "kill \$reader$n"
done
# What goes through the processors' backlogs makes them old; the driver looks every 30 s.
aged() {
    for processor in 0 1; do
        taskset $((1 << processor)) ping -q -c 100 -i 0.005 127.0.0.1 > /dev/null
    done
    sleep 2
    is rfs_filter_count 0
}
within 60 aged || fail "filters are left: $(stat rfs_filter_count)"
echo "    rfs_filter_count $(stat rfs_filter_count)"
for n in 1 2 3 4; do echo "ARFS port $(port "$n") gone"; done
holds

echo "STEP the kernel complains about nothing"
dmesg | grep -E 'DMAR:.*fault|vfio.*(error|fail)|sfc .*(fail|error|rc=-)|BUG:|WARNING:' && fail "see above"
echo "STORY OK"
