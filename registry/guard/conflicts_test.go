package guard

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var sample = Conflict{List: list, Stamped: "A", Assigned: "A-2", Identity: "01", Holder: "02",
	Journalled: time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC), Replayed: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}

// Other programs may read the file: its form may not change.
const sampleLine = `{"list":"devel@lists.example.org","stamped":"A","assigned":"A-2","identity":"01","holder":"02",` +
	`"journalled":"2026-11-24T11:00:00Z","replayed":"2026-11-24T12:00:00Z"}` + "\n"

func addConflict(t *testing.T, dir string, c Conflict) bool {
	t.Helper()
	l, err := openConflicts(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.file.Close()
	added, err := l.add(c)
	if err != nil {
		t.Error(err)
	}
	return added
}

func TestConflictsFileIsTheGoldenAndHoldsEachOnce(t *testing.T) {
	dir := t.TempDir()
	if got := conflicts(t, dir); len(got) > 0 {
		t.Errorf("without a file: %+v", got)
	}
	again := sample
	again.Replayed = sample.Replayed.Add(time.Hour)
	if !addConflict(t, dir, sample) || addConflict(t, dir, again) {
		t.Error("a conflict is to be added once")
	}
	data, _ := os.ReadFile(filepath.Join(dir, conflictsFile))
	if string(data) != sampleLine {
		t.Errorf("got %s", data)
	}
	if diff := cmp.Diff([]Conflict{sample}, conflicts(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestConflictHalfWrittenIsNotSeenAndCutOff(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, conflictsFile)
	os.WriteFile(file, []byte(sampleLine+sampleLine[:50]), 0o600)
	if got := conflicts(t, dir); len(got) != 1 {
		t.Errorf("got %+v", got)
	}
	addAnother(t, dir)
}

// addAnother adds a second conflict.
func addAnother(t *testing.T, dir string) {
	t.Helper()
	other := sample
	other.Stamped = "B"
	addConflict(t, dir, other)
	if got := conflicts(t, dir); len(got) != 2 || got[1] != other {
		t.Errorf("got %+v", got)
	}
}

// TestConflictOfWhichOnlyTheEndWasWrittenIsCutOff has what a power cut may
// leave of a line that was not synced.
func TestConflictOfWhichOnlyTheEndWasWrittenIsCutOff(t *testing.T) {
	for _, before := range []string{"", sampleLine} {
		dir := t.TempDir()
		torn := before + strings.Repeat("\x00", 50) + sampleLine[50:]
		os.WriteFile(filepath.Join(dir, conflictsFile), []byte(torn), 0o600)
		if before == "" {
			addConflict(t, dir, sample)
		}
		addAnother(t, dir)
	}
}

func TestConflictsSayWhichLineIsBroken(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, conflictsFile), []byte(sampleLine+"{\n"+sampleLine), 0o600)
	var seen int
	var last error
	for _, err := range Conflicts(dir) {
		seen++
		last = err
	}
	if seen != 2 || last == nil || !strings.Contains(last.Error(), "line 2") {
		t.Errorf("%d yielded, then %v", seen, last)
	}
	if _, err := New(newFaulty(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("New: %v", err)
	}
}

// The journal must not wait for ever on a full file: the log has the rest.
func TestConflictThatDoesNotFitIsLoggedAndCounted(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.conflicts.bytes = maxConflictsBytes - 10
		r.inner.set(fault{dead: true})
		for n := range 2 {
			if _, err := r.Reserve(t.Context(), request(1, n)); err != nil {
				t.Fatal(err)
			}
		}
		r.inner.set(fault{})
		rest(2 * retry)
		if r.tally().conflicts != 1 || r.tally().records != 0 || !strings.Contains(r.log.String(), "conflicts file is full") {
			t.Errorf("counted %+v, logged\n%s", r.tally(), r.log)
		}
	})
}

// A conflict that cannot be written stays in the journal until it can.
func TestConflictIsKeptBeforeTheJournalForgetsIt(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(fault{dead: true})
		for n := range 2 {
			if _, err := r.Reserve(t.Context(), request(1, n)); err != nil {
				t.Fatal(err)
			}
		}
		r.conflicts.file.Close()
		r.inner.set(fault{})
		rest(2 * retry)
		if r.tally().records != 1 || r.tally().failed == 0 {
			t.Errorf("counted %+v", r.tally())
		}
		r.Close()
		r.open(t, Options{})
		rest(2 * retry)
		if len(conflicts(t, r.dir)) != 1 || r.tally().records != 0 {
			t.Errorf("counted %+v", r.tally())
		}
	})
}

// Whoever may write to the directory must not make a reader wait, or read
// without end.
func TestConflictsEndWhateverTheFileIs(t *testing.T) {
	for name, make := range map[string]func(file string) error{
		"a pipe":         func(file string) error { return syscall.Mkfifo(file, 0o600) },
		"endless zeroes": func(file string) error { return os.Symlink("/dev/zero", file) },
		"a gigantic hole": func(file string) error {
			return errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 1<<40))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := make(filepath.Join(dir, conflictsFile)); err != nil {
				t.Fatal(err)
			}
			if got := conflicts(t, dir); len(got) > 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
}
