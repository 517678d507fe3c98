#!/bin/busybox sh
# The first process of the machine in run.sh.
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs devtmpfs /dev
$busybox mount -t tmpfs -o mode=1777 tmpfs /tmp
$busybox mount -t cgroup2 cgroup2 /sys/fs/cgroup
$busybox uname -r
node=$($busybox cat /node-path)
groups=/sys/fs/cgroup
echo "+memory +cpu" > $groups/cgroup.subtree_control

# What systemd does for a service: a group of its own, with its files in the hands of the user that it was delegated to.
service() {
  $busybox mkdir -p "$groups/$1"
  $busybox chown -R "$2" "$groups/$1"
  $busybox sh -c "echo \$\$ > $groups/$1/cgroup.procs && cd /millrace && exec $node test/kernel/check.ts $2 $3" 2>&1
  echo "exit code $?"
}
service millrace.service 1000 auto
service root.service 0 on
$busybox poweroff -f
