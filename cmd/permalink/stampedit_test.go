package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A header with one field as often as the bound allows is stamped in no
// more time than it takes to read it some hundred times.
func TestStampDeletesManyFieldsInOnePass(t *testing.T) {
	const fields = 1990
	message := "From: a@b\nMessage-ID: <abc@example.org>\n" + strings.Repeat("X-Message-ID-Hash: A\n", fields) + "\nbody\n"
	stamp := func(text string) (string, time.Duration) {
		began := time.Now()
		code, out, errs := permalink(t, strings.NewReader(text), "stamp")
		if code != exitOK || errs != "" {
			t.Fatalf("exit %d: %s", code, errs)
		}
		return out, time.Since(began)
	}
	out, many := stamp(message)
	again, few := stamp(strings.ReplaceAll(message, "X-Message-ID-Hash", "X-Some-Other-Fields"))
	want := "From: a@b\nMessage-ID: <abc@example.org>\nMessage-ID-MD5: VP3JZR3MSKY5TQSMS5FHURHQXI\n\nbody\n"
	if out != want {
		t.Errorf("%.300q", out)
	}
	if n := strings.Count(again, "X-Some-Other-Fields"); n != fields || many > 30*few+time.Second {
		t.Errorf("%v to delete %d fields, %v to keep %d", many, fields, few, n)
	}
}

// A shell's <(command) is a pipe, whose bytes can be read only once.
func TestStampReadsANamedPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go os.WriteFile(pipe, []byte("Message-ID: <abc@example.org>\n\nbody\n"), 0o600)
	code, out, errs := permalink(t, strings.NewReader(""), "stamp", pipe)
	if want := "Message-ID: <abc@example.org>\nMessage-ID-MD5: VP3JZR3MSKY5TQSMS5FHURHQXI\n\nbody\n"; code != exitOK || out != want {
		t.Errorf("exit %d: %q %s", code, out, errs)
	}
}
