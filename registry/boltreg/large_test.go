package boltreg_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"permalink-milter/registry"
)

// large returns a key whose entry is large, since an archiver confirmed long URLs.
func large(t *testing.T, store registry.Store, n int) registry.Key {
	t.Helper()
	k := registry.Key{List: "devel@lists.example.org", Hash: fmt.Sprintf("7KWUTBTOSSMPYFYZ6UUJ46QC%c%c", 'A'+n/26, 'A'+n%26)}
	slots := make([]registry.Slot, 100)
	for i := range slots {
		slots[i] = registry.Slot{State: registry.Archived, URL: "https://x.example/" + strings.Repeat("x", 1900)}
	}
	err := store.Update(t.Context(), k, func(registry.Entry) (registry.Entry, bool) { return registry.Entry{Slots: slots}, true })
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// While large entries are written, others are not kept waiting, and the wait for
// a large one is no failure of the registry.
func TestLargeEntriesAreWrittenOneByOne(t *testing.T) {
	store := open(t)
	first, second := large(t, store, 0), large(t, store, 1)
	same := func(e registry.Entry) (registry.Entry, bool) { return e, true }
	writing, goOn, done := make(chan bool), make(chan bool), make(chan error)
	go func() {
		calls := 0
		done <- store.Update(context.Background(), first, func(e registry.Entry) (registry.Entry, bool) {
			if calls++; calls == 2 { // in the commit
				close(writing)
				<-goOn
			}
			return e, true
		})
	}()
	<-writing
	ctx, cancel := context.WithTimeout(t.Context(), 10e6)
	defer cancel()
	if err := store.Update(ctx, second, same); !errors.Is(err, registry.ErrCrowded) || !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("a second one: %v", err)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := store.Update(t.Context(), second, same); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// What a scan holds while its caller is slow must not grow with the entries.
func TestScanOfLargeEntriesGoesInSmallSteps(t *testing.T) {
	store := open(t)
	for n := range 20 {
		large(t, store, n)
	}
	seen := 0
	for r, err := range store.Scan(t.Context(), "") {
		if err != nil || len(r.Entry.Slots) != 100 {
			t.Fatal(len(r.Entry.Slots), err)
		}
		if seen++; seen == 1 { // what is read later is seen as it is then
			gone := registry.Key{List: r.List, Hash: "7KWUTBTOSSMPYFYZ6UUJ46QCAT"}
			store.Update(t.Context(), gone, func(registry.Entry) (registry.Entry, bool) { return registry.Entry{}, true })
		}
	}
	if seen != 19 {
		t.Errorf("%d entries were seen: the first step reads all", seen)
	}
}
