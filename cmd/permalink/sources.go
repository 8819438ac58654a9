package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"permalink-milter/cmd/permalink/mailbox"
)

// sourceFlags say how inputs are read.
type sourceFlags struct{ format string }

func (s *sourceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.format, "format", "auto", "what files hold: `auto|message|mbox|mboxo|mboxrd|mboxcl|mboxcl2`")
}

// open returns the options to read inputs with, and their progress bar.
func (s sourceFlags) open(inputs []string, std stdio) (mailbox.Options, *progress, error) {
	format, err := mailbox.ParseFormat(s.format)
	p := newProgress(std.err, inputs)
	return mailbox.Options{Format: format, Stdin: std.in, Progress: p.add}, p, err
}

// barDelay is how long work takes before it shows a bar.
const barDelay = time.Second

// A progress shows a bar with rate and time left for long work, on a terminal
// only. Bytes are counted by the goroutine that reads, lines are printed by
// another.
type progress struct {
	mu    sync.Mutex
	out   io.Writer // nil: shows none
	begin time.Time
	total int64
	read  int64
	bar   *progressbar.ProgressBar
}

func newProgress(out io.Writer, inputs []string) *progress {
	p := &progress{begin: time.Now()}
	if isTerminal(out) {
		p.out, p.total = out, totalSize(inputs)
	}
	return p
}

// add is told of bytes read.
func (p *progress) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		return
	}
	p.read += int64(n)
	if p.bar == nil && time.Since(p.begin) > barDelay {
		p.bar = progressbar.NewOptions64(p.total, progressbar.OptionSetWriter(p.out), progressbar.OptionShowBytes(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	if p.bar != nil {
		p.bar.Set64(p.read)
	}
}

// clear makes room for a line on the same terminal.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Clear()
	}
}

// end takes the bar away for good.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Finish()
	}
	p.out, p.bar = nil, nil
}

// totalSize returns the bytes of all files, -1 where standard input is among
// them.
func totalSize(inputs []string) (total int64) {
	for _, input := range stdinIfNone(inputs) {
		if input == "-" {
			return -1
		}
		filepath.WalkDir(input, func(_ string, entry fs.DirEntry, err error) error {
			if err != nil {
				return nil // reading will tell
			}
			if info, err := entry.Info(); err == nil && !entry.IsDir() {
				total += info.Size()
			}
			return nil
		})
	}
	return total
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colours tells if the output may be coloured (https://no-color.org).
func colours(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
