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
