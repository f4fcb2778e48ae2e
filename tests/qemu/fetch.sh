#!/bin/sh
# fetch.sh CACHE
#   Puts a QEMU with the vfio-user client and Debian's stock kernel into
#   CACHE/root, from Debian's packages only: no chroot, no root rights, nothing
#   installed on this machine. Does nothing when CACHE already has them.
#   Environment:
#     SUITE           Debian release to take from         (default trixie)
#     QEMU_SUITE      where qemu comes from               (default SUITE-backports)
#     TOOLS           more packages to unpack, with what they depend on
#     ALONE           more packages to unpack, without what they depend on
#     KEEP_DEBS=1     keep the downloaded packages, in CACHE/apt/archives
#     KEYRING         Debian's archive keys               (from debian-archive-keyring)
#   The mirror is the one apt on this machine already uses for Debian.
set -eu
[ $# -eq 1 ] || { sed -n 2,14p "$0"; exit 2; }
SUITE=${SUITE:-trixie}
QEMU_SUITE=${QEMU_SUITE:-$SUITE-backports}
mkdir -p "$1"; cache=$(cd "$1" && pwd)
stamp=$cache/complete
want="$SUITE $QEMU_SUITE ${TOOLS:-} ${ALONE:-} v4"
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && { echo "already complete: $cache/root"; exit 0; }
rm -rf "$cache/root" "$stamp"

# 1. A private apt: own sources, own state, an empty list of installed packages.
#    (apt may drop rights to the user _apt, who cannot enter every folder.)
a=$cache/apt
mkdir -p "$a/etc/preferences.d" "$a/etc/apt.conf.d" "$a/etc/trusted.gpg.d" "$a/lists/partial" "$a/archives/partial" "$cache/root"
uri=$(apt-get indextargets --format '$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' |
  awk -F'|' '$1=="Packages" && $2=="Debian" && $3=="Debian" && $4=="main" {print $5; exit}')
keys=${KEYRING:-$(dpkg -L debian-archive-keyring | grep '/debian-archive-keyring\.gpg$')}
[ -n "$uri" ] || { echo "apt on this machine knows no Debian archive; run apt-get update" >&2; exit 1; }
cat > "$a/etc/sources.list" <<S
deb [signed-by=$keys] $uri $SUITE main
deb [signed-by=$keys] $uri $QEMU_SUITE main
S
: > "$a/status"
cat > "$a/apt.conf" <<C
Dir::Etc "$a/etc";
Dir::Etc::sourcelist "$a/etc/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "$a";
Dir::State::status "$a/status";
Dir::State::lists "$a/lists";
Dir::Cache "$a";
Dir::Cache::archives "$a/archives";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Debug::NoLocking "true";
C
export APT_CONFIG="$a/apt.conf"
apt-get -q update

# 2. QEMU and the tools with their libraries (dependencies followed, recommendations not) ...
apt-get -q -y --download-only -t "$QEMU_SUITE" install qemu-system-x86
# shellcheck disable=SC2086
[ -z "${TOOLS:-}" ] || apt-get -q -y --download-only install $TOOLS
# ... the kernel, the guest's shell and what stands alone (dependencies not followed).
kpkg=$(apt-cache depends linux-image-amd64/"$SUITE" | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
alone=
for p in ${ALONE:-}; do alone="$alone $p/$SUITE"; done
# shellcheck disable=SC2086
(cd "$a/archives" && apt-get -q download "$kpkg/$SUITE" "busybox-static/$SUITE" $alone)

# 3. Unpack. Packages that only matter to an installed system are left out.
for d in "$a"/archives/*.deb; do
  case $(basename "$d") in
    debconf_*|perl*|dpkg_*|tar_*|init-system*|sysvinit*|adduser_*|passwd_*|kmod_*|linux-base_*|initramfs*|dracut*|cpp*|gcc-1*-base*) continue;;
  esac
  dpkg-deb -x "$d" "$cache/root"
done
rm -rf "$cache/root/usr/share/doc" "$cache/root/usr/share/man" "$cache/root/usr/share/locale"
[ "${KEEP_DEBS:-}" = 1 ] || rm -rf "$a"

# 4. A launcher that runs QEMU with its own dynamic loader and libraries.
cat > "$cache/qemu-system-x86_64" <<'L'
#!/bin/sh
r=$(cd "$(dirname "$0")" && pwd)/root
l=$r/usr/lib/x86_64-linux-gnu
[ -d "$l" ] || l=$r/lib/x86_64-linux-gnu
exec "$l/ld-linux-x86-64.so.2" --library-path "$l:$l/pulseaudio" --argv0 qemu-system-x86_64 \
  "$r/usr/bin/qemu-system-x86_64" -L "$r/usr/share/qemu" -L "$r/usr/share/seabios" "$@"
L
chmod 755 "$cache/qemu-system-x86_64"
ln -sf "root/boot/$(cd "$cache/root/boot" && ls vmlinuz-* | sort -V | tail -1)" "$cache/vmlinuz"
"$cache/qemu-system-x86_64" --version | head -1
echo "$want" > "$stamp"
du -sh "$cache/root"
