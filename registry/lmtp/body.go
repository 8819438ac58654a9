package lmtp

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"io"

	"permalink-milter/registry"
)

// digestBody returns the digest of what follows the header section of a
// message. See the package documentation for what the digest covers.
func digestBody(content io.Reader) (body registry.Body, err error) {
	sum := sha256.New()
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
