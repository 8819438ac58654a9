package resume_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"permalink-milter/cmd/permalink/backfill"
	"permalink-milter/cmd/permalink/resume"
	"permalink-milter/hashheader/mailbox"
)

// An archive is a folder that changes between imports.
type archive struct {
	t        *testing.T
	dir      string
	random   *rand.Rand
	next     int             // number of the next message
	imported map[string]bool // ids
	seen     int             // messages that the last import read
	opened   func()          // is called when a file was opened; may be nil
}

// An opened is a Memory behind which the archive changes while it is read.
type opened struct {
	*resume.Memory
	change func()
}

func (o opened) Resume(name string, f *os.File) mailbox.Point {
	p := o.Memory.Resume(name, f)
	if o.change != nil {
		o.change()
	}
	return p
}

func (a *archive) path(name string) string { return filepath.Join(a.dir, name) }

func (a *archive) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// message returns a new message, with a body that may look like another one.
func (a *archive) message() string {
	a.next++
	bodies := []string{"", "body\n", "From here\nNote: no\n\n", "From a\n\nbody\n"}
	return fmt.Sprintf("Message-ID: <%d@x>\n\n%s", a.next, bodies[a.random.IntN(len(bodies))])
}

// mail returns a new message behind a From_ line.
func (a *archive) mail() string {
	text := a.message()
	if a.random.IntN(3) == 0 {
		text = fmt.Sprintf("Content-Length: %d\n%s", len(text)-bytes.Index([]byte(text), []byte("\n\n"))-2, text)
	}
	return "From a@b Tue Nov 24 11:00:00 2026\n" + text + "\n"
}

func (a *archive) write(name string, flags int, text string) {
	f, err := os.OpenFile(a.path(name), os.O_WRONLY|os.O_CREATE|flags, 0o600)
	a.check(err)
	_, err = f.WriteString(text)
	a.check(errors.Join(err, f.Close()))
}

func zip(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.String()
}

// change does one thing to the archive.
func (a *archive) change() {
	name := fmt.Sprintf("%d.mbox", a.random.IntN(2))
	switch a.random.IntN(9) {
	case 0, 1, 2:
		a.write(name, os.O_APPEND, a.mail())
	case 3:
		a.write(name, os.O_TRUNC, a.mail()+a.mail())
	case 4: // as a mail program does: beside it, then renamed
		a.write("../new", os.O_TRUNC, a.mail()+a.mail()+a.mail())
		a.check(os.Rename(a.path("../new"), a.path(name)))
	case 5:
		a.write(fmt.Sprintf("Maildir/new/%d.x", a.next), 0, a.message())
	case 6:
		files, _ := filepath.Glob(a.path("Maildir/new/*"))
		for _, file := range files {
			a.check(os.Rename(file, a.path("Maildir/cur/"+filepath.Base(file)+":2,S")))
		}
	case 7:
		a.write("old.mbox.gz", os.O_TRUNC, zip(a.mail()+a.mail()))
	case 8:
		a.write(fmt.Sprintf("%d.eml", a.random.IntN(3)), os.O_TRUNC, a.message())
	}
}

var errRefused = errors.New("refused")

// run imports. It ends early behind some messages, fails at one, or crashes: then
// nothing is saved.
func (a *archive) run(early, failing int, crash bool) {
	m, err := resume.Load(a.dir+".json", "settings")
	a.check(err)
	a.seen = 0
	all := true
	o := mailbox.Options{Memory: opened{m, a.opened}}
	for msg := range mailbox.Map(a.t.Context(), []string{a.dir}, o, func(msg *mailbox.Message) *backfill.Message { return &backfill.Message{Message: *msg} }) {
		if a.seen == early {
			all = false
			break
		}
		if a.seen++; a.seen == failing {
			msg.Err = errRefused
		}
		if msg.Err == nil {
			a.imported[msg.ID()] = true
		}
		m.Message(msg)
	}
	if all {
		m.End()
	}
	if !crash {
		a.check(m.Save())
	}
}

// ids returns those of all messages that the archive holds.
func (a *archive) ids() (ids []string) {
	for id := range mailbox.Map(a.t.Context(), []string{a.dir}, mailbox.Options{}, func(m *mailbox.Message) string { return m.ID() }) {
		ids = append(ids, id)
	}
	return ids
}

// Whatever becomes of the mailboxes and of the imports, an import that ends well
// leaves no message out, and the next one reads none.
func TestNoMessageIsLeftOut(t *testing.T) {
	for seed := range uint64(20) {
		a := &archive{t: t, dir: filepath.Join(t.TempDir(), "a"), random: rand.New(rand.NewPCG(seed, 0)), imported: make(map[string]bool)}
		for _, dir := range []string{"Maildir/cur", "Maildir/new"} {
			a.check(os.MkdirAll(a.path(dir), 0o700))
		}
		for range 40 {
			for range a.random.IntN(4) {
				a.change()
			}
			const never = 1 << 30
			switch a.random.IntN(4) {
			case 0:
				a.run(a.random.IntN(8), never, false)
			case 1:
				a.run(never, a.random.IntN(8), false)
			case 2:
				a.run(never, never, true)
			case 3:
				a.run(never, never, false)
				for _, id := range a.ids() {
					if !a.imported[id] {
						t.Fatalf("seed %d: %s was left out", seed, id)
					}
				}
				if a.run(never, never, false); a.seen > 0 {
					t.Fatalf("seed %d: %d messages were read again", seed, a.seen)
				}
			}
		}
	}
}

// What is written to a mailbox while it is read counts the next time, since it may
// be taken back.
func TestAMailboxThatGrowsWhileItIsRead(t *testing.T) {
	a := &archive{t: t, dir: filepath.Join(t.TempDir(), "a"), random: rand.New(rand.NewPCG(1, 2)), imported: make(map[string]bool)}
	a.check(os.Mkdir(a.dir, 0o700))
	a.write("0.mbox", os.O_APPEND, a.mail()+a.mail())
	size := int64(0)
	a.opened = func() {
		info, err := os.Stat(a.path("0.mbox"))
		a.check(err)
		size = info.Size()
		a.write("0.mbox", os.O_APPEND, a.mail()+a.mail()+a.mail())
	}
	a.run(1<<30, 1<<30, false)
	a.opened = nil
	a.check(os.Truncate(a.path("0.mbox"), size))
	for range 20 {
		a.write("0.mbox", os.O_APPEND, a.mail())
	}
	a.run(1<<30, 1<<30, false)
	for _, id := range a.ids() {
		if !a.imported[id] {
			t.Errorf("%s was left out", id)
		}
	}
}

// An import that is interrupted in a large mailbox goes on in it.
func TestAnInterruptedImportGoesOn(t *testing.T) {
	a := &archive{t: t, dir: filepath.Join(t.TempDir(), "a"), random: rand.New(rand.NewPCG(1, 2)), imported: make(map[string]bool)}
	a.check(os.Mkdir(a.dir, 0o700))
	for range 3000 {
		a.write("0.mbox", os.O_APPEND, a.mail())
	}
	var seen []int
	for _, early := range []int{1000, 1000, 1 << 30, 1 << 30} {
		a.run(early, 0, false)
		seen = append(seen, a.seen)
	}
	if want := []int{1000, 1000, 1002, 0}; !slices.Equal(seen, want) || len(a.imported) != 3000 {
		t.Errorf("%v and %d messages, want %v and 3000", seen, len(a.imported), want)
	}
}
