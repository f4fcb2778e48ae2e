# In the guest: the kernel's own driver, sfc, drives the adapter. The adapter is the model, in a process outside of the
# guest, and behind its wire is a machine with the address 192.0.2.1. Ends with 0 when every step did what it should.
peer=192.0.2.1 own=192.0.2.2
fail() { echo "STORY FAILED: $*"; dmesg | tail -60; exit 1; }

# Runs a command until it succeeds, at most so many times 0.1 s.
within() {
    tries=$1
    shift
    until "$@" > /dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        usleep 100000
    done
}
interface() { for d in /sys/class/net/*; do [ -e "$d/device" ] && echo "${d##*/}"; done; }
link_is() { [ "$(cat /sys/class/net/$net/carrier)" = "$1" ]; }
counter() { cat "/sys/class/net/$net/statistics/$1"; }

echo "STEP sfc binds to the adapter"
modprobe sfc || fail "modprobe"
within 100 ls /sys/class/net/*/device || fail "no interface"
net=$(interface)
driver=$(readlink "/sys/class/net/$net/device/driver")
[ "${driver##*/}" = sfc ] || fail "$net has the driver $driver"
echo "$net is $(cat /sys/class/net/$net/address)"
dmesg | grep sfc

echo "STEP up: the link comes up"
ip addr add $own/24 dev $net
ip link set $net up || fail "up"
within 50 link_is 1 || fail "no link"

echo "STEP ping"
ping -c 3 -W 5 $peer || fail "ping"

echo "STEP TCP: a file from the peer arrives whole"
wget -q -O /tmp/file http://$peer:8000/file || fail "wget"
wget -q -O /tmp/sum http://$peer:8000/sum || fail "wget"
(cd /tmp && md5sum -c sum) || fail "the file is damaged"
dmesg | grep sfc
echo "STORY OK"
