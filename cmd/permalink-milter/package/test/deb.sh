# Installs, starts, upgrades, removes and purges the Debian package.
set -euo pipefail
. /mnt/try.sh
export DEBIAN_FRONTEND=noninteractive
architecture=$(dpkg --print-architecture)
old=$(echo /mnt/packages/old/*_"$architecture".deb)
new=$(echo /mnt/packages/new/*_"$architecture".deb)
enabled=/etc/systemd/system/multi-user.target.wants/permalink-milter.service

ok "the old version installs" quiet dpkg -i "$old"
protected
documented
ok "the unit is enabled" test -e $enabled
ok "the socket is not" not test -e /etc/systemd/system/sockets.target.wants/permalink-milter.socket
configure
ok "root reserves a permalink before the first start" reserve
start
works
ok "the tool works beside the daemon" kept
stop
ok "and without it" kept
cp $config /mnt/before

ok "the new version installs over it" quiet dpkg -i "$new"
ok "it is the new one" eval '! permalink-milter --version | grep -qF 0.0.1'
ok "the administrator's configuration stays" cmp $config /mnt/before
ok "the registry stays" kept
ok "dpkg finds the files as they were packed" equal "??5?????? c $config" dpkg -V permalink-milter
start
ok "it is ready" eval 'http /readyz | grep -q " 200 "'
stop
chmod 0700 $state
ok "it installs once more" quiet dpkg -i "$new"
ok "modes that the administrator set stay" equal 700 stat -c %a $state

ok "it is removed" quiet dpkg -r permalink-milter
ok "the programs are gone" not test -e /usr/bin/permalink-milter
ok "the configuration stays" cmp $config /mnt/before
ok "the registry stays" test -e $state/permalinks.db
ok "it installs again" quiet dpkg -i "$new"
ok "the configuration is as it was" cmp $config /mnt/before
ok "so is the registry" kept

install -d -o $user $state/devel/new
echo mail >$state/devel/new/1
touch $state/import-devel@lists.example.org.json
ok "it is purged" quiet dpkg -P permalink-milter
ok "it says that an archive is kept" grep -q "$state is kept, with what other than the registry is in it: devel" /run/output
ok "the archive is there" equal mail cat $state/devel/new/1
ok "the registry is gone" equal devel ls -A $state
rm -r $state
ok "the socket's directory is gone" not test -e $sockets
ok "the configuration is gone" not test -e /etc/permalink-milter
ok "no link is left" not test -L $enabled
ok "nothing is left" equal "" find /etc /usr/bin /usr/share /lib/systemd /var/lib -xdev -name '*permalink*'
ok "the user is left" getent passwd $user
