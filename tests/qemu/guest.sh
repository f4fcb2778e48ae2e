#!/bin/sh
# guest.sh CACHE INITRD SOCKETS [options] [-- more qemu arguments]
#   Boots Debian's kernel under QEMU (TCG) with a vfio-user device for each of
#   SOCKETS (paths, divided by commas) behind PCIe root ports, prints the serial console, and fails unless every test that
#   was asked for ended with rc=0.
#   --iommu none|intel|virtio   emulated IOMMU in the guest        (none)
#   --tests a,b                 scripts /tests/a.sh, /tests/b.sh in the initramfs
#   --append "..."              more kernel parameters
#   --mem MIB                   guest memory                       (512)
#   --cpus N                                                       (2)
#   --timeout SECONDS           kill the guest after this long     (180)
#   --boot FILE SCRIPT          iPXE and its script instead of Debian's kernel and INITRD; it speaks through the BIOS
#   --device JSON               more vfio-user-pci properties without blanks, e.g. '"x-no-posted-writes":true'
#   SOCKETS "-" starts a guest without a device.
set -u
[ $# -ge 3 ] || { sed -n 2,16p "$0"; exit 2; }
cache=$1 initrd=$2 socks=$3; shift 3
iommu=none tests= append= mem=512 cpus=2 limit=180 props= boot= bios=
while [ $# -gt 0 ]; do
  case $1 in
    --iommu) iommu=$2; shift 2;;
    --tests) tests=$2; shift 2;;
    --append) append=$2; shift 2;;
    --mem) mem=$2; shift 2;;
    --cpus) cpus=$2; shift 2;;
    --timeout) limit=$2; shift 2;;
    --boot) boot=$2 initrd=$3 bios=,graphics=off; shift 3;;
    --device) props=",$2"; shift 2;;
    --) shift; break;;
    *) echo "unknown argument $1" >&2; exit 2;;
  esac
done
case $iommu in
  none) i=;;
  intel) i="-device intel-iommu,caching-mode=on,intremap=on"; append="intel_iommu=on $append";;
  virtio) i="-device virtio-iommu-pci";;
  *) echo "unknown iommu $iommu" >&2; exit 2;;
esac
[ "$socks" != - ] || socks=
devices= slot=0
for sock in $(echo "$socks" | tr , ' '); do
  n=0
  while [ ! -S "$sock" ]; do   # QEMU does not wait for a server
    n=$((n + 1)); [ $n -le 50 ] || { echo "no server at $sock" >&2; exit 1; }
    sleep 0.1
  done
  slot=$((slot + 1))
  devices="$devices -device pcie-root-port,id=rp$slot,chassis=$slot,slot=$slot"
  devices="$devices -device {\"driver\":\"vfio-user-pci\",\"bus\":\"rp$slot\",\"socket\":{\"type\":\"unix\",\"path\":\"$sock\"}$props}"
done
if [ -n "$boot" ]; then
  set -- -kernel "$boot" "$@"
else
  # The kernel does not check at its start whether the timer ticks: on a busy machine it comes to the wrong answer.
  set -- -kernel "$cache/vmlinuz" -append "console=ttyS0 quiet panic=-1 no_timer_check $append test=$tests" "$@"
fi
out=$(mktemp); trap 'rm -f "$out"' EXIT
# Argument order matters: the IOMMU comes before every other PCI device.
# shellcheck disable=SC2086
timeout -k 5 "$limit" "$cache/qemu-system-x86_64" \
  -machine "q35,memory-backend=ram$bios" -accel tcg -cpu max -smp "$cpus" -m "${mem}M" \
  -object "memory-backend-memfd,id=ram,size=${mem}M,share=on" \
  -nodefaults -no-user-config -display none -serial stdio -no-reboot \
  -initrd "$initrd" \
  $i $devices "$@" < /dev/null 2>&1 | tee "$out"
# When the server dies QEMU goes on and every access reads as ones.
! grep -qE 'failed to read header|vfio_user_.*(Unable to write|Timed out|timed out)' "$out" || { echo "FAIL: the server went away"; exit 1; }
# The pipe hides QEMU's status, so judge by what the guest said.
grep -q '^INIT done' "$out" || { echo "FAIL: the guest did not reach its end"; exit 1; }
bad=$(grep '^TEST-END' "$out" | grep -vc ' rc=0 ')
ran=$(grep -c '^TEST-END' "$out")
asked=$(echo "$tests" | tr , '\n' | grep -c .)
[ "$bad" = 0 ] && [ "$ran" = "$asked" ] || { echo "FAIL: $ran of $asked tests ran, $bad failed"; exit 1; }
echo "PASS: $ran tests"
