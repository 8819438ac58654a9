package mailman

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
)

// An archive is what the plugin talks to: the daemon's HTTP API, and an archive that negotiates by LMTP.
type archive struct {
	dir  string
	addr string // of the API
	api  *httpapi.Client
	lmtp net.Listener

	mu        sync.Mutex
	down      bool
	delivered map[string]string // the message, by recipient
	refused   []string
}

func startArchive(t *testing.T) *archive {
	t.Helper()
	a := &archive{dir: t.TempDir(), delivered: make(map[string]string)}
	if err := freeAddrs(&a.addr); err != nil {
		t.Fatal(err)
	}
	token, sum := httpapi.NewToken()
	a.api = &httpapi.Client{Base: "http://" + a.addr, Token: token}
	tokens := fmt.Sprintf("[[token]]\nname = \"mailman\"\nsha256 = %q\nscopes = [\"read\", \"reserve\", \"confirm\"]\nlists = [\"*@%s\"]\n", sum, Domain)
	if err := errors.Join(os.WriteFile(filepath.Join(a.dir, "token"), []byte(token+"\n"), 0o600),
		os.WriteFile(filepath.Join(a.dir, "tokens.toml"), []byte(tokens), 0o600)); err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{archive: a}, nil }))
	server.LMTP = true
	var err error
	if a.lmtp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(a.lmtp) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-served); err != nil && !errors.Is(err, smtp.ErrServerClosed) {
			t.Error(err)
		}
	})
	return a
}

// site is what a Site needs to be told.
func (a *archive) site() SiteOptions {
	return SiteOptions{
		Daemon: fmt.Sprintf("[http]\nlisten = %q\ntokens_file = %q\n", a.addr, filepath.Join(a.dir, "tokens.toml")),
		Plugin: fmt.Sprintf("[general]\nurl = {template}\nemit = Message-ID-MD5 Message-ID-Hash\n[api]\nbase_url = http://%s\ntoken_file = %s\n"+
			"[lmtp]\naddress = %s\ndomain = archive.example.org\nlistname = yes\n[queue]\npause = 0.1\n", a.addr, filepath.Join(a.dir, "token"), a.lmtp.Addr()),
	}
}

func (a *archive) setDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

// A session is an LMTP client's. A bare hash is occupied, the next token is free.
type session struct {
	archive *archive
	to      string
}

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.archive.mu.Lock()
	defer s.archive.mu.Unlock()
	if s.archive.down {
		return &smtp.SMTPError{Code: 451, Message: "later"}
	}
	token, rest, _ := strings.Cut(to, "=")
	if !strings.Contains(token, "-") {
		s.archive.refused = append(s.archive.refused, to)
		return &smtp.SMTPError{Code: 553, EnhancedCode: smtp.EnhancedCode{5, 1, 0},
			Message: fmt.Sprintf("Permalink already occupied, try <%s-2=%s>", token, rest)}
	}
	s.to = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	s.archive.mu.Lock()
	defer s.archive.mu.Unlock()
	s.archive.delivered[s.to] = string(data)
	return err
}

func testPlugin(t *testing.T, s *Site, a *archive) {
	m, subject := post(t, s, "Message-ID: <plugin-1@example.org>\r\n")
	id, url := checkFields(t, m)
	t.Run("a post is confirmed at the API", func(t *testing.T) {
		r := waitConfirmed(t, a, id)
		if r.Ordinal != 1 || r.Identity.String() != identify(m.Fields()) || r.URL != url || r.Subject != "[Devel] "+subject {
			t.Errorf("confirmed %+v, want %s with the milter's identity", r, url)
		}
	})
	t.Run("it is handed over by LMTP under the token that is free", func(t *testing.T) { checkDelivered(t, a, id, List) })
	t.Run("while the other side is down, subscribers and HyperKitty get posts, and it gets them later", func(t *testing.T) {
		a.setDown(true)
		m, subject := post(t, s, "Message-ID: <plugin-2@example.org>\r\n")
		id, url := checkFields(t, m)
		checkArchived(t, s, id, url, subject)
		waitQueued(t, s)
		a.setDown(false)
		post(t, s, "Message-ID: <plugin-3@example.org>\r\n")
		waitConfirmed(t, a, id)
		checkDelivered(t, a, id, List)
	})
	t.Run("with a wrong configuration lists work on, and posts wait until it is mended", func(t *testing.T) { testWrongConfig(t, s, a) })
	t.Run("its pipeline writes the hash where no milter does", func(t *testing.T) { testPipeline(t, s, a) })
}

