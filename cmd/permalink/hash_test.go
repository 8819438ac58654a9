package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHash(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"plain":  "From: a\nMessage-ID: <abc@example.org>\n\nbody\n",
		"folded": "From alice Tue Nov 24\nMESSAGE-ID :\r\n <abc@\r\n\texample.org>\r\nTo: b\r\n\r\n",
		"none":   "From: a\n\nMessage-ID: <in-the-body@example.org>\n",
		"giant":  "X: " + strings.Repeat("x", maxHeader),
		"cut":    "Message-ID: <abc@example.org>",
	} {
		if err := os.WriteFile(filepath.Join(".", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const sum = "VP3JZR3MSKY5TQSMS5FHURHQXI"
	for name, c := range map[string]struct {
		args, stdin, stdout, stderr string
		code                        int
	}{
		"files":              {args: "hash plain folded cut", stdout: sum + "  plain\n" + sum + "  folded\n" + sum + "  cut\n"},
		"standard input":     {args: "hash", stdin: "Message-ID: <abc@example.org>\n", stdout: sum + "  -\n"},
		"an id":              {args: "hash --message-id <abc@example.org>", stdout: sum + "\n"},
		"SHA-1 as Mailman's": {args: "hash --algorithm sha1 --message-id 87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp", stdout: "JJIGKPKB6CVDX6B2CUG4IHAJRIQIOUTP\n"},
		"an empty id":        {args: "hash --message-id <>", stderr: "permalink hash: --message-id \"<>\": no Message-ID in the header section\n", code: 1},
		"a bad file does not keep the others back": {args: "hash none missing giant plain", stdout: sum + "  plain\n", code: 1,
			stderr: "permalink hash: none: no Message-ID in the header section\npermalink hash: missing: no such file or directory\npermalink hash: giant: header section of more than 16777216 bytes\n"},
		"an unknown algorithm": {args: "hash --algorithm md4", stderr: "permalink hash: --algorithm: unknown algorithm \"md4\": write md5, sha1 or sha256\n", code: 64},
		"no verb":              {stderr: usage, code: 64},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(strings.Fields(c.args), strings.NewReader(c.stdin), &stdout, &stderr)
			if code != c.code || stdout.String() != c.stdout || stderr.String() != c.stderr {
				t.Errorf("exit %d\nstdout %q\nstderr %q", code, &stdout, &stderr)
			}
		})
	}
}
