#!/usr/bin/env bash
# Makes a scratch root from the file systems of this namespace and runs a file
# in it: systemd.sh under systemd, others as the first process.
# usage: scratch.sh FILE, with PACKAGES, WORK and optionally ROOT set
set -euo pipefail
file=$1
root=$WORK/root

mount -t tmpfs scratch "$WORK"
mkdir "$WORK"/{upper,work,root}
mount -t overlay -o "lowerdir=${ROOT:-/},upperdir=$WORK/upper,workdir=$WORK/work" scratch "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs scratch "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for dir in run tmp mnt; do
	mount -t tmpfs scratch "$root/$dir"
done

# What systemd's PrivateDevices= copies.
mount -t tmpfs -o mode=755 scratch "$root/dev"
cp -a /dev/{null,zero,full,random,urandom,tty} "$root/dev"
mkdir "$root"/dev/{pts,shm,mqueue,hugepages}
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

# Services may start here, but not those of this machine.
rm -f "$root/usr/sbin/policy-rc.d" "$root"/etc/systemd/system/*.wants/*
mkdir "$root/mnt/packages" "$root/mnt/old"
mount --bind "$PACKAGES" "$root/mnt/packages"
cp ./*.sh "$root/mnt"
ip link set lo up
cd "$root"
pivot_root . mnt/old
cd /
umount -l /mnt/old

environment=(env -i container=scratch PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8)
if [ "$file" != systemd.sh ]; then
	exec "${environment[@]}" bash "/mnt/$file" >/mnt/packages/log 2>&1
fi
cat >/etc/systemd/system/try.service <<-UNIT
	[Service]
	Type=oneshot
	ExecStart=/bin/bash /mnt/$file
	StandardOutput=file:/mnt/packages/log
	StandardError=inherit
	ExecStopPost=systemctl --no-block exit \$EXIT_STATUS
UNIT
printf '[Unit]\nRequires=try.service basic.target\n' >/etc/systemd/system/try.target
exec "${environment[@]}" /lib/systemd/systemd --system --unit=try.target --log-target=console
