#!/bin/sh
# Boot a Debian with a real systemd in namespaces: this machine's files with a layer of memory over them, so that nothing
# here changes. To be run in a mount namespace of its own: with its last process all mounts are gone.
#
# machine_init.sh FOLDER PROJECT VENV PYTHON CGROUP...: an empty folder, the checkout, its virtual environment, the prefix
# of the Python that it was made from, and cgroups of its own to live in.
set -eu
folder=$1 project=$2 venv=$3 python=$4
shift 4
for cgroup; do echo $$ >"$cgroup/cgroup.procs"; done
mount -t tmpfs -o mode=755 none "$folder"
root=$folder/root
site=$root/opt/tradingbot

layered() { # layered LOWER NAME TARGET
    mkdir -p "$folder/layers/$2/up" "$folder/layers/$2/work" "$3"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$folder/layers/$2/up,workdir=$folder/layers/$2/work" "$3"
}

layered / system "$root"
# What this machine starts at boot has no business there, nor has what it takes hardware or a minute for.
rm -rf "$root/etc/systemd/system" "$root/var/log/journal" "$root/opt/tradingbot" "$root/opt/python"
mkdir -p "$root/etc/systemd/system" "$site" "$root/opt/python"
for unit in systemd-logind systemd-networkd systemd-resolved systemd-timesyncd systemd-udevd systemd-hwdb-update \
    systemd-update-utmp systemd-tmpfiles-setup systemd-journal-flush e2scrub_reap dbus; do
    ln -s /dev/null "$root/etc/systemd/system/$unit.service"
done
for unit in getty.target timers.target dbus.socket; do ln -s /dev/null "$root/etc/systemd/system/$unit"; done
ln -s /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
: >"$root/etc/fstab"

# The checkout and its Python where a service sees them: neither in a home folder nor in /tmp.
layered "$project" project "$site"
layered "$venv" venv "$site/.venv"
mount --bind "$python" "$root/opt/python"
mount -o remount,bind,ro "$root/opt/python"
echo /opt/python/lib >"$root/etc/ld.so.conf.d/00-python.conf" # a Python may have its library beside it
ldconfig -r "$root"
sed -i 's|^home = .*|home = /opt/python/bin|' "$site/.venv/pyvenv.cfg"
interpreter=$(basename "$(readlink -f "$venv/bin/python")")
for link in "$site"/.venv/bin/python*; do ln -sfn "/opt/python/bin/$interpreter" "$link"; done
sed -i '1s|^#!.*|#!/opt/tradingbot/.venv/bin/python|' "$site/.venv/bin/tradingbot"
sed -i "s|^$project|/opt/tradingbot|" "$site"/.venv/lib/python3*/site-packages/*.pth

mkdir -p /run/systemd/nspawn
mount -t tmpfs none /run/systemd/nspawn # what nspawn notes there goes with the namespace
while :; do
    code=0
    setpriv --pdeathsig KILL systemd-nspawn --directory="$root" --boot --register=no --keep-unit --private-network \
        --machine=tradingbot --link-journal=no --resolv-conf=off --timezone=off --console=pipe --quiet </dev/null || code=$?
    [ "$code" = 133 ] || exit "$code" # 133: it wants to boot again
done
