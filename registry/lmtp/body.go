package lmtp

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"io"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// textFields are the fields, beside those of the identity, that readers see as
// parts of the text, or that say how to read it.
var textFields = []string{"From", "Subject", "Content-Type", "Content-Transfer-Encoding"}

// digestText returns the digest of what readers see of a message: some fields,
// and what follows the header section. See the package documentation.
func digestText(h hashheader.Header, content io.Reader) (body registry.Body, err error) {
	sum := sha256.New()
	for _, name := range textFields {
		value, _ := h.First(name)
		io.WriteString(sum, name+":"+strings.Join(strings.Fields(value), "")+"\n")
	}
	lines := bodyLines{w: bufio.NewWriterSize(sum, 16<<10)}
	if _, err = io.Copy(&lines, content); err != nil {
		return body, err
	}
	lines.w.Flush() // a hash takes everything
	copy(body[:], sum.Sum(nil))
	return body, nil
}

// bodyLines writes lines with LF whatever number of CRs stands before it, and
// leaves out the line ends behind the last line that is not empty.
type bodyLines struct {
	w    *bufio.Writer
	ends int // line ends that are held back
	crs  int // CRs behind them that are held back
}

func (l *bodyLines) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := bytes.IndexAny(rest, "\r\n")
		switch n {
		case -1:
			l.text(rest)
			return len(p), nil
		case 0:
			l.lineEnd(rest[0])
			rest = rest[1:]
		default:
			l.text(rest[:n])
			rest = rest[n:]
		}
	}
	return len(p), nil
}

func (l *bodyLines) lineEnd(c byte) {
	if c == '\r' {
		l.crs++
		return
	}
	l.ends, l.crs = l.ends+1, 0
}

// text writes a part of a line, and before it what was held back.
func (l *bodyLines) text(part []byte) {
	for ; l.ends > 0; l.ends-- {
		l.w.WriteByte('\n')
	}
	for ; l.crs > 0; l.crs-- {
		l.w.WriteByte('\r')
	}
	l.w.Write(part)
}
