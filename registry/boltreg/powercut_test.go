package boltreg_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/registrytest/powercut"
)

// TestAPowercutLosesNothingAcknowledged opens states that a power cut may leave
// of a file in which a child reserves.
func TestAPowercutLosesNothingAcknowledged(t *testing.T) {
	const most = 400 // an open of the store takes a process that checks the file
	dir := t.TempDir()
	tr := powercut.Record(t, dir, fileVariable+"="+filepath.Join(dir, "permalinks.db"), 600)
	r := rand.New(rand.NewPCG(1, 1))
	cuts := cutsOf(tr, r)
	if len(cuts) < 100 {
		t.Fatalf("%d states: strace shows too little", len(cuts))
	}
	acknowledged := 0
	for _, c := range cuts[:min(most, len(cuts))] {
		acknowledged = max(acknowledged, len(c.Said))
		if err := check(t, c); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
	if acknowledged < 20 {
		t.Errorf("the states have up to %d tokens", acknowledged)
	}
	t.Logf("%d of %d states opened, with up to %d acknowledged tokens", min(most, len(cuts)), len(cuts), acknowledged)

	for what, missing := range map[string]func(path string) bool{
		"the file":   func(path string) bool { return path != "." },
		"the folder": func(path string) bool { return path == "." },
	} {
		found := false
		// Without syncs the states become many and large: those that are not needed
		// are not made.
		for c := range tr.Without(missing).States(r) {
			if found = len(c.Said) > 0 && check(t, c) != nil; found {
				break
			}
		}
		if !found {
			t.Errorf("without syncs of %s nothing is lost, either: the check is blind", what)
		}
	}
}

// cutsOf returns the states after the first acknowledgement, before which the
// file may be half made, in random order.
func cutsOf(tr *powercut.Trace, r *rand.Rand) (cuts []powercut.State) {
	for s := range tr.States(r) {
		if len(s.Said) > 0 {
			cuts = append(cuts, s)
		}
	}
	r.Shuffle(len(cuts), func(i, j int) { cuts[i], cuts[j] = cuts[j], cuts[i] })
	return cuts
}

func check(t *testing.T, c powercut.State) error {
	dir := t.TempDir()
	if err := c.Restore(dir); err != nil {
		return err
	}
	store, err := boltreg.Open(filepath.Join(dir, "permalinks.db"))
	if err != nil {
		return err
	}
	defer store.Close()
	reg := registry.New(store, registry.Options{})
	for _, token := range c.Said {
		if _, err := reg.Lookup(t.Context(), "a@b", token); err != nil {
			return fmt.Errorf("acknowledged and lost: %w", err)
		}
	}
	return nil
}
