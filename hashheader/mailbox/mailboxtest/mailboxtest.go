// Package mailboxtest writes archives of all kinds of mailboxes whose messages
// are known.
package mailboxtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// A kind is a way to keep messages.
type kind struct {
	name    string
	from    string                   // the From_ line of an mbox; %d is the message's number
	quote   func(body string) string // returns a body as the kind writes it
	length  bool                     // with Content-Length
	joined  bool                     // without empty lines between messages
	wrap    func(mbox []byte) []byte
	folders []string // of messages in a file each, in place of an mbox
}

const asctime = "From list-%d@lists.example.org Tue Nov 24 11:00:00 2026"

// kinds are all that there are.
var kinds = []kind{
	{name: "mboxo", from: asctime, quote: quoteO},
	{name: "mboxrd", from: asctime, quote: quoteRD},
	{name: "mboxcl", from: asctime, quote: quoteO, length: true},
	{name: "mboxcl2", from: asctime, quote: asItIs, length: true},
	{name: "mboxcl2.crlf", from: asctime, quote: asItIs, length: true, wrap: crlf},
	{name: "thunderbird", from: "From ", quote: quoteNeeded},
	{name: "mozilla", from: "From - Tue Nov 24 11:00:00 2026", quote: quoteO},
	{name: "netscape", from: "From - ", quote: quoteO, joined: true},
	{name: "google", from: "From %d@xxx Tue Nov 24 11:00:00 +0000 2026", quote: quoteNeeded},
	{name: "google-undated", from: "From %d@xxx", quote: quoteNeeded},
	{name: "iso-date", from: "From a%d@b.example 2026-11-24T11:00:00Z", quote: quoteNeeded},
	{name: "rfc822-date", from: "From a%d@b.example Tue, 24 Nov 26 11:00:00 +0000", quote: quoteO},
	{name: "pipermail", from: "From a%d at b.example  Tue Nov 24 11:00:00 2026", quote: quoteNeeded},
	{name: "joined", from: asctime, quote: quoteRD, joined: true},
	{name: "bom", from: asctime, quote: quoteO, wrap: bom},
	{name: "crlf", from: asctime, quote: quoteRD, wrap: crlf},
	{name: "gzip", from: asctime, quote: quoteNeeded, wrap: gzipped},
	{name: "gzip-members", from: "From ", quote: quoteO, wrap: members},
	{name: "zstd", from: asctime, quote: quoteO, length: true, wrap: zstded},
	{name: "maildir", folders: []string{"cur", "new"}},
	{name: "maildir++", folders: []string{"cur", "new", ".Sent/cur", ".Sent/new", ".a.b/cur", ".a.b/new"}},
	{name: "mh", folders: []string{".", "inbox"}},
	{name: "eml", folders: []string{"2025/12", "2026/01", "2026/02"}},
}

// Kinds is how many kinds of mailboxes an archive has.
var Kinds = len(kinds)

// ID returns the Message-ID of a message, without brackets.
func ID(n int) string { return fmt.Sprintf("%d@archive.example", n) }

// perFile is how many messages an mbox has.
const perFile = 5000

