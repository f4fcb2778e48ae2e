# In the guest: two functions of one adapter. The kernel's own driver, sfc, has an unprivileged one and carries a
# container's traffic over it (MACVLAN, in a network namespace of its own). nicfw has the privileged one through VFIO, and
# binds the container's IP to a policy. Behind the wire is a machine with the addresses 192.0.2.1 and 192.0.2.9, which
# tries things on request. Ends with 0 when every step did what it should.
peer=192.0.2.1 stranger=192.0.2.9 own=192.0.2.2 web=192.0.2.10
. /tests/common.sh
peer() {
    ask "$@"
    rc=$?
    [ -z "$said" ] || echo "$said" | sed 's/^/    /'
    return $rc
}
passes() { peer "$@" || fail "peer cannot: $*"; }
blocked() { peer "$@" && fail "peer can: $*"; echo "    blocked: $*"; }

for device in /sys/bus/pci/devices/*; do
    [ "$(cat "$device/vendor")" = 0x1924 ] || continue
    case $(cat "$device/device") in
        0x0a03) pf=${device##*/} ;;
        0x1a03) vf=${device##*/} ;;
    esac
done
[ -n "$pf" ] && [ -n "$vf" ] || fail "two functions are wanted, there are: $pf $vf"

echo "STEP the privileged function goes to vfio-pci, the other one to sfc"
modprobe vfio_iommu_type1
modprobe vfio-pci
echo vfio-pci > "/sys/bus/pci/devices/$pf/driver_override"
echo "$pf" > /sys/bus/pci/drivers_probe
modprobe sfc || fail "modprobe sfc"
within 100 test -d "/sys/bus/pci/devices/$vf/net" || fail "sfc makes no interface"
net=$(ls "/sys/bus/pci/devices/$vf/net")
for function in "$pf" "$vf"; do
    driver=$(readlink "/sys/bus/pci/devices/$function/driver")
    echo "    $function: ${driver##*/}"
done
ip addr add $own/24 dev "$net" && ip link set "$net" up || fail "up"
within 50 ping -c 1 -W 2 $peer || fail "the host's own address does not reach the peer"

echo "STEP a container: a network namespace with a MACVLAN of the function"
modprobe macvlan
mkdir -p /etc /www /var/lib/nginx /var/log/nginx /run
echo 'root:x:0:0:root:/:/bin/sh' > /etc/passwd
echo 'root:x:0:' > /etc/group
unshare -n sleep 100000 &
container=$!
within 50 sh -c "[ \$(readlink /proc/$container/ns/net) != \$(readlink /proc/self/ns/net) ]" || fail "no namespace"
ip link add link "$net" name web0 address 02:00:0a:1e:01:11 type macvlan mode vepa || fail "macvlan"
ip link set web0 netns "$container" || fail "netns"
inside ip link set lo up
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
inside iperf3 -s > /dev/null &
within 50 inside wget -q -O /dev/null http://127.0.0.1/ || fail "nginx does not answer in the container"

echo "STEP without a policy the peer reaches everything in the container"
passes curl $web 80 $peer
passes curl $web 8080 $peer
passes curl $web 80 $stranger
passes ping $web $peer
inside wget -q -O /dev/null http://$peer:8000/sum || fail "the container does not reach the peer"

echo "STEP nicfw applies the policy through the privileged function"
nicfw doctor || fail "doctor"
nicfw apply /policy.yaml --device "$pf" && fail "applied without a reason, and without having been told to take over"
nicfw apply /policy.yaml --device "$pf" --adopt --reason "story: default deny for web-1" || fail "apply"

echo "STEP what the policy allows passes: curl, iperf3 and ping from the office, fetching from port 8000"
passes curl $web 80 $peer
passes ping $web $peer
passes iperf3 $web
inside wget -q -O /dev/null http://$peer:8000/sum || fail "the container does not reach the peer's port 8000"

echo "STEP what it denies does not: another port, another source, another destination, another IP of the container"
blocked curl $web 8080 $peer
blocked curl $web 80 $stranger
blocked ping $web $stranger
inside timeout 3 nc $peer 8001 < /etc/passwd && fail "the container reaches the peer's port 8001"
echo "    blocked: from the container to port 8001"
inside ip addr add 192.0.2.11/24 dev web0
blocked ping 192.0.2.11 $peer
inside ip addr del 192.0.2.11/24 dev web0
ping -c 1 -W 2 $peer > /dev/null || fail "the host's own address is no longer what nobody bound"

echo "STEP the unprivileged function cannot change the rules: EPERM"
rmmod sfc 2> /dev/null || fail "rmmod"
echo vfio-pci > "/sys/bus/pci/devices/$vf/driver_override"
echo "$vf" > /sys/bus/pci/drivers_probe
said=$(nicfw info --device "$vf" 2>&1) && fail "attached to an unprivileged function"
echo "    $said"
said=$(attach --rule "$vf" 2>&1) && fail "the unprivileged function wrote a rule"
echo "    $said"
case $said in *"SET_SECURITY_RULE failed: EPERM"*) ;; *) fail "not the refusal that was expected" ;; esac

echo "STEP the kernel complains about nothing"
dmesg | grep -E 'DMAR:.*fault|vfio.*(error|fail)|sfc .*(fail|error|rc=-)|BUG:|WARNING:' && fail "see above"
echo "STORY OK"
