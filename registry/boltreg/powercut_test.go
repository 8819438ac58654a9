package boltreg_test

import (
	"bufio"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
)

// A trace is what strace saw of a child that reserves: changes of the registry
// file, syncs, and tokens that were acknowledged.
type trace struct{ events []event }

// An event is one of a change, the begin or end of a sync, a sync of the folder,
// and acknowledged tokens.
type event struct {
	change change
	begins bool
	ends   bool
	folder bool
	tokens []string
}

// A change writes data at an offset, or without data sets the file's size to it.
type change struct {
	data   []byte
	offset int
}

func (c change) is() bool { return c.data != nil || c.offset > 0 }

func (c change) apply(image []byte) []byte {
	if c.data == nil {
		return append(image, make([]byte, max(0, c.offset-len(image)))...)[:c.offset]
	}
	if end := c.offset + len(c.data); end > len(image) {
		image = append(image, make([]byte, end-len(image))...)
	}
	copy(image[c.offset:], c.data)
	return image
}

var (
	writeCall = regexp.MustCompile(`pwrite64\(\d+<[^>]*>, "((?:\\x[0-9a-f]{2})*)", \d+, (\d+)`)
	sizeCall  = regexp.MustCompile(`ftruncate\(\d+<[^>]*>, (\d+)`)
	syncCall  = regexp.MustCompile(`(?:fdatasync|fsync)\(\d+<([^>]*)>`)
	syncEnd   = regexp.MustCompile(`<\.\.\. (?:fdatasync|fsync) resumed>`)
	printCall = regexp.MustCompile(`write\(1<[^>]*>, "((?:\\x[0-9a-f]{2})*)"`)
)

// tracedChild runs a child under strace until it has acknowledged a number of
// tokens.
func tracedChild(t *testing.T, tokens int) (tr trace) {
	t.Helper()
	need.Program(t, "strace", "strace")
	dir := t.TempDir()
	log := filepath.Join(dir, "strace")
	child := exec.Command("strace", "-f", "-y", "-qq", "-xx", "-s", "1000000", "-o", log,
		"-e", "trace=pwrite64,ftruncate,fdatasync,fsync,write", os.Args[0])
	child.Env = append(os.Environ(), fileVariable+"="+filepath.Join(dir, "permalinks.db"))
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range tokens {
		lines.Scan()
	}
	out.Close() // the child ends with its next token
	child.Wait()
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	calls := bufio.NewScanner(f)
	calls.Buffer(nil, 16<<20)
	for calls.Scan() {
		tr.events = append(tr.events, parseCall(t, calls.Text())...)
	}
	return tr
}

func parseCall(t *testing.T, line string) []event {
	if m := writeCall.FindStringSubmatch(line); m != nil {
		offset, _ := strconv.Atoi(m[2])
		return []event{{change: change{unescape(t, m[1]), offset}}}
	}
	if m := sizeCall.FindStringSubmatch(line); m != nil {
		size, _ := strconv.Atoi(m[1])
		return []event{{change: change{nil, size}}}
	}
	if m := syncCall.FindStringSubmatch(line); m != nil {
		if !strings.HasSuffix(string(unescape(t, m[1])), ".db") {
			return []event{{folder: true}}
		}
		return append([]event{{begins: true}}, slices.Repeat([]event{{ends: true}}, strings.Count(line, ") = 0"))...)
	}
	if syncEnd.MatchString(line) {
		return []event{{ends: true}}
	}
	if m := printCall.FindStringSubmatch(line); m != nil {
		return []event{{tokens: strings.Fields(string(unescape(t, m[1])))}}
	}
	return nil
}

func unescape(t *testing.T, text string) []byte {
	s, err := strconv.Unquote(`"` + text + `"`)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(s)
}

// A powercut is a state that the disk may be in after a crash of the machine,
// and the tokens that were acknowledged before it.
type powercut struct {
	image  []byte
	named  bool // the folder was synced, so the file is found
	tokens []string
}

