# In the guest: an operator's way with one adapter, from `nicfw doctor` to `nicfw detach`, through the kernel's VFIO. Each
# command is a process of its own; between two of them the function is closed, and the kernel resets it. What the policy
# does to frames is the story `both`. Ends with 0 when every step did what it should.
. /tests/common.sh
find_function

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

echo "STEP doctor names the commands, and they are enough"
expect 0 "modprobe vfio-pci" doctor
nicfw doctor | sed -n 's/^      //p' > /tmp/commands
modprobe vfio_iommu_type1
sh -e /tmp/commands || fail "doctor's commands"
expect 0 "unknown until attach" doctor "$function"
expect 0 "rules-engine" info --device "$function"

echo "STEP a change needs a reason, and an adapter with unknown rules consent"
expect 1 "--reason" apply /policy.yaml --device "$function"
expect 1 "the journal knows nothing" apply /policy.yaml --device "$function" --reason "CHG-1"

echo "STEP the policy is loaded, and stays when the program has ended and the function was reset"
expect 0 "entries loaded by" apply /policy.yaml --device "$function" --adopt --reason "CHG-1"
expect 0 "the same" audit --device "$function"
echo 1 > "/sys/bus/pci/devices/$function/reset" || fail "FLR"
expect 0 "the same" audit --device "/sys/bus/pci/devices/$function"

echo "STEP a change goes in while traffic goes on, waits to be confirmed, is taken back, and rolled back by its number"
sed 's/local_ports: \[80, 5201\]/local_ports: [80, 443, 5201]/' /policy.yaml > /policy-443.yaml
expect 0 "entries now" apply /policy-443.yaml --device "$function" --reason "CHG-4"
expect 0 "the content of change 1 is back" rollback --to 1 --device "$function" --reason "CHG-4 was wrong"
expect 2 "NOT CONFIRMED in time" apply /policy-443.yaml --device "$function" --reason "CHG-5" --confirm-within 1s
expect 0 "are closed" reserve web-2 192.0.2.11 --device "$function" --reason "web-2 starts"
expect 0 "nobody bound" release web-2 --device "$function" --reason "web-2 is gone"
expect 0 "the same" audit --device "$function"

echo "STEP blocked, emptied: the journal tells, and loading again gives the rules back"
expect 0 "drops all traffic" detach --device "$function" --leave blocked --reason "INC-7"
expect 1 "blocked, so that it drops all traffic" audit --device "$function"
expect 0 "everything passes" detach --device "$function" --leave empty --reason "INC-7"
expect 1 "without rules, so that everything passes" audit --device "$function"
expect 0 "entries loaded by" apply /policy.yaml --device "$function" --adopt --reason "INC-7 is over"

echo "STEP the journal has it all, and is whole"
journal=$(echo /var/lib/nicfw/*.journal)
expect 0 "CHG-4 was wrong" journal "$journal" history
expect 0 "shop front and measurements" journal "$journal" entry 192.0.2.10 tcp
head=$(nicfw journal "$journal" export --anchor) || fail "no head"
expect 0 "$head" journal "$journal" verify --anchor "$head"

echo "STEP the kernel complains about nothing"
dmesg | grep -E 'DMAR:.*fault|vfio.*(error|fail)|BUG:|WARNING:' && fail "see above"
echo "STORY OK"
