package lmtp

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/vectors"
	"permalink-milter/registry"
)

// held makes reservations of the states of the ordinals from 1 on. The first
// byte of an identity is its ordinal.
func held(states ...registry.State) (out []registry.Reservation) {
	for i, state := range states {
		if state != registry.Vacant {
			out = append(out, registry.Reservation{Hash: hash, Ordinal: i + 1, State: state, Identity: hashheader.Identity{byte(i + 1)}})
		}
	}
	return out
}

func TestRecipientsAreJudgedBeforeTheMessage(t *testing.T) {
	const (
		vacant, reserved, kept = registry.Vacant, registry.Reserved, registry.Archived
		first, second, unknown = "=01000000", "=02000000", "=ff000000"
	)
	all := held(kept)
	all[0].Ordinal = hashheader.MaxOrdinal
	for _, c := range []struct {
		name  string
		token string // of the recipient, with its claim
		held  []registry.Reservation
		again bool
		want  string // the start of the reply, and the token it names
	}{
		{"a free token", "", nil, false, ""},
		{"a free token, claimed", unknown, nil, false, ""},
		{"the next free token", "-2", held(kept), false, ""},
		{"a later one", "-3", held(kept), false, "Permalink not in use yet, try <" + hash + "-2@"},
		{"one that was given back while a later one is held", "-2", held(kept, vacant, kept), false, "Permalink not in use yet, try <" + hash + "-4@"},
		{"a reserved one may be the sender's", "", held(reserved), false, ""},
		{"a reserved one that another message claims", unknown, held(reserved), false, "Permalink already occupied, try <" + hash + "-2" + unknown + "@"},
		{"an archived one", "", held(kept), false, "Permalink already occupied, try <" + hash + "-2@"},
		{"an archived one of this sender", "", held(kept), true, ""},
		{"an archived one of this sender, who claims another message", unknown, held(kept), true, "Permalink already occupied, try <" + hash + "-2" + unknown + "@"},
		{"an archived one that is claimed", first, held(kept), false, ""},
		{"a claim holds another token", second, held(kept, reserved), false, "Permalink already occupied, try <" + hash + "-2" + second + "@"},
		{"an archived message is claimed under the next token: its body may differ", "-2" + first, held(kept), false, ""},
		{"the same under a token that is reserved", "-2" + first, held(kept, reserved), false, ""},
		{"the same under a later token", "-3" + first, held(kept), false, "Permalink not in use yet, try <" + hash + first + "@"},
		{"the same under a token of another message", "-2" + first, held(kept, kept), false, "Permalink already occupied, try <" + hash + first + "@"},
		{"a claim holds a lower token", "-3" + second, held(kept, reserved), false, "Permalink not in use yet, try <" + hash + "-2" + second + "@"},
		{"the last token is taken", "-999", all, false, "Permalink already occupied, and so are all"},
	} {
		a, err := ParseAddress(hash + c.token + "@archive.example.org")
		if err != nil {
			t.Fatal(err)
		}
		got := judge(a, devel, c.held, c.again)
		if c.want == "" && got != nil {
			t.Errorf("%s: refused: %v", c.name, got)
		}
		if c.want != "" && (got == nil || got.Code != 553) {
			t.Errorf("%s: %v, want 553", c.name, got)
		} else if c.want != "" {
			expect(t, got.Message, c.want)
		}
	}
}

// A contended registry gives the token to somebody else, between the look and
// the reservation, once.
type contended struct {
	registry.Registry
	done bool
}

func (c *contended) Reserve(ctx context.Context, r registry.Request) (registry.Result, error) {
	if !c.done {
		c.done = true
		if _, err := c.Registry.Reserve(ctx, registry.Request{List: r.List, Hash: r.Hash}); err != nil {
			return registry.Result{}, err
		}
	}
	return c.Registry.Reserve(ctx, r)
}

func TestAnotherServerIsFaster(t *testing.T) {
	s := start(t, func(o *Options) { o.Registry = &contended{Registry: o.Registry} })
	got, err := Deliver(t.Context(), request(s.addr), strings.NewReader(message1(aliceID)))
	if err != nil || got.Token != hash+"-2" || got.Tries != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A journalling registry does not answer, and says so by the outcome.
type journalling struct{ registry.Registry }

func (journalling) Reserve(_ context.Context, r registry.Request) (registry.Result, error) {
	return registry.Result{Reservation: registry.Reservation{List: r.List, Hash: r.Hash, Ordinal: 1}, Outcome: registry.Journalled}, nil
}

func TestJournalledReservationIsNone(t *testing.T) {
	s := start(t, func(o *Options) { o.Registry = journalling{o.Registry} })
	_, err := Deliver(t.Context(), request(s.addr), strings.NewReader(message1(aliceID)))
	if !errors.Is(err, ErrTemporary) || len(stored(t, s.devel)) != 0 {
		t.Error(err)
	}
}

func TestPermalinkIsTheOneThatTheMilterWrites(t *testing.T) {
	s := start(t, func(o *Options) {
		o.Domains[0].URL, _ = hashheader.ParseTemplate("https://lists.example.org/{list_id}/{listname}/{host}/{hash}/{token}/{message_id}")
	})
	text := "List-Id: Developers <Devel.Lists.example.org>\nFrom: a@example.org\nDate: x\nMessage-ID: <a/b@c>\n\nhello\n"
	got, err := Deliver(t.Context(), request(s.addr), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	held, err := s.registry.Lookup(t.Context(), devel, got.Token)
	want := "https://lists.example.org/devel.lists.example.org/devel/lists.example.org/" + got.Token + "/" + got.Token + "/a%2Fb@c"
	if err != nil || held.URL != want {
		t.Errorf("%s, %v, want %s", held.URL, err, want)
	}
}

// The real forms of the shared vectors: the archive must find the id that the
// milter hashed.
func TestHeaderSectionsOfTheVectors(t *testing.T) {
	for _, v := range vectors.Read(t, "../../testdata") {
		header, err := hashheader.ReadHeader(bytes.NewReader(v.Header))
		if got, bad := header.MessageID(); err != nil || bad != nil || string(got) != string(v.Canonical) {
			t.Errorf("%s: %q, %v, want %q", v.Name, got, err, v.Canonical)
		}
	}
}
