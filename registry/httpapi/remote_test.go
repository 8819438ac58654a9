package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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

// Who holds a token is told which entry cannot be read, and the store's owner
// why, too.
func TestAnUnreadableEntryEndsNoListing(t *testing.T) {
	token, tokens := everything(t)
	registrytest.Unreadable(t, memreg.New(), func(store registry.Store, k registry.Key) registry.Store {
		store = registrytest.Spoil(store, k)
		reg := registry.New(store, registry.Options{Now: func() time.Time { return time.Date(2026, 11, 24, 11, 30, 0, 0, time.UTC) }})
		for why, h := range map[string]http.Handler{
			"unreadable entry": newHandler(t, httpapi.Options{Registry: reg, Tokens: tokens}),
			"version 9":        newHandler(t, httpapi.Options{Registry: reg, Store: store}),
		} {
			server := httptest.NewServer(h)
			defer server.Close()
			registrytest.WantUnreadable(t, &httpapi.Client{Base: server.URL, Token: token, HTTP: server.Client()})
			lines := text(do(h, "GET", listOp.target+"&state=archived", "Authorization: Bearer "+token))
			if want := `{"list":"` + k.List + `","hash":"` + k.Hash + `","corrupt":"`; !strings.HasPrefix(lines, want) || !strings.Contains(lines, why+`"}`) {
				t.Errorf("got %s, want %s…%s", lines, want, why)
			}
			if page := text(do(h, "GET", "/search?q="+k.Hash)); !strings.Contains(page, "z@lists.example.org") {
				t.Errorf("the search does not find what can be read: %s", page)
			}
			if status := text(do(h, "GET", "/status", "Authorization: Bearer "+token)); !strings.Contains(status, "<dt>Unreadable</dt><dd>1</dd>") {
				t.Errorf("the status page does not count it: %s", status)
			}
		}
		return store
	})
}

// A breaking store ends its scan with an error.
type breaking struct{ registry.Store }

func (s breaking) Scan(ctx context.Context, list string) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		for record, err := range s.Store.Scan(ctx, list) {
			if !yield(record, err) {
				return
			}
		}
		yield(registry.Record{}, errDown)
	}
}

func TestTheLogCountsTheLinesOfAScanThatBreaksOff(t *testing.T) {
	store := memreg.New()
	must(registry.New(store, registry.Options{}).Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity(1)}))
	var logged strings.Builder
	h := newHandler(t, httpapi.Options{Store: breaking{store}, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	lines := strings.Split(strings.TrimSpace(text(do(h, "GET", "/api/v1/records"))), "\n")
	if len(lines) != 2 || !strings.Contains(lines[1], `"problem"`) || !strings.Contains(logged.String(), "lines=1 ") {
		t.Errorf("got %q, logged %s", lines, logged.String())
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
