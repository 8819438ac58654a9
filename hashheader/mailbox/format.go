package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// A Format says what a file holds.
type Format string

// The formats. Auto stands for the one that the content shows.
const (
	Auto    Format = ""
	Single  Format = "message"
	Mbox    Format = "mbox"
	MboxO   Format = "mboxo"
	MboxRD  Format = "mboxrd"
	MboxCL  Format = "mboxcl"
	MboxCL2 Format = "mboxcl2"
)

// Formats lists what ParseFormat takes.
var Formats = []string{"auto", "message", "mbox", "mboxo", "mboxrd", "mboxcl", "mboxcl2"}

// ParseFormat reads a format's name. The mboxes differ in whether
// Content-Length counts: mboxo and mboxrd never, mboxcl and mboxcl2 always,
// mbox where the first message's is true.
func ParseFormat(name string) (Format, error) {
	if !slices.Contains(Formats, name) {
		return "", fmt.Errorf("unknown format %q: write one of %s", name, strings.Join(Formats, " "))
	}
	if name == "auto" {
		return Auto, nil
	}
	return Format(name), nil
}

// KindSize is how many bytes Kind needs.
const KindSize = peekSize

// ErrCompressed is returned by Kind for what must be decompressed first.
var ErrCompressed = errors.New("compressed: decompress it first")

// Kind tells an mbox from a message by its first KindSize bytes.
func Kind(head []byte) (Format, error) {
	format := detect(head)
	switch {
	case bytes.HasPrefix(head, gzipMagic), bytes.HasPrefix(head, zstdMagic):
		return Auto, ErrCompressed
	case len(bytes.TrimSpace(head)) == 0:
		return Auto, ErrEmpty
	case format == Auto:
		return Auto, ErrNotMail
	}
	return format, nil
}

// Several reports whether a file holds more than one message.
func Several(at io.ReaderAt, format Format) bool {
	o := Options{Format: format, Stdin: io.NewSectionReader(at, 0, math.MaxInt64)}
	for index := range Map(context.Background(), []string{"-"}, o, func(m *Message) int { return m.Index }) {
		if index > 1 {
			return true
		}
	}
	return false
}

// detect tells an mbox and a message by the first line; Auto means neither.
func detect(head []byte) Format {
	v, _ := judgeFrom(head[skipBlank(head):], atStart, len(head) < peekSize)
	switch {
	case v != no:
		return Mbox
	case startsSection(head):
		return Single
	}
	return Auto
}
