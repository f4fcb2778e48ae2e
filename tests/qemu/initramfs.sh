#!/bin/sh
# initramfs.sh ROOT OUT [--add SRC:DEST]... [--modules "a b c"]
#   ROOT  folder holding an unpacked Debian kernel and busybox-static
#         (what fetch.sh leaves in CACHE/root, or a chroot)
#   OUT   the initramfs to write (gzip)
# Every tool it needs (cpio, gzip, xzcat, depmod, modinfo) is an applet of the
# busybox in ROOT, so the building machine needs nothing but a shell.
set -eu
[ $# -ge 2 ] || { sed -n 2,7p "$0"; exit 2; }
root=$1 out=$2; shift 2
mods="irqbypass vfio vfio_iommu_type1 vfio-pci-core vfio-pci sfc mdio mtd virtio-iommu"
adds=
while [ $# -gt 0 ]; do
  case $1 in
    --add) adds="$adds $2"; shift 2;;
    --modules) mods="$mods $2"; shift 2;;
    *) echo "unknown argument $1" >&2; exit 2;;
  esac
done
bb=$root/usr/bin/busybox; [ -x "$bb" ] || bb=$root/bin/busybox
mdir=$root/usr/lib/modules; [ -d "$mdir" ] || mdir=$root/lib/modules
kver=$(ls "$mdir" | sort -V | tail -1)
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT
mkdir -p "$w/bin" "$w/proc" "$w/sys" "$w/dev" "$w/tmp" "$w/tests" "$w/lib/modules/$kver"
cp "$bb" "$w/bin/busybox"
for f in builtin order builtin.modinfo; do
  cp "$mdir/$kver/modules.$f" "$w/lib/modules/$kver/" 2>/dev/null || true
done
find "$mdir/$kver" -name '*.ko*' > "$w/all"
add_module() {  # copy one module, uncompressed, then everything it depends on
  pat=$(echo "$1" | sed 's/[-_]/[-_]/g')
  src=$(grep -E "/$pat\.ko(\.xz)?\$" "$w/all" | head -1)
  [ -n "$src" ] || { echo "no module $1" >&2; return 0; }
  dst=$w/lib/modules/$kver/$(basename "$src" .xz)
  [ -e "$dst" ] && return 0
  case $src in *.xz) "$bb" xzcat "$src" > "$dst";; *) cp "$src" "$dst";; esac
  for dep in $(tr '\0' '\n' < "$dst" | sed -n 's/^depends=//p' | tr , ' '); do add_module "$dep"; done
}
for m in $mods; do add_module "$m"; done
rm "$w/all"
"$bb" depmod -b "$w" "$kver"
for a in $adds; do
  d=$w/${a#*:}; mkdir -p "$(dirname "$d")"; cp "${a%%:*}" "$d"; chmod 755 "$d"
done
cat > "$w/init" <<'I'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
echo "INIT up $(cut -d' ' -f1 /proc/uptime) kernel $(uname -r)"
for a in $(cat /proc/cmdline); do
  case $a in test=*) for t in $(echo "${a#test=}" | tr , ' '); do
    echo "TEST-BEGIN $t"
    sh "/tests/$t.sh"; rc=$?
    echo "TEST-END $t rc=$rc up $(cut -d' ' -f1 /proc/uptime)"
  done;; esac
done
echo "INIT done $(cut -d' ' -f1 /proc/uptime)"
sync; poweroff -f
I
chmod 755 "$w/init"
bbabs=$(cd "$(dirname "$bb")" && pwd)/busybox
(cd "$w" && find . | LC_ALL=C sort | "$bbabs" cpio -o -H newc -R 0:0 2>/dev/null | "$bbabs" gzip -6) > "$out.tmp"
mv "$out.tmp" "$out"
ls -l "$out"
