package conform

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/lmtp"
	"permalink-milter/registry/memreg"
)

// startArchive starts our LMTP server and returns its address.
func startArchive(t *testing.T) string {
	t.Helper()
	url, err := hashheader.ParseTemplate("https://a.example/{list}/{token}")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	maildir, err := lmtp.ParseDelivery("maildir:" + filepath.Join(dir, "devel"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := lmtp.NewServer(lmtp.Options{
		Domains:  []lmtp.Domain{{Name: "archive.example.org", List: "devel@lists.example.org", URL: url, Delivery: maildir}},
		Registry: registry.New(memreg.New(), registry.Options{}), Identity: []string{"message-id", "date"},
		Hostname: "archive.example.org", Log: slog.New(slog.DiscardHandler),
		MaxMessage: 64 << 20, MaxRecipients: 10, Timeout: time.Minute, RegistryTimeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	ln := listen(t)
	go server.Serve(ln)
	t.Cleanup(func() { server.Shutdown(context.Background()) })
	return ln.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// alter starts a proxy that changes the lines of a client and of the server,
// and returns its address.
func alter(t *testing.T, to string, client, server func(string) string) string {
	t.Helper()
	ln := listen(t)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", to)
			if err != nil {
				in.Close()
				continue
			}
			go pass(out, in, client)
			go pass(in, out, server)
		}
	}()
	return ln.Addr().String()
}

func pass(to io.WriteCloser, from io.Reader, change func(string) string) {
	defer to.Close()
	for r := bufio.NewReader(from); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(to, change(line))
	}
}

func archiveTests(t *testing.T, socket string, algorithm hashheader.Algorithm) []Test {
	t.Helper()
	tests, err := Archive(ArchiveTarget{"unix:" + socket, "archive.example.org", algorithm})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

func TestOurArchivePasses(t *testing.T) {
	socket := startArchive(t)
	for _, algorithm := range hashheader.Algorithms {
		passes(t, archiveTests(t, socket, algorithm), 0)
	}
}

// dropClaims changes RCPT as an archive reads it that knows no claims.
func dropClaims(line string) string {
	if before, after, ok := strings.Cut(line, "="); ok && strings.HasPrefix(line, "RCPT") {
		_, domain, _ := strings.Cut(after, "@")
		return before + "@" + domain
	}
	return line
}

func TestEachFaultOfAnArchiveIsSeen(t *testing.T) {
	same := func(line string) string { return line }
	replaced := func(pairs ...string) func(string) string { return strings.NewReplacer(pairs...).Replace }
	socket := startArchive(t)
	for id, fault := range map[string]struct{ client, server func(string) string }{
		"RCPT-1": {same, replaced("250 2.0.0 I'll", "553 5.1.0 I'll")},
		"RCPT-2": {same, replaced("553 5.1.0", "553 5.1.1")},
		"RCPT-3": {same, replaced("550 5.1.1", "553 5.1.0")},
		"RCPT-4": {same, replaced("550 5.1.1", "551 5.1.1")},
		"RCPT-5": {same, replaced("try", "use")},
		"DATA-1": {same, replaced("250 2.1.5", "250 2.0.0")},
		"DATA-2": {same, func(line string) string {
			before, _, _ := strings.Cut(line, " Already")
			return strings.TrimSpace(before) + "\r\n"
		}},
		"DATA-3": {same, replaced("553 5.1.0", "250 2.1.5")},
		"DATA-4": {same, replaced("554 5.6.0", "250 2.1.5")},
		"DATA-5": {same, replaced("554 5.6.0", "250 2.1.5")},
		"TOK-4":  {dropClaims, same},
		"IDN-2":  {replaced("12:00:00", "11:00:00"), same},
		"REG-1":  {same, replaced("553 5.1.0", "250 2.1.5")},
	} {
		tests := archiveTests(t, alter(t, socket, fault.client, fault.server), hashheader.MD5)
		if id != "RCPT-4" { // which is about all replies
			tests = only(tests, id)
		}
		_, all := outcomes(t, tests)
		if !broken(all, id) {
			t.Errorf("%s: %+v", id, all)
		}
	}
}

// broken reports whether a test of a requirement failed as one of its level
// does.
func broken(all []Result, id string) bool {
	for _, r := range all {
		if r.ID == id && (r.Outcome == Fail && r.Level != Should || r.Outcome == Lapse && r.Level == Should) {
			return true
		}
	}
	return false
}
