# Installs the Debian package under systemd and tests the unit.
set -euo pipefail
. /mnt/try.sh
export DEBIAN_FRONTEND=noninteractive
architecture=$(dpkg --print-architecture)
unit=permalink-milter.service

property() { systemctl show -P "$1" $unit; }
active() { equal active property ActiveState; }
# address is open if a client can connect.
address() { (exec 3<>/dev/tcp/127.0.0.1/8899) 2>/dev/null; }

ok "the old version installs" quiet dpkg -i /mnt/packages/old/*_"$architecture".deb
ok "it is started" active
status="serving milter on 127.0.0.1:8899, control on $state/control.sock"
ok "it says what it does" equal "$status" property StatusText
ok "its address is open" address
daemon=$(property MainPID)
ok "it runs as an unprivileged user" grep -q "^Uid:	$(id -u $user)	" "/proc/$daemon/status"
ok "it can gain no privilege" grep -q '^NoNewPrivs:	1' "/proc/$daemon/status"
ok "it holds no capability" grep -q '^CapBnd:	0*$' "/proc/$daemon/status"
ok "its system calls are filtered" grep -q '^Seccomp:	2' "/proc/$daemon/status"
ok "its timers may be a millisecond late" grep -qx 1000000 "/proc/$daemon/timerslack_ns"
ok "its registry is its own" equal "$user 640" stat -c '%U %a' $state/permalinks.db

ok "it reloads" systemctl reload $unit
ok "it is the same process" equal "$daemon" property MainPID
echo nonsense >>$config
systemctl reload $unit
ok "it stays where the file is bad" active
ok "but does not start with it" not systemctl restart $unit
ok "and is not tried again" equal 78 property ExecMainStatus
sed -i '$d' $config
systemctl start $unit
kill -KILL "$(property MainPID)"
ok "it is restarted when it was killed" eval 'sleep 1; active && equal 1 property NRestarts'

ok "the new version installs over it" quiet dpkg -i /mnt/packages/new/*_"$architecture".deb
ok "it is started anew" active
ok "as the new one" eval 'cmp /proc/$(property MainPID)/exe /usr/bin/permalink-milter'

sed -i "s/^#listen = \['inet:127.*/listen = ['systemd:milter']/" $config
systemctl stop $unit
ok "the socket's unit takes the address" systemctl enable --quiet --now permalink-milter.socket
ok "the daemon starts with it" systemctl start $unit
ok "and serves it" equal "$status" property StatusText
systemctl stop $unit
ok "the address stays open without the daemon" address
ok "a client brings the daemon back" eval 'sleep 1; active'

ok "it is removed" quiet dpkg -r permalink-milter
ok "it has ended" not address
ok "it is purged" quiet dpkg -P permalink-milter
ok "its state is gone" not test -e $state
