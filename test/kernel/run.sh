#!/usr/bin/env bash
# Boots a Linux kernel in qemu, with nothing but control groups of version 2, and runs check.ts there: first as an unprivileged user to whom a group
# was delegated, as systemd does it with Delegate=yes, then as root with runtime.host_cgroups: on.
#
#   test/kernel/run.sh [VMLINUZ]
#
# Needs qemu-system-x86_64, a static busybox, cpio and, without VMLINUZ, apt-get to download Debian's kernel for clouds into a temporary folder.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
node=$(command -v node)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

kernel=${1:-}
if [ -z "$kernel" ]; then
  cd "$work"
  package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
  apt-get download -qq "$package" 2>/dev/null
  dpkg -x ./*.deb kernel
  kernel=$(echo kernel/boot/vmlinuz-*)
  kernel=$work/$kernel
fi

# What the check needs, at the places where it is here.
image=$work/image
mkdir -p "$image"/{bin,dev,proc,sys,tmp}
cp "$(command -v busybox)" "$image/bin/busybox"
cp "$root/test/kernel/init.sh" "$image/init"
chmod 755 "$image/init"
add() { mkdir -p "$image$(dirname "$1")" && cp -rL "$1" "$image$1"; }
{ ldd "$node"; find "$root/node_modules/"{isolated-vm,classic-level}/prebuilds/linux-x64 -name '*.node' ! -name '*musl*' -exec ldd {} \;; } |
  grep -oE '/[^ ]+\.so[^ ]*' | sort -u | while read -r library; do [ -e "$image$library" ] || add "$library"; done
add "$(readlink -f "$node")"
for part in src test/kernel test/support package.json; do mkdir -p "$image/millrace/$(dirname "$part")" && cp -r "$root/$part" "$image/millrace/$part"; done
cd "$root"
npm ls --omit=dev --all --parseable 2>/dev/null | grep "/node_modules/" | grep -v pglite | while read -r package; do
  name=${package#"$root"/}
  mkdir -p "$image/millrace/$(dirname "$name")" && cp -r "$package" "$image/millrace/$(dirname "$name")/"
done
echo "$(readlink -f "$node")" > "$image/node-path"

(cd "$image" && find . | cpio --quiet -o -H newc | gzip -1) > "$work/initramfs.gz"
qemu-system-x86_64 -accel tcg,thread=single -icount shift=1,sleep=off -cpu max -smp 1 -m 2048 -nographic -no-reboot -nic none \
  -kernel "$kernel" -initrd "$work/initramfs.gz" -append "console=ttyS0 quiet panic=-1 cgroup_no_v1=all" | tee "$work/console"
[ "$(grep -c '^CHECK PASSED' "$work/console")" = 2 ]
