package lmtp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
)

const devel = "devel@lists.example.org"

func TestMain(m *testing.M) {
	if os.Getenv(crashVariable) != "" {
		serveUntilKilled()
	}
	goleak.VerifyTestMain(m)
}

// A site is a running server with a Maildir for devel and one for users.
type site struct {
	server   *Server
	registry registry.Registry
	addr     string
	devel    string // its Maildir
}

// options are what the tests run with; change, if not nil, alters them.
func options(dir string, reg registry.Registry) Options {
	url, _ := hashheader.ParseTemplate("https://lists.example.org/{token}")
	return Options{
		Domains: []Domain{
			{"archive.example.org", devel, url, &maildir{path: filepath.Join(dir, "devel")}},
			{"Archive.Example.Org", "users@lists.example.org", url, &maildir{path: filepath.Join(dir, "users")}},
		},
		Registry: reg, Identity: []string{"message-id", "date"}, Hostname: "archive.example.org", Log: slog.New(slog.DiscardHandler),
		MaxMessage: 64 << 20, MaxRecipients: 100, Timeout: 20 * time.Second, RegistryTimeout: 5 * time.Second,
	}
}

func start(t *testing.T, change func(*Options)) site {
	t.Helper()
	dir := t.TempDir()
	reg := registry.New(memreg.New(), registry.Options{})
	o := options(dir, reg)
	if change != nil {
		change(&o)
	}
	server, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, server, ln)
	return site{server, o.Registry, ln.Addr().String(), filepath.Join(dir, "devel")}
}

// serve ends with the test; a Shutdown that the test did before does no harm.
func serve(t *testing.T, server *Server, ln net.Listener) {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-ended; !errors.Is(err, ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
}

// A raw is a client that says what a test writes.
type raw struct {
	net.Conn
	r *bufio.Reader
}

func (s site) dial(t *testing.T) raw {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	return raw{nc, bufio.NewReader(nc)}
}

// line returns the server's next line, without its end; "" at the end.
func (c raw) line() string {
	line, _ := c.r.ReadString('\n')
	return strings.TrimSuffix(line, "\r\n")
}

// talk sends lines and returns the last line of the reply to each.
func (c raw) talk(lines ...string) (replies []string) {
	for _, line := range lines {
		io.WriteString(c, line+"\r\n")
		replies = append(replies, c.reply())
	}
	return replies
}

func (c raw) reply() string {
	for {
		line := c.line()
		if len(line) < 4 || line[3] != '-' {
			return line
		}
	}
}

// begin says LHLO and MAIL.
func (c raw) begin(t *testing.T, from string) {
	t.Helper()
	c.line()
	if got := c.talk("LHLO client.example.org", "MAIL FROM:<"+from+">"); !strings.HasPrefix(got[1], "250 ") {
		t.Fatal(got)
	}
}

func expect(t *testing.T, got, prefix string) {
	t.Helper()
	if !strings.HasPrefix(got, prefix) {
		t.Errorf("got %q, want %q", got, prefix)
	}
}

// stored returns the messages of a Maildir.
func stored(t *testing.T, maildir string) (contents []string) {
	t.Helper()
	for _, dir := range []string{"new", "cur"} {
		files, _ := filepath.Glob(filepath.Join(maildir, dir, "*"))
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			contents = append(contents, string(content))
		}
	}
	return contents
}

// play says the C: lines of a transcript and compares what the server says,
// byte for byte, with the S: lines.
func play(t *testing.T, s site, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := s.dial(t)
	for number, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		who, words, _ := strings.Cut(line, ":")
		words = strings.TrimPrefix(words, " ")
		switch who {
		case "C":
			io.WriteString(c, words+"\r\n")
		case "S":
			if got := c.line(); got != words {
				t.Fatalf("%s:%d:\n got %s\nwant %s", file, number+1, got, words)
			}
		}
	}
	if got := c.line(); got != "" {
		t.Errorf("%s: the server goes on: %s", file, got)
	}
}

// hash is the MD5 of both ids of a real collision.
const (
	hash    = "7KWUTBTOSSMPYFYZ6UUJ46QCNE"
	aliceID = "TEXTCOLLBYfGiJUETHQ4hAcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak"
	bobID   = "TEXTCOLLBYfGiJUETHQ4hEcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak"
)

func message1(id string) string {
	return "From: a@example.org\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\nSubject: one\r\nMessage-ID: <" + id + ">\r\n\r\nhello\r\n"
}

func identity(text string) hashheader.Identity {
	m, err := readMessage(&spool{head: []byte(text)}, []string{"message-id", "date"})
	if err != nil {
		panic(err)
	}
	return m.identity
}

func (s site) reserve(t *testing.T, id string) {
	t.Helper()
	_, err := s.registry.Reserve(t.Context(), registry.Request{List: devel, Hash: hash, Identity: identity(message1(id))})
	if err != nil {
		t.Fatal(err)
	}
}

// The Internet-Draft quotes the example.
func TestPackageDocumentationShowsTheTranscript(t *testing.T) {
	doc, err := os.ReadFile("lmtp.go")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/seed.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines, rest := 0, string(golden)
	for line := range strings.Lines(string(doc)) {
		line, example := strings.CutPrefix(line, "//\t")
		if !example || !strings.HasPrefix(line, "S: ") && !strings.HasPrefix(line, "C: ") || strings.HasPrefix(line, "C: (") {
			continue
		}
		lines++
		var found bool
		if _, rest, found = strings.Cut(rest, line); !found {
			t.Fatalf("%q is not in the transcript, or not there", line)
		}
	}
	if lines < 20 {
		t.Errorf("the example has %d lines", lines)
	}
}

func TestTranscripts(t *testing.T) {
	for name, c := range map[string]struct {
		reserved []string // ids whose messages a milter reserved before
		stored   int      // messages in the Maildir of devel at the end
	}{
		"seed":           {nil, 2},
		"retransmission": {nil, 1},
		"reserved":       {[]string{aliceID, bobID}, 2},
		"claims":         {[]string{aliceID, bobID}, 2},
		"refusals":       {[]string{aliceID}, 0},
		"lists":          {nil, 1},
		"bodies":         {nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil)
			for _, id := range c.reserved {
				s.reserve(t, id)
			}
			play(t, s, filepath.Join("testdata", name+".txt"))
			if got := stored(t, s.devel); len(got) != c.stored {
				t.Errorf("%d messages are stored, want %d: %q", len(got), c.stored, got)
			}
		})
	}
}
