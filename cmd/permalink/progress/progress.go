// Package progress shows a bar while long work is done at a terminal.
package progress

import (
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"permalink-milter/cmd/permalink/report"
)

// Delay is how long work takes before it shows a bar.
const Delay = time.Second

// A Bar shows how much was read, at what rate, and how long the rest will take.
// It shows nothing where its output is not a terminal. Bytes are counted by the
// goroutine that reads, while another one prints lines.
type Bar struct {
	mu    sync.Mutex
	out   io.Writer // nil: nothing is shown
	begin time.Time
	total int64
	read  int64
	bar   *progressbar.ProgressBar
}

// New returns a Bar for reading inputs: files, folders, and - for standard
// input.
func New(out io.Writer, inputs []string) *Bar {
	b := &Bar{begin: time.Now()}
	if report.IsTerminal(out) {
		b.out, b.total = out, totalSize(inputs)
	}
	return b
}

// Add counts n more bytes.
func (b *Bar) Add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.out == nil {
		return
	}
	b.read += int64(n)
	if b.bar == nil && time.Since(b.begin) > Delay {
		b.bar = progressbar.NewOptions64(b.total, progressbar.OptionSetWriter(b.out), progressbar.OptionShowBytes(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	if b.bar != nil {
		b.bar.Set64(b.read)
	}
}

// Clear makes room for a line on the same terminal.
func (b *Bar) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		b.bar.Clear()
	}
}

// End removes the bar for good.
func (b *Bar) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		b.bar.Finish()
	}
	b.out, b.bar = nil, nil
}

// totalSize returns the bytes of all files, -1 if standard input is among the
// inputs.
func totalSize(inputs []string) (total int64) {
	if slices.Contains(inputs, "-") {
		return -1
	}
	for _, input := range inputs {
		filepath.WalkDir(input, func(_ string, entry fs.DirEntry, err error) error {
			if err != nil {
				return nil // reading reports it
			}
			if info, err := entry.Info(); err == nil && !entry.IsDir() {
				total += info.Size()
			}
			return nil
		})
	}
	return total
}