func testWrongConfig(t *testing.T, s *Site, a *archive) {
	file := s.Mailman.file("permalink.cfg")
	right, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("[general]\nuri = https://a.example/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, subject := post(t, s, "Message-ID: <plugin-5@example.org>\r\n")
	id, url := checkFields(t, m)
	checkArchived(t, s, id, url, subject)
	if log := s.Mailman.Log(); !strings.Contains(log, "[general]: unknown key uri") {
		t.Errorf("the log does not say what is wrong:\n%s", log)
	}
	waitQueued(t, s)
	if err := os.WriteFile(file, right, 0o600); err != nil {
		t.Fatal(err)
	}
	post(t, s, "Message-ID: <plugin-6@example.org>\r\n")
	waitConfirmed(t, a, id)
}

// testPipeline posts to Mailman itself, past the milter.
func testPipeline(t *testing.T, s *Site, a *archive) {
	const list = "direct@" + Domain
	if err := errors.Join(s.Mailman.CreateList(limit(t), list), s.Mailman.Subscribe(limit(t), list, Author),
		s.Mailman.Configure(limit(t), list, map[string]any{"posting_pipeline": "permalink-posting-pipeline"})); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Mailman.LMTP())
	if err != nil {
		t.Fatal(err)
	}
	client := smtp.NewClientLMTP(conn)
	defer client.Close()
	data := "From: " + Author + "\r\nTo: " + list + "\r\nSubject: x\r\nMessage-ID:\r\n <plugin-4@example.org>\r\nMessage-ID-MD5: FORGED\r\n\r\nhello\r\n"
	if err := client.SendMail(Author, []string{list}, strings.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	checkDelivered(t, a, []byte("plugin-4@example.org"), list)
}

// waitQueued waits until a post could not be handed over. HyperKitty may have it before the plugin.
func waitQueued(t *testing.T, s *Site) {
	t.Helper()
	err := until(limit(t), func() error {
		waiting, err := filepath.Glob(s.Mailman.file("var/archives/permalink/queue/*.pck"))
		if err == nil && len(waiting) == 0 {
			err = errors.New("the plugin's queue is empty")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// waitConfirmed returns the reservation of the message with this canonical id once it is confirmed.
func waitConfirmed(t *testing.T, a *archive, id []byte) (r registry.Reservation) {
	t.Helper()
	hash, err := hashheader.MD5.Hash(id)
	if err != nil {
		t.Fatal(err)
	}
	err = until(limit(t), func() error {
		r, err = a.api.Lookup(limit(t), List, hash)
		if err == nil && r.State != registry.Archived {
			err = fmt.Errorf("%s is %s", hash, r.State)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkDelivered waits for a message at the archive and verifies its hashes.
func checkDelivered(t *testing.T, a *archive, id []byte, list string) {
	t.Helper()
	hash, err := hashheader.MD5.Hash(id)
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(list, "@")
	var data string
	err = until(limit(t), func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		for to, message := range a.delivered {
			if strings.HasPrefix(to, hash+"-2=") && strings.HasSuffix(to, "+"+name+"@archive.example.org") {
				data = message
				return nil
			}
		}
		return fmt.Errorf("%s is not delivered; refused: %q", hash, a.refused)
	})
	if err != nil {
		t.Fatal(err)
	}
	checkHashes(t, data, id)
}
