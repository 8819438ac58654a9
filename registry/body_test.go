package registry_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
)

// anyList and anyHash are those of the requests in these tests.
const (
	anyList = "devel@lists.example.org"
	anyHash = "7KWUTBTOSSMPYFYZ6UUJ46QCNE"
)

func TestABodyDistinguishesMessagesOfOneIdentity(t *testing.T) {
	reg := registry.New(memreg.New(), registry.Options{TTL: time.Hour})
	for _, step := range []struct {
		name    string
		body    byte // 0: unknown
		archive bool
		ordinal int
		outcome registry.Outcome
	}{
		{"a milter reserves", 0, false, 1, registry.Fresh},
		{"the first body takes what was reserved", 1, false, 1, registry.Held},
		{"another body is another message", 2, false, 2, registry.Fresh},
		{"each keeps its own", 1, true, 1, registry.Held},
		{"also when it is archived", 1, false, 1, registry.Held},
		{"and the other one", 2, true, 2, registry.Held},
		{"without a body, the identity decides", 0, false, 1, registry.Held},
		{"a third body", 3, false, 3, registry.Fresh},
	} {
		r, err := reg.Reserve(t.Context(), registry.Request{List: anyList, Hash: anyHash, Body: registry.Body{step.body}})
		if err != nil || r.Ordinal != step.ordinal || r.Outcome != step.outcome {
			t.Errorf("%s: %+v, %v", step.name, r, err)
		}
		if !step.archive {
			continue
		}
		kept, err := reg.Confirm(t.Context(), registry.Confirmation{List: anyList, Token: r.Token(), URL: "https://a.example/"})
		if err != nil || kept.Body != (registry.Body{step.body}) {
			t.Errorf("%s: %+v, %v", step.name, kept, err)
		}
	}
}

func TestWhatIsArchivedWithoutABodyIsNotComparedWithOne(t *testing.T) {
	reg := registry.New(memreg.New(), registry.Options{})
	request := registry.Request{List: anyList, Hash: anyHash}
	if _, err := reg.Reserve(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.Confirm(t.Context(), registry.Confirmation{List: anyList, Token: anyHash, URL: "https://a.example/"}); err != nil {
		t.Fatal(err)
	}
	request.Body = registry.Body{1}
	if r, err := reg.Reserve(t.Context(), request); err != nil || r.Ordinal != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestStoredFormWithABody(t *testing.T) {
	body := registry.Body{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	want := registry.Entry{Slots: []registry.Slot{
		{State: registry.Archived, Identity: hashheader.Identity{1}, Since: 1, URL: "u", Body: body},
		{State: registry.Reserved, Identity: hashheader.Identity{1}, Since: 2, Expires: 3, Body: registry.Body{1}},
	}}
	data := want.AppendBinary(nil)
	got, err := registry.DecodeEntry(data)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := registry.DecodeEntry(data[:len(data)-1]); err == nil {
		t.Error("cut short, it decodes")
	}
}

func TestRestoreKeepsBodies(t *testing.T) {
	store := memreg.New()
	back := []registry.Reservation{
		{List: anyList, Hash: anyHash, Ordinal: 1, State: registry.Archived, Since: time.Unix(1, 0), Body: registry.Body{1}},
		{List: anyList, Hash: anyHash, Ordinal: 2, State: registry.Archived, Since: time.Unix(1, 0), Body: registry.Body{2}},
	}
	for _, want := range []bool{true, false} {
		changed, err := registry.Restore(t.Context(), store, back)
		if err != nil || changed != want {
			t.Errorf("changed: %t, %v", changed, err)
		}
	}
	// A backup of an older release holds no bodies.
	old := back[0]
	old.Body = registry.Body{}
	if changed, err := registry.Restore(t.Context(), store, []registry.Reservation{old}); err != nil || changed {
		t.Errorf("changed: %t, %v", changed, err)
	}
}
