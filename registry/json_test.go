package registry_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

func TestReservationJSON(t *testing.T) {
	then := time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC)
	least := registry.Reservation{List: "devel@lists.example.org", Hash: "VP3JZR3MSKY5TQSMS5FHURHQXI", Ordinal: 1,
		Identity: hashheader.Identity{0xab}, State: registry.Reserved, Since: then}
	expires := least
	expires.Expires = then.Add(time.Hour)
	archived := least
	archived.Ordinal, archived.State, archived.URL, archived.Subject = 2, registry.Archived, "https://a.example/1", "Hello <there>"
	archived.Body = registry.Body{0xcd}
	for want, r := range map[string]registry.Reservation{
		`{"list":"devel@lists.example.org","token":"VP3JZR3MSKY5TQSMS5FHURHQXI","identity":"ab000000000000000000000000000000","state":"reserved","since":"2026-11-24T11:00:00Z"}`:                                                                                                             least,
		`{"list":"devel@lists.example.org","token":"VP3JZR3MSKY5TQSMS5FHURHQXI","identity":"ab000000000000000000000000000000","state":"reserved","since":"2026-11-24T11:00:00Z","expires":"2026-11-24T12:00:00Z"}`:                                                                            expires,
		`{"list":"devel@lists.example.org","token":"VP3JZR3MSKY5TQSMS5FHURHQXI-2","identity":"ab000000000000000000000000000000","state":"archived","since":"2026-11-24T11:00:00Z","url":"https://a.example/1","subject":"Hello \u003cthere\u003e","body":"cd000000000000000000000000000000"}`: archived,
	} {
		data, err := json.Marshal(r.JSON())
		if err != nil || string(data) != want {
			t.Errorf("%s, want %s, %v", data, want, err)
		}
		var back registry.ReservationJSON
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if got, err := back.Reservation(); err != nil || got != r {
			t.Errorf("%+v, want %+v, %v", got, r, err)
		}
	}
}

func TestReservationJSONOfNoReservation(t *testing.T) {
	sound := registry.ReservationJSON{List: "a@b", Token: "VP3JZR3MSKY5TQSMS5FHURHQXI", Identity: "000102030405060708090a0b0c0d0e0f", State: "reserved"}
	if _, err := sound.Reservation(); err != nil {
		t.Fatal(err)
	}
	token, identity, state, body := sound, sound, sound, sound
	token.Token, identity.Identity, state.State, body.Body = "X", "xyz", "vacant", "cd"
	for _, j := range []registry.ReservationJSON{token, identity, state, body} {
		if _, err := j.Reservation(); err == nil || j.Identity != "xyz" && !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("%+v: %v", j, err)
		}
	}
}
