#!/bin/sh
# modem.sh plug|unplug: a Quectel EC25 of this machine's own: a network link, and two AT ports that answer.
set -eu
gadget=/sys/kernel/config/usb_gadget/modem

make() {
    modprobe -a dummy_hcd libcomposite option cdc_ether
    mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
    mkdir -p "$gadget/strings/0x409" "$gadget/configs/c.1"
    cd "$gadget"
    echo 0x2c7c >idVendor
    echo 0x0125 >idProduct
    echo Quectel >strings/0x409/manufacturer
    echo EC25 >strings/0x409/product
    # The link has interfaces 0 and 1, so that the ports have 2 and 3, as on the modem. gser is of a vendor's class
    # and has one interface, as the modem's ports; acm would have two, and another driver.
    for function in ecm.usb0 gser.primary gser.secondary; do
        mkdir "functions/$function"
        ln -s "functions/$function" configs/c.1/
    done
    systemd-run --quiet --unit=modem python3 /srv/inside/answers.py /dev/ttyGS0 /dev/ttyGS1
}

case $1 in
plug)
    [ -d "$gadget" ] || make
    ls /sys/class/udc | head -n1 >"$gadget/UDC"
    ;;
unplug) echo '' >"$gadget/UDC" ;;
esac
