# Installs, starts, upgrades and erases the RPM package. Its dependencies are
# not checked, because the scratch root may not be an RPM system.
set -euo pipefail
. /mnt/try.sh
architecture=$(uname -m)
old=$(echo /mnt/packages/old/*."$architecture".rpm)
new=$(echo /mnt/packages/new/*."$architecture".rpm)
rpm() { command rpm --force-debian --dbpath /mnt/rpmdb --nodeps "$@"; }

ok "the old version installs" rpm -i "$old"
protected
documented
configure
start
works
stop
cp $config /mnt/before
ok "root reserves a permalink" reserve
ok "the new version installs over it" rpm -U "$new"
ok "the administrator's configuration stays" cmp $config /mnt/before
ok "the registry stays" kept
ok "rpm finds the files as they were packed" equal "S.5....T.  c $config" rpm -V permalink-milter
start
ok "it is ready" eval 'http /readyz | grep -q " 200 "'
stop
ok "it is erased" rpm -e permalink-milter
ok "the programs are gone" not test -e /usr/bin/permalink-milter
ok "the administrator's configuration is kept" cmp $config.rpmsave /mnt/before
ok "the registry stays" test -e $state/permalinks.db
