package mailmantest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
)

// directList is fed past the milter.
const directList = "direct@" + Domain

// An archive is the archive's side of the daemon: the HTTP API, and the LMTP server that delivers into a Maildir for
// each list.
type archive struct {
	dir       string
	api, lmtp string // host:port
	client    *httpapi.Client
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	a := &archive{dir: t.TempDir()}
	token, sum := httpapi.NewToken()
	tokens := fmt.Sprintf("[[token]]\nname = \"mailman\"\nsha256 = %q\nscopes = [\"read\", \"reserve\", \"confirm\"]\nlists = [\"*@%s\"]\n", sum, Domain)
	if err := errors.Join(freeAddrs(&a.api, &a.lmtp), os.WriteFile(a.file("token"), []byte(token+"\n"), 0o600),
		os.WriteFile(a.file("tokens.toml"), []byte(tokens), 0o600)); err != nil {
		t.Fatal(err)
	}
	a.client = &httpapi.Client{Base: "http://" + a.api, Token: token}
	return a
}

func (a *archive) file(name string) string { return filepath.Join(a.dir, name) }

// site is what a Site needs to be told.
func (a *archive) site() SiteOptions {
	o := SiteOptions{
		Daemon: fmt.Sprintf("[http]\nlisten = %q\ntokens_file = %q\n[lmtp]\nlisten = %q\n", a.api, a.file("tokens.toml"), a.lmtp),
		Plugin: fmt.Sprintf("[general]\nurl = {template}\nemit = Message-ID-MD5 Message-ID-Hash\n[api]\nbase_url = http://%s\ntoken_file = %s\n"+
			"[lmtp]\naddress = %s\ndomain = archive.example.org\nlistname = yes\n[queue]\npause = 0.1\n", a.api, a.file("token"), a.lmtp),
	}
	for _, list := range []string{List, directList} {
		o.Daemon += fmt.Sprintf("[[lmtp.domain]]\ndomain = \"archive.example.org\"\nlist = %q\ndeliver = \"maildir:%s\"\n", list, a.file(list))
	}
	return o
}

func testPlugin(t *testing.T, s *Site, a *archive) {
	m, subject := post(t, s, "Message-ID: <plugin-1@example.org>\r\n")
	id, url := checkFields(t, m)
	t.Run("a post is handed over by LMTP", func(t *testing.T) { checkDelivered(t, a, List, id, "") })
	t.Run("it is confirmed at the API", func(t *testing.T) {
		r := waitConfirmed(t, a, id, "")
		if r.Identity.String() != identify(m.Fields()) || r.URL != url || r.Subject != "[Devel] "+subject {
			t.Errorf("confirmed %+v, want %s with the milter's identity", r, url)
		}
	})
	t.Run("one whose permalink is occupied is handed over under the next", func(t *testing.T) {
		for _, c := range []struct{ id, suffix string }{
			{"TEXTCOLLBYfGiJUETHQ4hAcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak", ""},
			{"TEXTCOLLBYfGiJUETHQ4hEcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak", "-2"},
		} {
			post(t, s, "Message-ID: <"+c.id+">\r\n")
			checkDelivered(t, a, List, []byte(c.id), c.suffix)
			waitConfirmed(t, a, []byte(c.id), c.suffix)
		}
	})
	t.Run("while the other side is down, subscribers and HyperKitty get posts, and it gets them later", func(t *testing.T) {
		testWaiting(t, s, a, strings.NewReplacer(a.api, "127.0.0.1:1", a.lmtp, "127.0.0.1:1"), "waits: 127.0.0.1:1: ")
	})
	t.Run("with a wrong configuration lists work on, and posts wait until it is mended", func(t *testing.T) {
		testWaiting(t, s, a, strings.NewReplacer("url =", "uri ="), "[general]: unknown key uri")
	})
	t.Run("its pipeline writes the hash where no milter does", func(t *testing.T) { testPipeline(t, s, a) })
}

// testWaiting posts while the plugin's configuration is broken, and again when it is as it was.
func testWaiting(t *testing.T, s *Site, a *archive, breakIt *strings.Replacer, log string) {
	file := s.Mailman.file("permalink.cfg")
	right, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(breakIt.Replace(string(right))), 0o600); err != nil {
		t.Fatal(err)
	}
	m, subject := post(t, s, "Message-ID: <"+rand.Text()+"@example.org>\r\n")
	id, url := checkFields(t, m)
	checkArchived(t, s, id, url, subject)
	waitQueued(t, s)
	if all := s.Mailman.Log(); !strings.Contains(all, log) {
		t.Errorf("the log does not say %q:\n%s", log, all)
	}
	if err := os.WriteFile(file, right, 0o600); err != nil {
		t.Fatal(err)
	}
	post(t, s, "Message-ID: <"+rand.Text()+"@example.org>\r\n")
	checkDelivered(t, a, List, id, "")
	waitConfirmed(t, a, id, "")
}

// testPipeline posts to Mailman itself, past the milter.
func testPipeline(t *testing.T, s *Site, a *archive) {
	if err := errors.Join(s.Mailman.CreateList(limit(t), directList), s.Mailman.Subscribe(limit(t), directList, Author),
		s.Mailman.Configure(limit(t), directList, map[string]any{"posting_pipeline": "permalink-posting-pipeline"})); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Mailman.LMTP())
	if err != nil {
		t.Fatal(err)
	}
	client := smtp.NewClientLMTP(conn)
	defer client.Close()
	data := "From: " + Author + "\r\nTo: " + directList +
		"\r\nSubject: x\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\nMessage-ID:\r\n <plugin-4@example.org>\r\nMessage-ID-MD5: FORGED\r\n\r\nhello\r\n"
	if err := client.SendMail(Author, []string{directList}, strings.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	id := []byte("plugin-4@example.org")
	checkHashes(t, checkDelivered(t, a, directList, id, ""), id)
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

// waitConfirmed returns the reservation of the message with this canonical id, its token with this suffix, once it is
// confirmed with its subject, as the API alone does it.
func waitConfirmed(t *testing.T, a *archive, id []byte, suffix string) (r registry.Reservation) {
	t.Helper()
	token := token(t, id, suffix)
	var err error
	err = until(limit(t), func() error {
		r, err = a.client.Lookup(limit(t), List, token)
		if err == nil && (r.State != registry.Archived || r.Subject == "") {
			err = fmt.Errorf("%s is %s %q", token, r.State, r.Subject)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkDelivered waits for a message in a list's Maildir, under its token, and returns it.
func checkDelivered(t *testing.T, a *archive, list string, id []byte, suffix string) (data string) {
	t.Helper()
	err := until(limit(t), func() error {
		names, err := filepath.Glob(filepath.Join(a.file(list), "new", token(t, id, suffix)+".*"))
		if err != nil || len(names) != 1 {
			return errors.Join(err, fmt.Errorf("%d messages in the Maildir for %s%s", len(names), id, suffix))
		}
		content, err := os.ReadFile(names[0])
		data = strings.ReplaceAll(string(content), "\n", "\r\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(data, string(id)) {
		t.Errorf("under the token of %s is:\n%s", id, data)
	}
	return data
}

func token(t *testing.T, id []byte, suffix string) string {
	t.Helper()
	hash, err := hashheader.MD5.Hash(id)
	if err != nil {
		t.Fatal(err)
	}
	return hash + suffix
}