// powercuts returns states after each event: what was synced is there, and of
// what was not, nothing, everything, or any part, where one write may be torn
// between sectors.
func (tr trace) powercuts(r *rand.Rand) []powercut {
	var synced []byte
	var waiting []change // written since the last sync
	var covered int      // of these, those that the sync in progress is about
	var tokens []string
	var named bool
	cuts := make(map[uint64]powercut)
	seed := maphash.MakeSeed()
	for _, e := range tr.events {
		switch {
		case e.change.is():
			waiting = append(waiting, e.change)
		case e.begins:
			covered = len(waiting)
		case e.ends:
			for _, c := range waiting[:covered] {
				synced = c.apply(synced)
			}
			waiting, covered = waiting[covered:], 0
		case e.folder:
			named = true
		default:
			tokens = append(tokens, e.tokens...)
		}
		for _, image := range states(synced, waiting, r) {
			cuts[maphash.Bytes(seed, image)] = powercut{image, named, slices.Clone(tokens)}
		}
	}
	return slices.Collect(maps.Values(cuts))
}

const sector = 512

func states(synced []byte, waiting []change, r *rand.Rand) (images [][]byte) {
	some := func(keep func() bool, torn bool) {
		image := slices.Clone(synced)
		for _, c := range waiting {
			if !keep() {
				continue
			}
			if n := len(c.data) / sector; torn && n > 1 {
				c.data = c.data[:sector*(1+r.IntN(n-1))]
			}
			image = c.apply(image)
		}
		images = append(images, image)
	}
	some(func() bool { return false }, false)
	if len(waiting) == 0 {
		return images
	}
	some(func() bool { return true }, false)
	some(func() bool { return r.IntN(2) == 0 }, false)
	some(func() bool { return r.IntN(2) == 0 }, true)
	return images
}

// TestAPowercutLosesNothingAcknowledged replays the writes of a child on a disk
// that keeps what was synced and any part of the rest.
func TestAPowercutLosesNothingAcknowledged(t *testing.T) {
	const most = 400 // an open of the store takes a process that checks the file
	tr := tracedChild(t, 600)
	r := rand.New(rand.NewPCG(1, 1))
	cuts := tr.powercuts(r)
	if len(cuts) < 100 {
		t.Fatalf("%d states after %d events: strace shows too little", len(cuts), len(tr.events))
	}
	r.Shuffle(len(cuts), func(i, j int) { cuts[i], cuts[j] = cuts[j], cuts[i] })
	opened, acknowledged := 0, 0
	for _, c := range cuts[:min(most, len(cuts))] {
		if len(c.tokens) == 0 {
			continue // before the first, the file may be half made
		}
		opened++
		acknowledged = max(acknowledged, len(c.tokens))
		if err := c.check(t); err != nil {
			t.Errorf("%d bytes, %d tokens: %v", len(c.image), len(c.tokens), err)
		}
	}
	if opened < 50 || acknowledged < 20 {
		t.Errorf("%d states with up to %d tokens were opened", opened, acknowledged)
	}
	t.Logf("%d of %d states opened, with up to %d acknowledged tokens", opened, len(cuts), acknowledged)

	// The check notices a store that does not wait for its syncs.
	tr.events = slices.DeleteFunc(tr.events, func(e event) bool { return e.ends })
	for _, c := range tr.powercuts(r) {
		if len(c.tokens) > 0 && c.check(t) != nil {
			return
		}
	}
	t.Error("without syncs nothing is lost, either: the check is blind")
}

func (c powercut) check(t *testing.T) error {
	if !c.named {
		return errors.New("acknowledged before the file's name was on disk")
	}
	file := filepath.Join(t.TempDir(), "permalinks.db")
	if err := os.WriteFile(file, c.image, 0o600); err != nil {
		return err
	}
	store, err := boltreg.Open(file)
	if err != nil {
		return err
	}
	defer store.Close()
	reg := registry.New(store, registry.Options{})
	for _, token := range c.tokens {
		if _, err := reg.Lookup(t.Context(), "a@b", token); err != nil {
			return fmt.Errorf("acknowledged and lost: %w", err)
		}
	}
	return nil
}
