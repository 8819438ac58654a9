package mtatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

// sympaUser is the user as whom Sympa runs; it refuses to be root.
const sympaUser = "mail"

// A sympa is Debian's list manager with its database in SQLite, which sends
// through a site. Its folders are compiled into its module Sympa::Constants, of
// which it gets a changed copy.
type sympa struct {
	site
	t    *testing.T
	dir  string
	tree string // where the package is unpacked
}

const sympaConfig = `domain lists.example.org
listmaster listmaster@example.net
lang en-US
supported_lang en-US
db_type SQLite
db_name %[1]s/sympa.sqlite
sendmail %[1]s/sendmail
sendmail_aliases none
wwsympa_url https://lists.example.org/sympa
sleep 1
`

// sympaLists are the lists' configurations beside what all have.
var sympaLists = map[string]string{
	"devel": "send private\n\nprocess_archive on\n\narchive\nweb_access public\n\ndigest 0,1,2,3,4,5,6 0:1\n\nsubscribe open,notify\n",
	"held":  "send editorkey\n\nprocess_archive on\n\narchive\nweb_access public\n",
	"bare":  "send public\n\nprocess_archive off\n",
}

const sympaList = `subject A list

status open

visibility noconceal

unsubscribe open

owner
email owner@example.net

`

// sympaSender is the sendmail that Sympa calls: with -f and recipients, and the
// message on stdin.
const sympaSender = `#!/usr/bin/python3
import getopt, smtplib, sys
options, recipients = getopt.getopt(sys.argv[1:], "f:o:N:B:V:R:it")
sender = dict(options).get("-f", "").strip("<>")
with smtplib.SMTP(%q, %s) as server:
    server.sendmail(sender, recipients, sys.stdin.buffer.read())
`

const sympaMembers = `use Conf; use Sympa::List;
Conf::load() or die 'no configuration';
while (my ($name, $email, $reception) = splice @ARGV, 0, 3) {
	my $list = Sympa::List->new($name, 'lists.example.org') or die "no list $name";
	if ($reception eq 'owner') {
		$list->add_list_admin('owner', {email => $email, profile => 'normal', visibility => 'noconceal', reception => 'mail'});
		next;
	}
	$list->add_list_member({email => $email, reception => $reception});
	$list->is_list_member($email) or die "cannot add $email";
}
`

// TestSympa sends what Sympa sends through the milter: posts that it archives
// get a permalink, and nothing else gets one.
func TestSympa(t *testing.T) {
	l := startSympa(t)
	l.receive("alice@example.org", "devel", "a post")
	l.receive("alice@example.org", "devel", "not for the archive", "X-No-Archive: yes")
	l.receive("alice@example.org", "bare", "to a list without an archive")
	l.receive("stranger@example.com", "devel", "not by a member")
	l.receive("stranger@example.com", "held", "held")
	l.receive("stranger@example.com", "devel-request", "to the owner")
	l.receive("new@example.com", "devel-subscribe", "subscribe")
	l.receive("new@example.com", "sympa", "help")
	for _, daemon := range []string{"sympa_msg.pl", "bulk.pl"} {
		l.start(daemon)
	}
	l.waitFor("alice@example.org", "a post", "not for the archive", "to a list without an archive")
	l.receive("new@example.com", "devel-unsubscribe", "unsubscribe")
	l.run("sympa.pl", "--send_digest")
	l.waitFor("stranger@example.com", "Message distribution: Authorization denied")
	l.waitFor("owner@example.net", "to be approved", "to the owner", "FYI: subscribe")
	l.waitFor("new@example.com", "Welcome", "Results of your commands", "User guide", "Unsubscribed")
	for _, reader := range []string{"mime", "plain", "summary"} {
		l.waitFor(reader+"@example.org", "devel ")
	}
	archived := l.archived()
	if len(archived) != 1 {
		t.Errorf("Sympa archived %q", archived)
	}
	// Nothing in a post says that its list has no archive: Sympa writes
	// List-Archive all the same. config/archivers/sympa.md says what to do.
	archived = append(archived, sympaID("to a list without an archive"))
	for _, m := range l.sink.Messages() {
		ours := slices.DeleteFunc(m.Header("Archived-At"), func(link string) bool { return !strings.Contains(link, "//a.example/") })
		if stamped := len(ours) == 1; len(ours) > 1 || stamped != slices.Contains(archived, strings.Join(m.Header("Message-ID"), "")) {
			t.Errorf("%s: links %q in:\n%s", m.To, ours, m.RawHeader())
		}
	}
}

func startSympa(t *testing.T) *sympa {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	l := &sympa{t: t, dir: t.TempDir(), tree: filepath.Join(cache, "permalink-milter", "sympa")}
	need.File(t, l.tree, "testdata/unpack.sh sympa sympa")
	need.Program(t, "python3", "python3")
	need.Root(t)
	l.site = startSite(t, postfixKind, Options{})
	openParents(t, l.dir)
	if err := l.configure(); err != nil {
		t.Fatal(err)
	}
	l.own()
	l.run("sympa.pl", "--health_check")
	var members []string
	for list, addresses := range map[string]map[string]string{
		"devel": {"alice@example.org": "mail", "mime@example.org": "digest", "plain@example.org": "digestplain", "summary@example.org": "summary", "owner@example.net": "owner"},
		"bare":  {"alice@example.org": "mail"},
		"held":  {"owner@example.net": "owner"},
	} {
		for address, reception := range addresses {
			members = append(members, list, address, reception)
		}
	}
	l.perl(append([]string{"-e", sympaMembers}, members...)...)
	l.own()
	return l
}

