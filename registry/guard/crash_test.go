package guard

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"permalink-milter/registry/guard/journal"
)

// dirVariable names the journal's directory to the child process of a test.
const dirVariable = "GUARD_TEST_DIR"

// journalForEver prints the hash of each request that was journalled, until
// it is killed.
func journalForEver(dir string) {
	inner := newFaulty()
	inner.set(fault{dead: true})
	g, err := New(inner, Options{Dir: dir, Stamp: true})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	// Between an acknowledgement that is too early and its write, there is time
	// to be killed.
	slow := &disk{pause: time.Millisecond}
	slow.room.Store(1 << 40)
	g.journal.Create = slow.create
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for i := worker; ; i += 16 {
				r, err := g.Reserve(context.Background(), request(i, i))
				if err != nil {
					os.Exit(1)
				}
				fmt.Println(r.Token())
			}
		})
	}
	all.Wait()
}

func TestKilledWriterLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), dirVariable+"="+dir)
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds: the child must be writing when it is killed, not
	// waiting for a reader.
	lines := bufio.NewReader(out)
	var acknowledged []string
	for n := 0; ; n++ {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a last line may be cut: its token was not told whole
		}
		acknowledged = append(acknowledged, strings.TrimSpace(line))
		if n == 6000 {
			child.Process.Kill()
		}
	}
	child.Wait()
	if len(acknowledged) < 6000 {
		t.Fatalf("the child ended by itself: %v", acknowledged)
	}
	kept := readAll(t, dir)
	for _, hash := range acknowledged {
		if !kept[hash] {
			t.Errorf("%s was acknowledged and is lost", hash)
		}
	}
	t.Logf("%d acknowledged, %d kept", len(acknowledged), len(kept))
}

// readAll empties a journal and returns the hashes in it.
func readAll(t *testing.T, dir string) map[string]bool {
	t.Helper()
	j, err := journal.Open(dir, journal.Options{MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	kept := make(map[string]bool)
	for {
		data, ok, err := j.First()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return kept
		}
		r, err := decodeRecord(data)
		if err != nil {
			t.Fatal(err)
		}
		if r.List != list || time.Since(r.at) > time.Hour {
			t.Errorf("read %+v", r)
		}
		kept[r.Hash] = true
		if err := j.Drop(); err != nil {
			t.Fatal(err)
		}
	}
}
