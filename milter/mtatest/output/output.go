// Package output keeps what a program or a server prints, for those who watch
// it while it runs.
//
// # How to use it
//
//	var log output.Buffer
//	server := milter.NewServer(milter.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
//	…
//	if strings.Contains(log.String(), "message stamped") …
package output

import (
	"bytes"
	"sync"
)

// A Buffer can be read while it is written. The zero Buffer is empty.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
