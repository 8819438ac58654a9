# Functions of the other scripts here, which run in a scratch root.

config=/etc/permalink-milter/permalink-milter.toml
state=/var/lib/permalink-milter
sockets=/var/spool/postfix/permalink-milter
user=permalink-milter
log=/run/daemon.log
daemon=

# ok TEXT COMMAND... checks that the command succeeds.
ok() {
	local text=$1
	shift
	if ! "$@"; then
		echo "FAILED: $text: $*" >&2
		[ ! -e $log ] || cat $log >&2
		exit 1
	fi
	echo "ok: $text"
}

not() { ! "$@"; }

quiet() { "$@" >/run/output 2>&1 || { cat /run/output; return 1; }; }

# equal WANT COMMAND... checks what the command prints.
equal() {
	local want=$1 got
	shift
	got=$("$@")
	[ "$got" = "$want" ] || { echo "$* printed $got, not $want"; return 1; }
}

logged() {
	local i
	for i in $(seq 100); do
		! grep -q "$1" $log || return 0
		sleep 0.1
	done
	return 1
}

http() {
	exec 3<>/dev/tcp/127.0.0.1/8898
	printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3
	cat <&3
}

# configure edits the installed file as a site would.
configure() {
	sed -i -E \
		-e "s/^listen = \['unix:.*/listen = ['inet:127.0.0.1:8899', 'unix:\/run\/permalink-milter\/milter.sock']/" \
		-e "/^\[admin\]/,/^\[http\]/ s/^#listen = .*/listen = '127.0.0.1:8898'/" \
		-e 's/^#(level = )/\1/' $config
}

# start runs the daemon as its unit does: as its user, with the directories that
# systemd creates.
start() {
	install -d -m 0755 -o $user -g $user /run/permalink-milter
	: >$log
	STATE_DIRECTORY=$state setpriv --reuid=$user --regid=$user --clear-groups --no-new-privs --bounding-set=-all \
		/usr/bin/permalink-milter --config $config 2>$log &
	daemon=$!
	ok "the daemon starts as its user" logged '127.0.0.1:8899'
}

stop() {
	kill -TERM $daemon
	ok "the daemon ends in order" wait $daemon
}

# works checks the running daemon.
works() {
	ok "it runs as an unprivileged user" grep -q "^Uid:	$(id -u $user)	" /proc/$daemon/status
	ok "it holds no capability" grep -q '^CapEff:	0*$' /proc/$daemon/status
	ok "it is ready" eval 'http /readyz | grep -q " 200 "'
	ok "its registry is its own" equal "$user 640" stat -c '%U %a' $state/permalinks.db
	ok "its socket is its own" equal "$user 660" stat -c '%U %a' /run/permalink-milter/milter.sock
	sed -i "s/^level = .*/level = 'debug'/" $config
	kill -HUP $daemon
	ok "it reads its configuration again at SIGHUP" logged 'configuration reloaded'
	echo nonsense >>$config
	kill -HUP $daemon
	ok "it keeps the configuration where the file is bad" logged 'configuration not reloaded'
	sed -i '$d' $config
	ok "it is ready still" eval 'http /readyz | grep -q " 200 "'
}

# protected checks what other users must not read.
protected() {
	ok "the user is a system's, without a shell" eval 'getent passwd $user | grep -Eq "^$user:x:[0-9]{1,3}:[0-9]+:.*:$state:.*/nologin$"'
	ok "the configuration's directory is for root and the daemon" equal "root $user 750" stat -c '%U %G %a' /etc/permalink-milter
	ok "the state directory is the daemon's" equal "$user $user 750" stat -c '%U %G %a' $state
	ok "the daemon may read its configuration" as_daemon permalink-milter --config $config --check
	ok "others may not" not setpriv --reuid=65534 --regid=65534 --clear-groups cat $config 2>/dev/null
	ok "they are told who may" grep -q "^permalink lookup: $config: .*: permission denied: run this as root, or as a member of the group $user: " <(setpriv --reuid=65534 --regid=65534 --clear-groups permalink lookup --all 2>&1)
	ok "the configuration changes no default but addresses" equal "" eval 'diff <(PERMALINK_CONFIG= permalink-milter --print-config | grep -v "^listen\|^state_dir\|^hostname") <(permalink-milter --print-config | grep -v "^listen\|^state_dir\|^hostname")'
	mkdir /run/small
	mount -t tmpfs -o size=64k,uid=$(id -u $user) small /run/small
	echo "state_dir = '/run/small'" >/run/small.toml
	ok "the check says that the disk is full" grep -q "^warning: /run/small.toml:1:1: state_dir: /run/small has 64 KiB left: make room" <(permalink-milter --config /run/small.toml --check 2>&1)
	umount /run/small
	chmod 0600 $config
	ok "the check says what the daemon may not read" grep -q "^$config: the user $user cannot read $config: " <(permalink-milter --check 2>&1)
	chmod 0644 $config
	ok "the socket's directory is for Postfix" equal "$user postfix 2750" stat -c '%U %G %a' $sockets
	ok "root's check is of the installed file" grep -qx "$config: configuration is valid" <(permalink-milter --check 2>/dev/null)
}

# reserve makes a reservation as root; kept checks that it is still there. Both
# work whether or not the daemon runs.
reserved='{"list":"devel@lists.example.org","token":"VP3JZR3MSKY5TQSMS5FHURHQXI-2","identity":"00000000000000000000000000000001","state":"reserved","since":"2026-11-24T11:00:00Z"}'
as_daemon() { setpriv --reuid=$user --regid=$user --clear-groups "$@"; }
reserve() { echo "$reserved" | permalink registry import; }
kept() { equal "$reserved" permalink registry export; }

# links prints the links of the installed documents that lead nowhere.
links() {
	local file target
	find /usr/share/doc/permalink-milter -name '*.md' | while read -r file; do
		grep -oE '\]\([^)]+' "$file" | sed 's/^](//; s/#.*//' | grep -v '://' | grep . | while read -r target; do
			[ -e "$(dirname "$file")/$target" ] || echo "$file: $target"
		done
	done
}

documented() {
	local page program
	ok "links in the documents lead somewhere" equal "" links
	ok "the text on tokens is there" grep -q '\[\[token\]\]' /usr/share/doc/permalink-milter/registry/httpapi/README.md
	for page in man8/permalink-milter.8 man5/permalink-milter.toml.5 man1/permalink.1 man1/permalink-verify.1; do
		ok "the manual has $page" gzip -t /usr/share/man/$page.gz
	done
	for program in permalink permalink-milter; do
		ok "bash completes $program" bash -n /usr/share/bash-completion/completions/$program
	done
}