// configure writes what Sympa reads before it starts.
func (l *sympa) configure() error {
	host, port, _ := net.SplitHostPort(l.mta.Local())
	var errs []error
	for _, name := range []string{"lib", "default"} { // Sympa's user may not look into root's cache
		errs = append(errs, os.CopyFS(filepath.Join(l.dir, "share", name), os.DirFS(filepath.Join(l.tree, "usr/share/sympa", name))))
	}
	constants := filepath.Join(l.dir, "share/lib/Sympa/Constants.pm")
	code, err := os.ReadFile(constants)
	changed := strings.NewReplacer("'/etc/sympa", "'"+l.dir+"/etc", "'/var/lib/sympa", "'"+l.dir+"/var", "'/var/spool/sympa", "'"+l.dir+"/spool",
		"'/run/sympa", "'"+l.dir+"/run", "'/usr/share/sympa", "'"+l.dir+"/share", "=> 'sympa'", "=> '"+sympaUser+"'").Replace(string(code))
	for _, name := range []string{"etc/sympa", "run", "spool/msg", "var/arc", "var/bounce", "var/css", "var/pictures"} {
		errs = append(errs, os.MkdirAll(filepath.Join(l.dir, name), 0o755))
	}
	for name, text := range sympaLists {
		folder := filepath.Join(l.dir, "var/list_data", name)
		errs = append(errs, os.MkdirAll(folder, 0o755), os.WriteFile(filepath.Join(folder, "config"), []byte(sympaList+text), 0o600))
	}
	return errors.Join(errors.Join(errs...), err, os.WriteFile(constants, []byte(changed), 0o644),
		os.WriteFile(filepath.Join(l.dir, "etc/sympa/sympa.conf"), fmt.Appendf(nil, sympaConfig, l.dir), 0o644),
		os.WriteFile(filepath.Join(l.dir, "sendmail"), fmt.Appendf(nil, sympaSender, host, port), 0o755))
}

// own gives all files to Sympa's user; what ran as root made some.
func (l *sympa) own() {
	l.t.Helper()
	if out, err := exec.CommandContext(limit(l.t), "chown", "-R", sympaUser+":"+sympaUser, l.dir).CombinedOutput(); err != nil {
		l.t.Fatalf("chown: %v: %s", err, out)
	}
}

func (l *sympa) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/bin/perl", args...)
	cmd.Dir = l.dir
	library := filepath.Join(l.dir, "share/lib")
	cmd.Env = append(os.Environ(), "PERL5LIB="+library, "SYMPALIB="+library)
	return cmd
}

func (l *sympa) perl(args ...string) {
	l.t.Helper()
	if out, err := l.command(limit(l.t), args...).CombinedOutput(); err != nil {
		l.t.Fatalf("%v: %s", err, out)
	}
}

func (l *sympa) program(name string) string {
	return filepath.Join(l.tree, "usr/lib/sympa/bin", name)
}

func (l *sympa) run(name string, args ...string) {
	l.t.Helper()
	l.perl(append([]string{l.program(name)}, args...)...)
	l.own()
}

// start runs a daemon until the test ends.
func (l *sympa) start(name string) {
	l.t.Helper()
	p, err := StartProgram(limit(l.t), l.command(context.Background(), l.program(name), "--foreground"), func(context.Context) error { return nil })
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if l.t.Failed() {
			l.t.Log(p.Output())
		}
		if err := p.Stop(); err != nil {
			l.t.Error(err)
		}
	})
}

func sympaID(subject string) string { return fmt.Sprintf("<%x@example.org>", subject) }

// receive puts a message into Sympa's spool, as its program queue does for an
// MTA. to is the local part of the address.
func (l *sympa) receive(from, to, subject string, header ...string) {
	l.t.Helper()
	to += "@lists.example.org"
	data := fmt.Sprintf("X-Sympa-To: %s\nReturn-Path: <%s>\nFrom: <%s>\nTo: <%s>\nSubject: %s\nDate: Tue, 24 Nov 2026 11:00:00 +0000\n"+
		"Message-ID: %s\n%s\nhello\n", to, from, from, to, subject, sympaID(subject), strings.Join(append(header, ""), "\n"))
	draft := filepath.Join(l.dir, "T."+to)
	spooled := filepath.Join(l.dir, "spool/msg", fmt.Sprintf("%s.1795679301.%d", to, len(subject)*1000+len(from)))
	if err := os.WriteFile(draft, []byte(data), 0o644); err != nil {
		l.t.Fatal(err)
	}
	l.own()
	if err := os.Rename(draft, spooled); err != nil {
		l.t.Fatal(err)
	}
}

func (l *sympa) waitFor(to string, subjects ...string) {
	l.t.Helper()
	for _, subject := range subjects {
		waitSubject(l.t, l.sink, to, subject)
	}
}

// archived returns the Message-ID fields of what Sympa put into the spool of
// its archive.
func (l *sympa) archived() (ids []string) {
	l.t.Helper()
	names, err := filepath.Glob(filepath.Join(l.dir, "spool/outgoing", "*"))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) || len(data) == 0 {
			continue // a folder, or a lock
		}
		m := Message{Data: bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))}
		ids = append(ids, m.Header("Message-ID")...)
	}
	return ids
}
