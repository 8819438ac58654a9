package lmtp

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"permalink-milter/registry"
)

// withBody is Alice's message with another body.
func withBody(body string) string {
	return strings.TrimSuffix(message1(aliceID), "hello\r\n") + body
}

func TestBodiesThatAreComparedAsEqual(t *testing.T) {
	digest := func(text string) registry.Body {
		m, err := readMessage(&spool{head: []byte(text)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m.body
	}
	for name, c := range map[string]struct {
		text string
		same bool
	}{
		"local line ends":             {strings.ReplaceAll(message1(aliceID), "\r\n", "\n"), true},
		"several CRs":                 {withBody("hello\r\r\n"), true},
		"no line end at the end":      {withBody("hello"), true},
		"empty lines at the end":      {withBody("hello\r\n\r\n\n\r\r\n"), true},
		"another header":              {"Received: x\r\n" + message1(aliceID), true},
		"refolded fields":             {strings.Replace(message1(aliceID), "From: ", "FROM:\r\n\t", 1), true},
		"another Subject":             {"Subject: other\r\n" + message1(aliceID), false},
		"another From":                {"From: Mallory <mallory@example.org>\r\n" + message1(aliceID), false},
		"another Content-Type":        {"Content-Type: text/html\r\n" + message1(aliceID), false},
		"another encoding":            {"Content-Transfer-Encoding: base64\r\n" + message1(aliceID), false},
		"a space at the end":          {withBody("hello \r\n"), false},
		"an empty line at the start":  {withBody("\r\nhello\r\n"), false},
		"a CR within the line":        {withBody("hel\rlo\r\n"), false},
		"another text":                {withBody("Hello\r\n"), false},
		"a footer":                    {withBody("hello\r\n_____\r\ndevel mailing list\r\n"), false},
		"no body":                     {withBody(""), false},
		"a body behind a field alone": {strings.TrimSuffix(message1(aliceID), "\r\nhello\r\n") + "hello\r\n", false},
	} {
		if same := digest(c.text) == digest(message1(aliceID)); same != c.same {
			t.Errorf("%s: equal: %t", name, same)
		}
	}
	if digest(withBody("\r\n\r\n")) != digest(withBody("")) {
		t.Error("empty lines alone differ from no body")
	}
}

func TestBodyDigestDoesNotDependOnThePieces(t *testing.T) {
	text := withBody("a\r\r\nb\n\n\r\nc\r\r")
	whole, err := digestText(nil, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if pieces, err := digestText(nil, iotest.OneByteReader(strings.NewReader(text))); err != nil || pieces != whole {
		t.Errorf("%s, want %s (%v)", pieces, whole, err)
	}
}

// A forgery that comes first must not make the archive swallow the real
// message, and the other way round.
func TestAnotherBodyIsAnotherMessage(t *testing.T) {
	var log bytes.Buffer
	s := start(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	for _, fields := range [][]string{nil, {"message-id", "date"}} {
		r := request(s.addr)
		r.Identity = fields
		for body, token := range []string{hash, hash + "-2", hash + "-3"} {
			got, err := Deliver(t.Context(), r, strings.NewReader(withBody(fmt.Sprint(body))))
			if err != nil || got.Token != token {
				t.Errorf("claim %v, body %d: %+v, %v", fields, body, got, err)
			}
		}
	}
	if got := stored(t, s.devel); len(got) != 3 {
		t.Errorf("%d messages are stored, want 3", len(got))
	}
	if got := log.String(); !strings.Contains(got, "another body") || !strings.Contains(got, "other_token="+hash+" ") {
		t.Errorf("log: %s", got)
	}
}

// The message before was delivered and not confirmed: its body is known all
// the same, after a restart too.
func TestAnotherBodyAfterACrash(t *testing.T) {
	dir := t.TempDir()
	addr, end := startChild(t, dir, "confirm")
	if _, err := Deliver(t.Context(), request(addr), strings.NewReader(withBody("forged"))); !errors.Is(err, ErrTemporary) {
		t.Fatal(err)
	}
	end()
	addr, end = startChild(t, dir, "")
	defer end()
	for body, token := range map[string]string{"real": hash + "-2", "forged": hash} {
		if got, err := Deliver(t.Context(), request(addr), strings.NewReader(withBody(body))); err != nil || got.Token != token {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	names, _ := filepath.Glob(filepath.Join(dir, "devel", "new", "*"))
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil || strings.Contains(string(content), "real") != strings.HasPrefix(filepath.Base(name), hash+"-2.") {
			t.Errorf("%s: %s, %v", name, content, err)
		}
	}
	if len(names) != 2 {
		t.Errorf("stored: %q", names)
	}
}

// What another program confirmed cannot be compared, so it is not taken for a
// copy.
func TestMessageThatAnotherArchiverConfirmed(t *testing.T) {
	s := start(t, nil)
	s.reserve(t, aliceID)
	_, err := s.registry.Confirm(t.Context(), registry.Confirmation{List: devel, Token: hash, URL: "https://elsewhere.example/1"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := Deliver(t.Context(), request(s.addr), strings.NewReader(message1(aliceID))); err != nil || got.Token != hash+"-2" {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if got := stored(t, s.devel); len(got) != 1 {
		t.Errorf("%d messages are stored", len(got))
	}
}