// Write writes an archive of n messages to a folder. Their ids are ID(0) to
// ID(n-1), and all else is of the seed.
func Write(dir string, n int, seed uint64) error {
	g := &generator{random: rand.New(rand.NewPCG(seed, 0))}
	for i := range kinds {
		k := &kinds[i]
		first, end := n*i/len(kinds), n*(i+1)/len(kinds)
		for ; first < end; first += perFile {
			to := min(first+perFile, end)
			var err error
			if k.folders != nil {
				err = g.files(k, filepath.Join(dir, k.name), first, to)
			} else {
				err = g.mbox(k, fmt.Sprintf("%s/%s-%09d.mbox", dir, k.name, first), first, to)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

type generator struct{ random *rand.Rand }

// mbox writes the messages from one number to another.
func (g *generator) mbox(k *kind, file string, first, end int) error {
	var out strings.Builder
	for n := first; n < end; n++ {
		if from := k.from; strings.Contains(from, "%d") {
			fmt.Fprintf(&out, from+"\n", n)
		} else {
			out.WriteString(from + "\n")
		}
		body := k.quote(g.body())
		if k.joined && body == "" {
			body = "text\n"
		}
		out.WriteString(g.header(n, k, body) + "\n" + body)
		if !k.joined {
			out.WriteByte('\n')
		}
	}
	data := []byte(out.String())
	if k.wrap != nil {
		data = k.wrap(data)
	}
	return os.WriteFile(file, data, 0o600)
}

// files writes a message a file, and what mail programs keep beside them.
func (g *generator) files(k *kind, dir string, first, end int) error {
	maildir := strings.HasPrefix(k.name, "maildir")
	for _, folder := range k.folders {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return err
		}
	}
	if maildir {
		for _, name := range []string{"dovecot-uidlist", "cur/.hidden", "subscriptions"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("3 V1 N1\n"), 0o600); err != nil {
				return err
			}
		}
	}
	if k.name == "mh" {
		if err := os.WriteFile(filepath.Join(dir, ".mh_sequences"), []byte("cur: 1\n"), 0o600); err != nil {
			return err
		}
	}
	for n := first; n < end; n++ {
		folder := k.folders[n%len(k.folders)]
		name := fmt.Sprint(n)
		switch {
		case maildir && strings.HasSuffix(folder, "cur"):
			name += ".M1P1.host:2," + []string{"", "S", "RS", "FRS"}[g.random.IntN(4)]
		case maildir:
			name += ".M1P1.host"
		case k.name == "eml":
			name += ".eml"
		}
		body := g.body()
		data := []byte(g.header(n, k, body) + "\n" + body)
		if !maildir && g.random.IntN(8) == 0 {
			data = gzipped(data)
		}
		if err := os.WriteFile(filepath.Join(dir, folder, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// header returns a header section of fields in some order.
func (g *generator) header(n int, k *kind, body string) string {
	fields := []string{
		"Message-ID: <" + ID(n) + ">\n",
		"From: =?utf-8?q?J=C3=BCrgen?= <a@b.example>\n",
		"Date: Tue, 24 Nov 2026 11:00:00 +0000\n",
		"Subject: " + strings.Repeat("word ", g.random.IntN(30)) + "\n of a fold\n",
		"Received: from a.example by b.example\n\twith ESMTP; Tue, 24 Nov 2026 11:00:00 +0000\n",
	}
	if g.random.IntN(4) == 0 {
		fields[0] = "Message-Id:\n <" + ID(n) + ">\n"
	}
	g.random.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	if k.length {
		size := len(body)
		if strings.HasSuffix(k.name, "crlf") {
			size += strings.Count(body, "\n")
		}
		fields = append(fields, fmt.Sprintf("Content-Length: %d\n", size))
	}
	return strings.Join(fields, "")
}

// paragraphs are what bodies are made of.
var paragraphs = []string{
	"Text of a few words.\n",
	"\nFrom here on it is prose,\nwhich goes on.\n",
	"\nFrom now on\nNote: this is prose.\n\n",
	"\nFrom 10:30 on the 24th\nSubject: closed.\n\n",
	"\nFrom: Alice\nSubject: what was said\n\n> From a quote\n",
	">From what a relay quoted\n",
	"\nFrom alice@example.org Tue Nov 24 11:00:00 2026\nMessage-ID: <inner@archive.example>\nFrom: a@b.example\n\nA message inside.\n",
	"\n--boundary\nContent-Type: message/rfc822\n\nReceived: by a\nMessage-ID: <part@archive.example>\n\nA part.\n",
	"F\nFr\nFro\nFrom\nFrom\t\n",
	"\xff\xfe\x00 not text\n",
	"\n\n\n",
	strings.Repeat("UmVwZWF0ZWQgZGF0YSBvZiBhbiBhdHRhY2htZW50IGluIGJhc2U2NCwgYSBsaW5lIG9mIGl0Lg==\n", 40),
}

// body returns a body as a client sends it: large now and then.
func (g *generator) body() string {
	var b strings.Builder
	for range g.random.IntN(6) {
		b.WriteString(paragraphs[g.random.IntN(len(paragraphs))])
	}
	if g.random.IntN(2000) == 0 {
		b.WriteString(strings.Repeat(paragraphs[len(paragraphs)-1], 50+g.random.IntN(200)))
	}
	return b.String()
}
