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
ok "it says what it does" grep -q "^serving milter on $sockets/milter.sock" <(property StatusText)
ok "its socket is for Postfix" equal "$user postfix 660" stat -c '%U %G %a' $sockets/milter.sock

# From the package to stamped mail, in the chroot of Debian's Postfix, which has
# another milter already; then ours is taken out again.
useradd -m devel
postconf -e maillog_file=/var/log/mail mydestination=lists.example.org myhostname=mx.example.org inet_interfaces=loopback-only \
	inet_protocols=ipv4 alias_maps= alias_database= 'smtpd_milters={ inet:127.0.0.1:1, default_action=accept }' 'non_smtpd_milters=$smtpd_milters'
postconf -F 'smtp/inet/chroot=y' 'cleanup/unix/chroot=y'
before=$(postconf -h smtpd_milters non_smtpd_milters)
ok "Postfix starts" quiet postfix start
permalink-milter --print-mta postfix >/run/add
ok "the check says that Postfix does not ask the daemon" grep -q "smtpd_milters has no milter" <(permalink-milter --check 2>&1)
ok "the printed lines run" quiet sh -e /run/add
ok "the check is content" equal "$config: configuration is valid" eval 'permalink-milter --check 2>&1'
printf 'Subject: one\nMessage-ID: <abc@example.org>\n\nhello\n' | sendmail -f a@example.org devel@lists.example.org
stamped() { local i; for i in $(seq 100); do ! grep -qs "$1" /var/mail/devel || return 0; sleep 0.2; done; cat /var/log/mail; return 1; }
ok "mail is stamped" stamped '^Message-ID-MD5: VP3JZR3MSKY5TQSMS5FHURHQXI'
sed '1,/^# To take it out again:/d; s/^# //' /run/add >/run/remove
ok "it is taken out again" quiet sh -e /run/remove
ok "the lines are as they were" equal "$before" postconf -h smtpd_milters non_smtpd_milters
quiet postfix stop

# The rest is with an address of TCP.
sed -i "s/^listen = \['unix:.*/listen = ['inet:127.0.0.1:8899']/" $config
ok "it listens on TCP" systemctl restart $unit
status="serving milter on 127.0.0.1:8899, control on $state/control.sock"
ok "its address is open" address
daemon=$(property MainPID)
ok "it runs as an unprivileged user" grep -q "^Uid:	$(id -u $user)	" "/proc/$daemon/status"
ok "it can gain no privilege" grep -q '^NoNewPrivs:	1' "/proc/$daemon/status"
ok "it holds no capability" grep -q '^CapBnd:	0*$' "/proc/$daemon/status"
ok "its system calls are filtered" grep -q '^Seccomp:	2' "/proc/$daemon/status"
ok "its timers may be a millisecond late" grep -qx 1000000 "/proc/$daemon/timerslack_ns"
ok "its registry is its own" equal "$user 640" stat -c '%U %a' $state/permalinks.db

ok "it reloads" systemctl reload $unit
ok "the journal has no error" not eval 'journalctl -u $unit -p err -o cat | grep .'
ok "it is the same process" equal "$daemon" property MainPID
echo nonsense >>$config
systemctl reload $unit
ok "it stays where the file is bad" active
ok "the journal has the reason as an error" eval 'journalctl -u $unit -p err -o cat | grep -q "configuration not reloaded"'
ok "but does not start with it" not systemctl restart $unit
ok "for a reason that is an error, too" eval 'journalctl -u $unit -p err -o cat | grep -q "^$config:"'
ok "and is not tried again" equal 78 property ExecMainStatus
sed -i '$d' $config
systemctl start $unit
kill -KILL "$(property MainPID)"
ok "it is restarted when it was killed" eval 'sleep 4; active && equal 1 property NRestarts'

systemctl stop $unit
STATE_DIRECTORY=/run/other permalink-milter >/dev/null 2>&1 &
other=$!
ok "another program takes its address" eval 'sleep 1; address'
systemctl start --no-block $unit
# retried waits for more starts than systemd's limit of five.
retried() {
	local i
	for i in $(seq 90); do
		[ "$(property NRestarts)" -lt 6 ] || return 0
		sleep 1
	done
	systemctl show -p NRestarts -p ActiveState -p SubState -p Result -p ExecMainStatus $unit
	return 1
}
ok "a start that fails is tried again, beyond systemd's limit" retried
kill $other
ok "and succeeds when it can" eval 'sleep 6; active'

ok "the new version installs over it" quiet dpkg -i /mnt/packages/new/*_"$architecture".deb
ok "it is started anew" active
ok "as the new one" eval 'cmp /proc/$(property MainPID)/exe /usr/bin/permalink-milter'

sed -i "s/^listen = \['inet:127.*/listen = ['systemd:milter']/" $config
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
