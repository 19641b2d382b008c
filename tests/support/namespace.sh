# Pid 1 of the namespaces of one private libvirtd (see daemon.rs): arranges the mounts, starts the daemon, then carries out
# the lines that come on stdin. Stdin ends when the test binary is gone, however it went; then this ends too, and the
# kernel kills everything else in the pid namespace.
#
# LIVE_DIR        holds the daemon's files; etc, lib, run, log and cache in it take the place of the system's
# LIVE_PRIVATE_NET, LIVE_VIRTLOGD, LIVE_UDEVD, LIVE_SYSTEM_BUS   1, or empty
# LIVE_SASL       the mechanism of SASL that the daemon offers, or empty
# LIVE_ARGUMENTS  further arguments of libvirtd
set -eu
export PATH="/usr/local/sbin:/usr/sbin:/sbin:$PATH" LC_ALL=C

# An empty /run hides the system's D-Bus, systemd and udev, which would otherwise be told about our domains.
mount -t tmpfs -o mode=755 tmpfs /run
# The daemon notes here which consoles are taken.
mkdir -p /run/lock
for pair in etc:/etc/libvirt lib:/var/lib/libvirt run:/run/libvirt log:/var/log/libvirt cache:/var/cache/libvirt; do
  mkdir -p "${pair#*:}"
  mount --bind "$LIVE_DIR/${pair%%:*}" "${pair#*:}"
done

if [ -n "$LIVE_PRIVATE_NET" ]; then
  ip link set lo up
  # A fresh sysfs shows the devices of this network namespace, not the outer one's; the cgroup mounts are kept.
  mkdir -p /run/cgroup
  mount --rbind /sys/fs/cgroup /run/cgroup
  mount -t sysfs sysfs /sys
  mount --rbind /run/cgroup /sys/fs/cgroup
fi

if [ -n "$LIVE_SYSTEM_BUS" ]; then
  mkdir -p /run/dbus
  mount --bind "$LIVE_DIR/polkit" /etc/polkit-1/rules.d
  dbus-daemon --system --fork --nopidfile
  for polkitd in /usr/lib/polkit-1/polkitd /usr/libexec/polkitd /usr/lib/policykit-1/polkitd; do
    if [ -x "$polkitd" ]; then "$polkitd" --no-debug & break; fi
  done
  owned() {
    dbus-send --system --print-reply=literal --dest=org.freedesktop.DBus /org/freedesktop/DBus \
      org.freedesktop.DBus.NameHasOwner string:org.freedesktop.PolicyKit1 | grep -q true
  }
  for attempt in $(seq 500); do
    if owned; then break; fi
    if [ "$attempt" = 500 ]; then echo "polkitd did not come up on the private system bus" >&2; exit 1; fi
    sleep 0.01
  done
fi

if [ -n "$LIVE_SASL" ]; then
  export SASL_CONF_PATH="$LIVE_DIR/sasl"
  mkdir -p "$SASL_CONF_PATH"
  printf '%s\n' "mech_list: $LIVE_SASL" "pwcheck_method: auxprop" "auxprop_plugin: sasldb" \
    "sasldb_path: $SASL_CONF_PATH/passwd.db" >"$SASL_CONF_PATH/libvirt.conf"
  echo secret | saslpasswd2 -p -c -f "$SASL_CONF_PATH/passwd.db" -a libvirt fred
fi

# Before libvirtd, which asks it for the devices when it starts, and in the same network namespace.
if [ -n "$LIVE_UDEVD" ]; then
  mkdir -p /run/udev
  for udevd in /usr/lib/systemd/systemd-udevd /lib/systemd/systemd-udevd; do
    if [ -x "$udevd" ]; then "$udevd" --daemon; break; fi
  done
fi

if [ -n "$LIVE_VIRTLOGD" ]; then virtlogd & fi

start() {
  # shellcheck disable=SC2086 # several arguments
  {
    status=0
    libvirtd -p "$LIVE_DIR/run/libvirtd.pid" $LIVE_ARGUMENTS || status=$?
    echo "libvirtd ended with $status" >"$LIVE_DIR/ended"
  } &
}

start
set +e
while read -r line; do eval "$line"; done
