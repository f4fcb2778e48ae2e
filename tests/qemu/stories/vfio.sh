# In the guest: nicfw drives the adapter through /dev/vfio. The adapter is the model, in a process outside of the guest.
# Ends with 0 when every step did what it should.
. /tests/common.sh
find_function
address=$function

unsafe=
if [ ! -d /sys/class/iommu/dmar0 ]; then
    modprobe virtio-iommu
    unsafe=allow_unsafe_interrupts=1 # it does not remap interrupts
fi

echo "STEP nobody has bound the adapter: refused, with the command"
said=$(/bin/attach "$address" 2>&1) && fail "attached without vfio-pci"
echo "$said"
case $said in *"modprobe vfio-pci"*) ;; *) fail "the way out is not named";; esac

echo "STEP bound to vfio-pci: attach, write rules, detach; and once more"
modprobe vfio_iommu_type1 $unsafe
modprobe vfio-pci
echo vfio-pci > "/sys/bus/pci/devices/$address/driver_override"
echo "$address" > /sys/bus/pci/drivers_probe
said=$(/bin/attach "$address") || fail "attach: $said"
echo "$said"
case $said in *"replies by interrupt"*) ;; *) fail "no interrupts" ;; esac
[ "$(echo "$said" | sed -n 's/ interrupts by the kernel.*//p')" -gt 0 ] || fail "the kernel has seen no interrupt"
/bin/attach "/sys/bus/pci/devices/$address" || fail "second attach"

echo "STEP an address without a function, and a text that is none"
/bin/attach ffff:00:00.0 && fail "attached to nothing"
/bin/attach eth0 && fail "attached to eth0"

echo "STEP the kernel complains about nothing"
dmesg | grep -E 'DMAR:.*fault|vfio.*(error|fail)|BUG:|WARNING:' && fail "see above"
echo "STORY OK"
