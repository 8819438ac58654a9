package guard

import (
	"context"
	"fmt"
	"iter"
	"log"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/registrytest/powercut"
)

// powerVariable names the folder of the journal's folder to the child process.
const powerVariable = "GUARD_TEST_POWER"

const (
	lives    = 4  // of the child's guard, one after the other
	requests = 40 // in each
)

// heldBefore reports whether another message holds request n's hash, so that its
// replay is a conflict.
func heldBefore(n int) bool { return n%7 == 0 }

// heldRegistry returns a registry that holds what heldBefore says.
func heldRegistry() registry.Registry {
	reg := registry.New(memreg.New(), registry.Options{})
	for n := range lives * requests {
		if heldBefore(n) {
			reg.Reserve(context.Background(), request(n, n+1000))
		}
	}
	return reg
}

// A telling registry prints which requests it has made.
type telling struct{ *faulty }

func (r telling) Reserve(ctx context.Context, q registry.Request) (registry.Result, error) {
	res, err := r.faulty.Reserve(ctx, q)
	if err == nil {
		n := 0
		for hash(n) != q.Hash {
			n++
		}
		fmt.Printf("made %d\n", n)
	}
	return res, err
}

// liveWithCrashes journals, replays and recovers in dir, and prints what was
// asked, what was acknowledged, and what a replay has made.
func liveWithCrashes(dir string) {
	inner := &faulty{Registry: heldRegistry()}
	for life := range lives {
		inner.set(fault{dead: true})
		g, err := New(telling{inner}, Options{Dir: dir, Stamp: true, RetryEvery: time.Millisecond})
		if err != nil {
			log.Fatal(err)
		}
		g.journal.SegmentBytes = 1000
		var all sync.WaitGroup
		for worker := range 4 {
			all.Go(func() {
				for n := life*requests + worker; n < (life+1)*requests; n += 4 {
					fmt.Printf("asked %d\n", n)
					if _, err := g.Reserve(context.Background(), request(n, n)); err != nil {
						log.Fatal(err)
					}
					fmt.Printf("kept %d\n", n)
				}
			})
		}
		all.Wait()
		if life == lives-1 {
			inner.set(fault{})
			for !g.journal.Empty() {
				time.Sleep(time.Millisecond)
			}
			g.Close()
			return
		}
		replayed := inner.callCount() + requests/2
		inner.set(fault{dead: true, spare: requests / 2})
		for inner.callCount() <= replayed {
			time.Sleep(time.Millisecond)
		}
		g.Close()
		tear(dir, life%2 == 0)
	}
}

// tear leaves what a crash leaves at the end of the newest segment: half a
// record, or half of one before the segment's records once more.
func tear(dir string, end bool) {
	files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil || len(files) == 0 {
		log.Fatal("no segment is left: ", err)
	}
	name := slices.Max(files)
	data, err := os.ReadFile(name)
	if err != nil {
		log.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	more := data[8:28]
	if !end {
		more = slices.Concat(more, data[8:])
	}
	if _, err := f.Write(more); err != nil {
		log.Fatal(err)
	}
	f.Sync()
}

// TestAPowercutLosesNothingAcknowledged opens states that a power cut may leave
// of a journal, and replays them: five for each schedule, and 200 at least.
func TestAPowercutLosesNothingAcknowledged(t *testing.T) {
	most := max(200, 5**schedules)
	root := t.TempDir()
	tr := powercut.Record(t, root, powerVariable+"="+root, 0)
	r := rand.New(rand.NewPCG(*firstSeed, 1))
	cuts := slices.Collect(tr.States(r))
	r.Shuffle(len(cuts), func(i, j int) { cuts[i], cuts[j] = cuts[j], cuts[i] })
	total := len(cuts)
	cuts = cuts[:min(most, total)]
	seen := make(map[string]bool)
	for _, c := range cuts {
		for _, word := range c.Said {
			seen[word] = true
		}
	}
	if total < 500 || !seen["kept"] || !seen["made"] || !seen[strconv.Itoa(lives*requests-1)] {
		t.Errorf("%d states: strace shows too little", total)
	}
	if err := replayed(t, slices.Values(cuts)); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d states replayed", len(cuts), total)

	for what, missing := range map[string]func(path string) bool{
		"the segments":                func(path string) bool { return strings.HasSuffix(path, ".journal") },
		"a segment that is made anew": func(path string) bool { return strings.HasSuffix(path, ".new") },
		"the conflicts":               func(path string) bool { return strings.HasSuffix(path, conflictsFile) },
		"the journal's folder":        func(path string) bool { return path == "journal" },
		"the folder it is in":         func(path string) bool { return path == "." },
	} {
		err := replayed(t, tr.Without(missing).States(r))
		if err == nil {
			t.Errorf("without syncs of %s nothing is lost, either: the check is blind", what)
		}
		t.Logf("without syncs of %s: %v", what, err)
	}
}

// replayed replays what power cuts have left, and returns an error unless each
// acknowledged request that was not made before is made by that or is listed as
// a conflict, and nothing else is. All are in one bubble of synctest (see few).
func replayed(t *testing.T, cuts iter.Seq[powercut.State]) (err error) {
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		for c := range cuts {
			if err = replay(t.Context(), root, c); err != nil {
				err = fmt.Errorf("%v: %w", c, err)
				return
			}
		}
	})
	return err
}

func replay(ctx context.Context, root string, c powercut.State) error {
	root, err := os.MkdirTemp(root, "")
	if err == nil {
		err = c.Restore(root)
	}
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	reg := heldRegistry()
	said := make(map[string][]int)
	for pair := range slices.Chunk(c.Said, 2) {
		n, err := strconv.Atoi(pair[1])
		if err != nil {
			return err
		}
		said[pair[0]] = append(said[pair[0]], n)
	}
	for _, n := range said["made"] {
		reg.Reserve(ctx, request(n, n))
	}
	dir := filepath.Join(root, "journal")
	g, err := New(reg, Options{Dir: dir, Stamp: true, Timeout: budget, RetryEvery: retry, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer g.Close()
	rest(3 * retry)
	var listed []Conflict
	for conflict, err := range Conflicts(dir) {
		if err != nil {
			return err
		}
		listed = append(listed, conflict)
	}
	for n := range lives * requests {
		if err := settled(ctx, reg, listed, n, slices.Contains(said["asked"], n), slices.Contains(said["kept"], n)); err != nil {
			return err
		}
	}
	return nil
}

// settled returns an error if request n is lost or invented.
func settled(ctx context.Context, reg registry.Registry, listed []Conflict, n int, asked, kept bool) error {
	all, err := reg.LookupHash(ctx, list, hash(n))
	if err != nil {
		return err
	}
	made := slices.ContainsFunc(all, func(r registry.Reservation) bool { return r.Identity == identity(n) })
	conflict := slices.ContainsFunc(listed, func(c Conflict) bool { return c.Stamped == hash(n) && c.Identity == identity(n).String() })
	switch {
	case made && !asked || conflict && !heldBefore(n):
		return fmt.Errorf("request %d was invented", n)
	case kept && !made:
		return fmt.Errorf("request %d was acknowledged and is lost", n)
	case kept && heldBefore(n) && !conflict:
		return fmt.Errorf("the conflict of request %d is lost", n)
	}
	return nil
}
