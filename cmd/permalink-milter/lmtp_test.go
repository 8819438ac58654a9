package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/registry/lmtp"
)

func TestStampedMessageIsArchivedOverLMTP(t *testing.T) {
	addr := "127.0.0.1:" + freePort(t)
	p := start(t, "[lmtp]\nlisten = \""+addr+"\"\n[[lmtp.domain]]\ndomain = \"archive.example.org\"\nlist = \"devel@lists.example.org\"\n"+
		"deliver = \"maildir:DIR/devel\"\n"+archive("one.example"))
	connect(t, "unix", p.socket()).begin(messageID, listID).end()
	deliver := func(content string) (lmtp.Receipt, error) {
		return lmtp.Deliver(t.Context(), lmtp.Request{Server: addr, Domain: "archive.example.org", Hostname: "mx.example.org"}, strings.NewReader(content))
	}
	for _, want := range []string{"Archived as", "Already archived as"} {
		r, err := deliver(messageID + "\r\n" + listID + "\r\n\r\nhello\r\n")
		if err != nil || r.Token != md5Hash || !strings.Contains(r.Text, want) || !strings.Contains(r.Text, "https://one.example/devel@lists.example.org/"+md5Hash) {
			t.Errorf("%+v, %v; want %q", r, err, want)
		}
	}
	// The same id with another date is another message.
	if r, err := deliver(messageID + "\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\n\r\nhello\r\n"); err != nil || r.Token != md5Hash+"-2" {
		t.Errorf("another message: %+v, %v", r, err)
	}
	files, err := os.ReadDir(filepath.Join(p.dir, "devel", "new"))
	if err != nil || len(files) != 2 {
		t.Errorf("%d files in the Maildir, want 2 (%v)", len(files), err)
	}
	p.stop(t)
}

// What the page found a moment ago, nothing, does not outlive a delivery.
func TestPageAndRegistrySayTheSameAfterADelivery(t *testing.T) {
	door, web := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	p := start(t, "[http]\nlisten = \""+web+"\"\n[lmtp]\nlisten = \""+door+"\"\n[[lmtp.domain]]\ndomain = \"archive.example.org\"\n"+
		"list = \"devel@lists.example.org\"\ndeliver = \"maildir:DIR/devel\"\n"+archive("one.example"))
	search := func() string {
		_, _, page := ask(t, "GET", "http://"+web+"/search?q=abc@example.org", "", "")
		return page
	}
	if page := search(); !strings.Contains(page, "Not reserved") {
		t.Fatalf("before: %s", page)
	}
	if _, err := lmtp.Deliver(t.Context(), lmtp.Request{Server: door, Domain: "archive.example.org", Hostname: "mx.example.org"},
		strings.NewReader(messageID+"\r\n"+listID+"\r\nSubject: Hello\r\n\r\nhello\r\n")); err != nil {
		t.Fatal(err)
	}
	const url = "https://one.example/devel@lists.example.org/" + md5Hash
	held, err := p.control().Lookup(t.Context(), "devel@lists.example.org", md5Hash)
	if err != nil || held.URL != url || held.Subject != "Hello" {
		t.Fatalf("%+v, %v", held, err)
	}
	page := search()
	for _, want := range []string{"devel@lists.example.org", `<span class="badge archived">archived</span>`, held.URL, held.Subject} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
	if code, location, _ := ask(t, "GET", "http://"+web+"/devel@lists.example.org/"+md5Hash, "", ""); code != 301 || location != held.URL {
		t.Errorf("the resolver: %d to %s", code, location)
	}
	if counts, err := p.control().Stats(t.Context()); err != nil || counts.Archived != 1 {
		t.Errorf("%+v, %v", counts, err)
	}
	p.stop(t)
}
