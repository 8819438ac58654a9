package lmtp

import (
	"bufio"
	"crypto/sha256"
	"io"

	"permalink-milter/registry"
)

// digestBody returns the digest of what follows the header section of a
// message, which is size bytes long. See the package documentation for what
// the digest covers.
func digestBody(message io.Reader, size int) (body registry.Body, err error) {
	if _, err = io.CopyN(io.Discard, message, int64(size)); err != nil {
		return body, err
	}
	sum := sha256.New()
	lines := bodyLines{w: bufio.NewWriterSize(sum, 16<<10)}
	if _, err = io.Copy(&lines, message); err != nil {
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
	for _, c := range p {
		switch c {
		case '\r':
			l.crs++
		case '\n':
			l.ends, l.crs = l.ends+1, 0
		default:
			l.release()
			l.w.WriteByte(c)
		}
	}
	return len(p), nil
}

// release writes what is held back, since more of the body follows.
func (l *bodyLines) release() {
	for ; l.ends > 0; l.ends-- {
		l.w.WriteByte('\n')
	}
	for ; l.crs > 0; l.crs-- {
		l.w.WriteByte('\r')
	}
}
