package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http/httptest"
	"testing"

	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/registrytest"
)

// remote returns the store of a server that serves another.
func remote(t *testing.T, store registry.Store) registry.Store {
	t.Helper()
	h := newHandler(t, httpapi.Options{Registry: registry.New(store, registry.Options{}), Store: store})
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	remote := (&httpapi.Client{Base: server.URL, HTTP: server.Client()}).Store()
	t.Cleanup(func() { remote.Close() })
	return remote
}

// What the suite asks of a store holds through the socket of its owner.
func TestSuiteOfTheRemoteStore(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) registry.Store { return remote(t, memreg.New()) })
}

// A partlyCorrupt store goes on after an entry that cannot be read.
type partlyCorrupt struct{ registry.Store }

func (s partlyCorrupt) Scan(ctx context.Context, list string) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		if yield(registry.Record{}, fmt.Errorf("key x: %w", registry.ErrCorrupt)) {
			s.Store.Scan(ctx, list)(yield)
		}
	}
}

func TestRemoteScanGoesOnAfterACorruptEntry(t *testing.T) {
	store := memreg.New()
	if _, err := registry.New(store, registry.Options{}).Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity(1)}); err != nil {
		t.Fatal(err)
	}
	var corrupt, records int
	for record, err := range remote(t, partlyCorrupt{store}).Scan(t.Context(), "") {
		switch {
		case errors.Is(err, registry.ErrCorrupt):
			corrupt++
		case err != nil:
			t.Error(err)
		case record.List == list && record.Hash == hash && len(record.Entry.Slots) == 1:
			records++
		}
	}
	if corrupt != 1 || records != 1 {
		t.Errorf("%d corrupt, %d records", corrupt, records)
	}
}

func TestRemoteStoreTakesNoEntryThatIsNone(t *testing.T) {
	h := newHandler(t, httpapi.Options{Store: memreg.New()})
	for _, body := range []string{
		`{"list":"` + list + `","hash":"` + hash + `","before":"AQ==","entry":"/w=="}`,
		`{"list":"` + list + `","hash":"short","before":"AQ==","entry":"AQ=="}`,
		`{"list":"nobody","hash":"` + hash + `","before":"AQ==","entry":"AQ=="}`,
	} {
		if got := do(h, "POST", "/api/v1/records", "Content-Type: application/json", "Body: "+body); got.StatusCode != 400 {
			t.Errorf("%s: %s", body, got.Status)
		}
	}
}
