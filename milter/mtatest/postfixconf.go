package mtatest

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// mainCF: the sink is the one way out, no lookup leaves the machine, and a deferred message is tried again after two or
// three seconds: at once after the attempt, its delivery agent may still hold the file, and then qmgr puts it into
// incoming, where it looks again only when master wakes it. always_add_missing_headers keeps its default, no.
const mainCF = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/log/mail.log
maillog_file_prefixes = %[1]s/log
myhostname = mx.example.org
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
append_dot_mydomain = no
biff = no
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_peername_lookup = no
smtp_host_lookup = native
smtp_dns_support_level = disabled
relayhost = [%[2]s]:%[3]s
smtputf8_enable = yes
message_size_limit = 67108864
mailbox_size_limit = 0
notify_classes =
smtpd_milters = %[4]s
non_smtpd_milters = %[4]s
milter_default_action = %[5]s
queue_run_delay = 1s
minimal_backoff_time = 3s
maximal_backoff_time = 3s
in_flow_delay = 0s
smtpd_error_sleep_time = 0s
smtpd_client_connection_count_limit = 0
`

// masterCF leaves out delivery to local programs. %[1]s and %[2]s are the addresses of the two SMTP servers, %[3]s is y
// for those that ask the milters in a chroot. pickup wakes each second to try again what a milter put off. qmgr does so
// by itself (queue_run_delay): under load, master warns of each wake-up that finds qmgr's socket full, and when master
// waits for postlogd while postlogd waits for master, all of Postfix stands still for good.
const masterCF = `%[1]s inet n - %[3]s - - smtpd
    -o local_header_rewrite_clients=
    -o syslog_name=postfix/remote
%[2]s inet n - %[3]s - - smtpd
    -o syslog_name=postfix/local
pickup unix n - n 1 1 pickup
cleanup unix n - %[3]s - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n - 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
`

func (p *Postfix) etc() string     { return filepath.Join(p.dir, "etc") }
func (p *Postfix) queue() string   { return filepath.Join(p.dir, "queue") }
func (p *Postfix) logFile() string { return filepath.Join(p.dir, "log", "mail.log") }

// configure makes the instance's folders and its two configuration files.
func (p *Postfix) configure(o Options) error {
	if err := p.makePostfixFolders(); err != nil {
		return err
	}
	if err := p.choosePorts(); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(o.Sink)
	if err != nil {
		return fmt.Errorf("Options.Sink must be host:port: %w", err)
	}
	text := fmt.Sprintf(mainCF, p.dir, host, port, strings.Join(o.Milters, ", "), cmp.Or(o.MilterDefaultAction, "tempfail"))
	// postconf takes the last of several lines with one name, but warns of each.
	text = overrideMain(text, o.ExtraMain)
	chroot := "n"
	if o.Chroot {
		chroot = "y"
	}
	return errors.Join(
		os.WriteFile(filepath.Join(p.etc(), "main.cf"), []byte(text), 0o644),
		os.WriteFile(filepath.Join(p.etc(), "master.cf"), fmt.Appendf(nil, masterCF, p.remote, p.local, chroot), 0o644),
	)
}

// overrideMain puts the extra lines in place of those with the same name.
func overrideMain(text string, extra []string) string {
	for _, line := range extra {
		name := settingName(line)
		kept := strings.Builder{}
		for old := range strings.Lines(text) {
			if settingName(old) != name {
				kept.WriteString(old)
			}
		}
		text = kept.String() + strings.TrimSpace(line) + "\n"
	}
	return text
}

func settingName(line string) string {
	name, _, _ := strings.Cut(line, "=")
	return strings.TrimSpace(name)
}

func (p *Postfix) makePostfixFolders() error {
	if err := errors.Join(p.makeDir(), checkPassable(p.dir)); err != nil {
		return err
	}
	if err := p.makeFolders(0o755, "etc", "queue", "data", "log"); err != nil {
		return err
	}
	return giveTo("postfix", filepath.Join(p.dir, "data"))
}

// checkPassable finds the parent that keeps Postfix's own user out; its daemons would only log "permission denied".
func checkPassable(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("check the instance's folder: %w", err)
		}
		if info.Mode()&0o001 == 0 {
			return fmt.Errorf("the user postfix cannot pass %s (mode %v); chmod o+x it, or leave Options.Dir empty", dir, info.Mode())
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
