# What the stories have in common; each of them reads it first. In the guest.

# Ends the story: says why, what the story itself tells of it, and what the kernel said last.
fail() {
    echo "STORY FAILED: $*"
    details
    dmesg | tail -40
    exit 1
}
# What a story tells when it fails; it may say more.
details() { :; }

# Runs a command until it succeeds, at most so many times with a pause (0.1 s) between.
pause=100000
within() {
    tries=$1
    shift
    until "$@" > /dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        usleep $pause
    done
}

# The interface of the kernel's driver, in $net.
found() {
    net=$(ls -d /sys/class/net/*/device 2> /dev/null | cut -d/ -f5)
    [ -n "$net" ]
}

# The address of the adapter on the PCI bus, in $function.
find_function() {
    for device in /sys/bus/pci/devices/*; do
        [ "$(cat "$device/vendor")" = 0x1924 ] && function=${device##*/}
    done
    [ -n "$function" ] || fail "no adapter in the guest"
}

# Runs a command in the container.
inside() { nsenter --net="/proc/$container/ns/net" -- "$@"; }

# Asks the machine behind the wire to try something: its words in $said; whether it came out well.
ask() {
    said=$(echo "$*" | nc -w 60 $peer 8002)
    rc=$(echo "$said" | sed -n 's/^rc=//p')
    said=$(echo "$said" | grep -v '^rc=')
    [ "$rc" = 0 ]
}
