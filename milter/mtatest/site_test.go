package mtatest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest/need"
)

// A kind is one MTA that the cases run on, with all in which it differs from the other as far as the cases can tell.
type kind struct {
	name  string
	start func(*testing.T, Options) MTA
	// smtputf8 says that it takes addresses in UTF-8 (RFC 6531). Debian's Sendmail is built without USE_EAI.
	smtputf8 bool
	// down is its reply while the milter does not answer.
	down string
	// order is that of the fields where a forged Message-ID-MD5, another site's Archived-At and ours meet.
	order []string
	// snippet is the file of configuration that an operator gets, and comment begins its lines without effect.
	snippet, comment string
	// address writes host and port as that file does.
	address func(host, port string) string
	// longHeader are the lines of configuration by which it takes a header of 64 KB.
	longHeader []string
}

var (
	postfixKind = kind{name: "Postfix", start: func(t *testing.T, o Options) MTA { return startPostfix(t, o) }, smtputf8: true, down: "451 4.7.1",
		snippet: "../../config/postfix/main.cf", comment: "#",
		address: func(host, port string) string { return "inet:" + host + ":" + port },
		order:   []string{"Received", "Archived-At", "From", "Date", "To", "Archived-At", "Message-ID", "X-Last", "Message-ID-MD5"}}
	sendmailKind = kind{name: "Sendmail", start: func(t *testing.T, o Options) MTA { return startSendmail(t, o) }, down: "451 4.3.2",
		snippet: "../../config/sendmail/permalink-milter.mc", comment: "dnl ",
		address: func(host, port string) string { return "inet:" + port + "@" + host },
		// Sendmail puts an added field where the name is already, or was before the filter deleted it.
		order:      []string{"Received", "Archived-At", "Message-ID-MD5", "From", "Date", "To", "Archived-At", "Message-ID", "X-Last"},
		longHeader: []string{"define(`confMAX_HEADERS_LENGTH', `4194304')dnl"}}
	kinds = []kind{postfixKind, sendmailKind}
)

// A site is an MTA with the daemon and a sink.
type site struct {
	kind
	mta    MTA
	daemon *Daemon
	sink   *Sink
}

// daemonBin is the daemon that TestMain builds.
var daemonBin string

func TestMain(m *testing.M) { os.Exit(RunWithDaemon(m, "../..", &daemonBin)) }

// startSite starts an MTA with the daemon before o.Milters. It chooses o.Dir and o.Sink. milter are as for startDaemon.
func startSite(t *testing.T, k kind, o Options, milter ...string) site {
	t.Helper()
	dir := t.TempDir()
	openParents(t, dir)
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("inet:127.0.0.1:%d", port)
	daemon := startDaemon(t, dir, addr, milter...)
	o.Dir, o.Milters = filepath.Join(dir, "mta"), append([]string{addr}, o.Milters...)
	o.ExtraMain = append(o.ExtraMain, k.longHeader...)
	sink := startSink(t)
	o.Sink = sink.Addr()
	return site{k, k.start(t, o), daemon, sink}
}

// startDaemon starts the daemon with one archive and a listener at addr. milter are further lines of [milter].
func startDaemon(t *testing.T, dir, addr string, milter ...string) *Daemon {
	t.Helper()
	need.Time(t, "it starts the daemon")
	d, err := StartDaemon(limit(t), daemonBin, dir, daemonConfig(dir, addr, milter...), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(d.Stderr())
		}
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// daemonConfig is what startDaemon writes.
func daemonConfig(dir, addr string, milter ...string) string {
	return fmt.Sprintf(`
state_dir = %q
[milter]
shutdown_budget = "2s"
listen = [%q]
%s
[[archive]]
name = "a"
lists = ["*@lists.example.org"]
url = "https://a.example/{list}/{token}"
`, filepath.Join(dir, "state"), addr, strings.Join(milter, "\n"))
}

// pass sends one message to a list through the MTA and returns what came out.
func (s site) pass(t *testing.T, addr, header string, body string) Message {
	t.Helper()
	return s.passRaw(t, addr, []byte(header+"\r\n"+body))
}

func (s site) passRaw(t *testing.T, addr string, data []byte) Message {
	t.Helper()
	s.sink.Reset()
	mail := Mail{From: "a@example.org", To: []string{"devel@lists.example.org"}, Data: data}
	if err := Send(limit(t), addr, mail); err != nil {
		t.Fatal(err)
	}
	return wait(t, s.sink, 1)[0]
}

// checkStamped verifies a delivered message's fields and returns its token.
func checkStamped(t *testing.T, m Message) string {
	t.Helper()
	ids, hashes, links := m.Raw("Message-ID"), m.Raw("Message-ID-MD5"), m.Raw("Archived-At")
	if len(ids) == 0 || len(hashes) != 1 || len(links) != 1 {
		t.Fatalf("fields %q %q %q in:\n%s", ids, hashes, links, m.RawHeader())
	}
	if err := hashheader.Verify(hashheader.MD5, hashes[0], hashheader.Canonical(nil, ids[0])); err != nil {
		t.Error(err)
	}
	url, err := hashheader.ParseArchivedAt(links[0])
	if err != nil {
		t.Error(err)
	}
	token := strings.TrimPrefix(url, "https://a.example/devel@lists.example.org/")
	if !strings.HasPrefix(token, strings.TrimSpace(hashes[0])) {
		t.Errorf("%s is not of hash %s", url, hashes[0])
	}
	return token
}
