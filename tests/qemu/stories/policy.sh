# In the guest: an operator's way with one adapter, from `nicfw doctor` to `nicfw detach`, through the kernel's VFIO. Each
# command is a process of its own; between two of them the function is closed, and the kernel resets it. What the policy
# does to frames is the story `both`. Ends with 0 when every step did what it should.
fail() {
    echo "STORY FAILED: $*"
    dmesg | tail -20
    exit 1
}
for device in /sys/bus/pci/devices/*; do
    [ "$(cat "$device/vendor")" = 0x1924 ] && function=${device##*/}
done
[ -n "$function" ] || fail "no adapter in the guest"

# Runs the program, prints what it says, and expects an exit code and a text in it.
expect() {
    code=$1 text=$2
    shift 2
    said=$(nicfw "$@" 2>&1)
    rc=$?
    echo "$said" | head -20 | sed 's/^/    /'
    [ $rc = "$code" ] || fail "nicfw $*: exit code $rc"
    case $said in *"$text"*) ;; *) fail "nicfw $*: does not say: $text" ;; esac
}
version() { echo "$said" | sed -n 's/.*--expect \([0-9a-f]*\)$/\1/p'; }

echo "STEP doctor names the commands, and they are enough"
expect 0 "modprobe vfio-pci" doctor
nicfw doctor | sed -n 's/^      //p' > /tmp/commands
modprobe vfio_iommu_type1
sh -e /tmp/commands || fail "doctor's commands"
expect 0 "unknown until attach" doctor "$function"
expect 0 "rules-engine" info --device "$function"

echo "STEP a change needs a reason, and an adapter with unknown rules consent"
expect 1 "--reason" apply /policy.yaml --device "$function"
expect 1 "add --adopt" apply /policy.yaml --device "$function" --reason "CHG-1"

echo "STEP the policy is loaded, and stays when the program has ended and the function was reset"
expect 0 "entries loaded by" apply /policy.yaml --device "$function" --adopt --reason "CHG-1"
loaded=$(version)
[ -n "$loaded" ] || fail "no version"
expect 0 "the same" audit --device "$function" --expect "$loaded"
echo 1 > "/sys/bus/pci/devices/$function/reset" || fail "FLR"
expect 0 "the same" audit --device "/sys/bus/pci/devices/$function" --expect "$loaded"

echo "STEP blocked, emptied: the version tells, and loading again gives the rules back"
expect 0 "drops all traffic" detach --device "$function" --leave blocked --reason "INC-7"
expect 0 "the same" audit --device "$function" --expect "$loaded"
expect 0 "everything passes" detach --device "$function" --leave empty --reason "INC-7"
expect 4 "DRIFT" audit --device "$function" --expect "$loaded"
expect 0 "entries loaded by" apply /policy.yaml --device "$function" --adopt --reason "INC-7 is over"

echo "STEP the kernel complains about nothing"
dmesg | grep -E 'DMAR:.*fault|vfio.*(error|fail)|BUG:|WARNING:' && fail "see above"
echo "STORY OK"
