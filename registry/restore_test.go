package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
)

const (
	restoredList = "devel@lists.example.org"
	restoredHash = "VP3JZR3MSKY5TQSMS5FHURHQXI"
)

// restored is a reservation of message number id.
func restored(ordinal, id int, change ...func(*registry.Reservation)) registry.Reservation {
	r := registry.Reservation{List: restoredList, Hash: restoredHash, Ordinal: ordinal, Identity: hashheader.Identity{byte(id)},
		State: registry.Reserved, Since: time.Unix(1764000000, 0).UTC()}
	for _, c := range change {
		c(&r)
	}
	return r
}

func archived(r *registry.Reservation) {
	r.State, r.URL, r.Subject = registry.Archived, "https://a.example/1", "Hello"
}

func expires(year int) func(*registry.Reservation) {
	return func(r *registry.Reservation) { r.Expires = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
}

func body(b byte) func(*registry.Reservation) {
	return func(r *registry.Reservation) { r.Body = registry.Body{b} }
}

func TestRestore(t *testing.T) {
	type rs = []registry.Reservation
	for _, c := range []struct {
		name              string
		there, back, want rs
		err               error
	}{
		{"keeps ordinal, state, URL, subject and times", nil,
			rs{restored(1, 1, archived), restored(4, 2, expires(2099))}, rs{restored(1, 1, archived), restored(4, 2, expires(2099))}, nil},
		{"keeps an expiry that has passed", nil, rs{restored(2, 1, expires(2001))}, rs{restored(2, 1, expires(2001))}, nil},
		{"adds to what is there", rs{restored(1, 1)}, rs{restored(2, 2)}, rs{restored(1, 1), restored(2, 2)}, nil},
		{"changes nothing where all is there", rs{restored(1, 1, archived)}, rs{restored(1, 1, archived)}, rs{restored(1, 1, archived)}, nil},
		{"confirms what was archived", rs{restored(1, 1, expires(2099))}, rs{restored(1, 1, archived)}, rs{restored(1, 1, archived)}, nil},
		{"leaves an archived one archived", rs{restored(1, 1, archived)}, rs{restored(1, 1)}, rs{restored(1, 1, archived)}, nil},
		{"takes the later expiry", rs{restored(1, 1, expires(2098))}, rs{restored(1, 1, expires(2099))}, rs{restored(1, 1, expires(2099))}, nil},
		{"leaves the later expiry", rs{restored(1, 1, expires(2099))}, rs{restored(1, 1, expires(2098))}, rs{restored(1, 1, expires(2099))}, nil},
		{"takes never for the latest", rs{restored(1, 1, expires(2099))}, rs{restored(1, 1)}, rs{restored(1, 1)}, nil},
		{"leaves never", rs{restored(1, 1)}, rs{restored(1, 1, expires(2099))}, rs{restored(1, 1)}, nil},
		{"takes the place of one that expired", rs{restored(1, 1, expires(2001))}, rs{restored(1, 2)}, rs{restored(1, 2)}, nil},
		{"takes no other message's place, nor a part", rs{restored(2, 1)}, rs{restored(1, 3), restored(2, 2)}, rs{restored(2, 1)}, registry.ErrOccupied},
		{"takes no place of a message with another body", rs{restored(1, 1, body(1))}, rs{restored(1, 1, archived, body(2))}, rs{restored(1, 1, body(1))}, registry.ErrOccupied},
		{"notes a body that the store lacks", rs{restored(1, 1)}, rs{restored(1, 1, archived, body(1))}, rs{restored(1, 1, archived, body(1))}, nil},
		{"gives no message two places", rs{restored(1, 1)}, rs{restored(2, 1)}, rs{restored(1, 1)}, registry.ErrOccupied},
		{"takes no ordinal 0", nil, rs{restored(0, 1)}, nil, registry.ErrInvalid},
		{"takes no ordinal past the last", nil, rs{restored(hashheader.MaxOrdinal+1, 1)}, nil, registry.ErrInvalid},
		{"takes no vacant state", nil, rs{restored(1, 1, func(r *registry.Reservation) { r.State = registry.Vacant })}, nil, registry.ErrInvalid},
		{"takes no odd URL", nil, rs{restored(1, 1, func(r *registry.Reservation) { r.URL = "x" })}, nil, registry.ErrInvalid},
		{"takes no long subject", nil, rs{restored(1, 1, func(r *registry.Reservation) { r.Subject = strings.Repeat("s", 301) })}, nil, registry.ErrInvalid},
		{"takes no time after 9999", nil, rs{restored(1, 1, expires(10000))}, nil, registry.ErrInvalid},
		{"takes no time before 1970", nil, rs{restored(1, 1, func(r *registry.Reservation) { r.Since = time.Time{} })}, nil, registry.ErrInvalid},
		{"takes no other hash", nil, rs{restored(1, 1), restored(2, 2, func(r *registry.Reservation) { r.Hash = "GZLPKEL44H7JOP7YXWIPYND25DN4RJAO" })}, nil, registry.ErrInvalid},
		{"takes no odd list", nil, rs{restored(1, 1, func(r *registry.Reservation) { r.List = "x" })}, nil, registry.ErrInvalid},
		{"takes nothing for nothing", nil, nil, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := memreg.New()
			if _, err := registry.Restore(t.Context(), store, c.there); err != nil {
				t.Fatal(err)
			}
			changed, err := registry.Restore(t.Context(), store, c.back)
			if !errors.Is(err, c.err) || changed != !cmp.Equal(c.there, c.want) {
				t.Errorf("changed: %v, %v", changed, err)
			}
			var got rs
			for r, err := range store.Scan(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, r.Reservations()...)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A silent store does not answer.
type silent struct{ registry.Store }

func (silent) Update(context.Context, registry.Key, func(registry.Entry) (registry.Entry, bool)) error {
	return registry.ErrUnavailable
}

func TestRestoreNeedsTheStore(t *testing.T) {
	store := silent{}
	if _, err := registry.Restore(t.Context(), store, []registry.Reservation{restored(1, 1)}); !errors.Is(err, registry.ErrUnavailable) {
		t.Error(err)
	}
}
