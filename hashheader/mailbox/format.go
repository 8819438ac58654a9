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

// The formats. Auto means that the content decides.
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

// ParseFormat returns the format of this name. The mbox formats differ in whether
// Content-Length counts: never in mboxo and mboxrd, always in mboxcl and mboxcl2,
// and in mbox if it is right in the first message.
func ParseFormat(name string) (Format, error) {
	if !slices.Contains(Formats, name) {
		return "", fmt.Errorf("unknown format %q: write one of %s", name, strings.Join(Formats, " "))
	}
	if name == "auto" {
		return Auto, nil
	}
	return Format(name), nil
}

// KindSize is the number of bytes that Kind needs.
const KindSize = peekSize

// ErrCompressed is returned by Kind for compressed data.
var ErrCompressed = errors.New("compressed: decompress it first")

// Kind returns Mbox or Single for a file that begins with these KindSize bytes.
// The file may be shorter. It returns an error if the file is neither.
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

// detect returns Mbox or Single for a file that begins with head, and Auto if it is
// neither.
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
