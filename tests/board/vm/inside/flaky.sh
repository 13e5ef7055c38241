#!/bin/sh
# flaky.sh make|cut|mend: everything that a camera writes, on a disk whose power can be cut (dm-flakey).
set -eu
disk=/dev/vdc
places='var/lib/pinhole var/lib/pinhole-rescue var/log/journal etc/pinhole boot/firmware'

table() { dmsetup "$1" flaky --table "0 $(blockdev --getsz $disk) flakey $disk 0 $2"; }

bind() {
    for place in $places; do
        mkdir -p "/var/flaky/$place" "/$place"
        mount --bind "/var/flaky/$place" "/$place"
    done
}

case $1 in
make)
    modprobe dm-flakey
    mkdir -p /var/flaky
    table create '3600 0'
    mkfs.ext4 -q /dev/mapper/flaky
    mount /dev/mapper/flaky /var/flaky
    bind
    systemd-tmpfiles --create pinhole.conf
    systemctl restart systemd-journald
    journalctl --flush
    ;;
cut)
    # Neither file system nor device may write what they still hold: it is lost, as in a power cut.
    dmsetup suspend --nolockfs --noflush flaky
    table load '0 3600 1 drop_writes'
    dmsetup resume flaky
    ;;
mend)
    journalctl --relinquish-var
    for place in $places; do umount "/$place"; done
    umount /var/flaky
    dmsetup remove flaky
    table create '3600 0'
    mount /dev/mapper/flaky /var/flaky
    bind
    journalctl --flush
    ;;
esac
