package conform

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"permalink-milter/hashheader"
)

// A FilterTarget is a milter, and how it is configured.
type FilterTarget struct {
	Address   string // host:port or unix:PATH
	List      string // the one that its archive holds
	Template  hashheader.Template
	Algorithm hashheader.Algorithm // of the field that it writes
}

// A filter is the milter under test.
type filter struct {
	target FilterTarget
	run    string // makes the ids of this run new
	count  atomic.Int32
}

// forgedHost is that of the vectors of forged permalinks.
const forgedHost = "https://a.example/"

// Filter returns the tests of a filter. It reserves the permalinks of the
// messages that it is sent, whose ids are new in every run.
func Filter(t FilterTarget) ([]Test, error) {
	if err := t.Algorithm.Allowed(); err != nil {
		return nil, err
	}
	f := &filter{target: t, run: rand.Text()}
	tests := []Test{
		{"FLT-1", "the hash field and Archived-At are added", f.stamps(asIs)},
		{"NAM-1", "no added field begins with X-", f.addsNoX},
		{"NAM-2", "of two right hash fields one is left", f.stamps(func(s *sample) { s.header = append(s.header, s.hash, s.hash) })},
		{"NAM-3", "right fields anywhere are left alone", f.keeps(func(s *sample) {
			s.header = append(append(hashheader.Header{s.hash}, s.header...), s.archivedAt)
		})},
		{"BRD-1", "a hash that is too short is replaced", f.stamps(f.spelled(func(v string) string { return v[1:] }))},
		{"BRD-1", "a hash that is too long is replaced", f.stamps(f.spelled(func(v string) string { return v + "A" }))},
		{"BRD-1", "the hash of something else is replaced", f.stamps(f.spelled(func(string) string { return strings.Repeat("A", t.Algorithm.HashLen()) }))},
		{"BRD-1", "a wrong hash before a right one is removed", f.stamps(func(s *sample) {
			wrong := hashheader.Field{Name: strings.ToLower(s.hash.Name), Value: strings.Repeat("A", t.Algorithm.HashLen())}
			s.header = append(s.header, wrong, s.hash, wrong)
		})},
		{"BRD-2", "of two right permalinks one is left", f.stamps(func(s *sample) { s.header = append(s.header, s.archivedAt, s.archivedAt) })},
		{"BRD-4", "other sites' Archived-At stay", f.stamps(func(s *sample) { s.header = append(s.header, otherSite) })},
		{"BRD-5", "its own work is left alone", f.keeps(func(s *sample) { s.header = s.right() })},
		{"BRD-6", "its Archived-At stands above those of others", f.insertsAbove},
		{"WCH-1", "a blind recipient is not named", f.namesNoBlind},
		{"WCH-2", "X-No-Archive: the hash alone", f.noArchive},
		{"DAT-1", "a Date is added", f.addsDate},
		{"MSG-1", "an id is derived alike from the same fields", f.derives},
		{"MSG-2", "no id is derived without From and Date", f.derivesNone},
		{"LIN-1", "Archived-At is one line", f.oneLine},
		{"SEC-3", "a section over the bounds is left alone", f.keeps(func(s *sample) {
			s.header = append(slices.Repeat(hashheader.Header{{Name: "X", Value: "y"}}, hashheader.MaxSectionFields), s.header...)
		})},
		{"ID-2", "a message with an id of 999 bytes is left alone", f.keeps(func(s *sample) { s.header[3].Value = "<" + strings.Repeat("x", 999) + ">" })},
	}
	for _, value := range []string{"<>", "", "abc", "<a@b", "\"a b\"@c.example", "<a@b> (comment)", "<gr\xfc@x.example>", "<a@[192.0.2.1]>", "<" + strings.Repeat("x", 2000) + ">"} {
		tests = append(tests, Test{"MSG-3", fmt.Sprintf("Message-ID: %.40q", value), f.passesOn(value)})
	}
	for _, value := range vectors.Forged {
		id := "BRD-2"
		if _, err := hashheader.ParseArchivedAt(string(value)); err != nil {
			id = "BRD-3"
		}
		tests = append(tests, Test{id, fmt.Sprintf("Archived-At: %q is removed", value), f.forged(string(value))})
	}
	return tests, nil
}

// A sample is a message to the list, and the fields that are right for it.
type sample struct {
	envelope
	header           hashheader.Header
	id               string
	hash, archivedAt hashheader.Field
}

// sample returns a message that the filter has never seen.
func (f *filter) sample() (*sample, error) {
	s := &sample{id: fmt.Sprintf("%s.%d@conform.invalid", f.run, f.count.Add(1)), envelope: envelope{"a@conform.invalid", []string{f.target.List}}}
	s.header = hashheader.Header{{Name: "From", Value: "a@conform.invalid"}, {Name: "To", Value: f.target.List},
		{Name: "Date", Value: someDate}, {Name: "Message-ID", Value: "<" + s.id + ">"}, {Name: "Subject", Value: "conformance"}}
	sum, err := f.target.Algorithm.Hash([]byte(s.id))
	if err != nil {
		return nil, err
	}
	s.hash = hashheader.Field{Name: f.target.Algorithm.FieldName(), Value: sum}
	url, err := f.target.Template.Expand(hashheader.Permalink{List: f.target.List, ListID: strings.Replace(f.target.List, "@", ".", 1),
		MessageID: []byte(s.id), Token: sum, Date: someDate, Algorithm: f.target.Algorithm,
		Identity: hashheader.Identify(s.header, []byte(s.id), []string{"message-id", "date"})})
	s.archivedAt = hashheader.Field{Name: "Archived-At", Value: "<" + url + ">"}
	return s, err
}

// right returns the message with the right fields.
func (s *sample) right() hashheader.Header {
	return append(append(hashheader.Header{s.archivedAt}, s.header...), s.hash)
}

// send passes a new message, changed before.
func (f *filter) send(ctx context.Context, change func(*sample)) (*sample, passage, error) {
	s, err := f.sample()
	if err != nil {
		return nil, passage{}, err
	}
	change(s)
	p, err := f.pass(ctx, s.envelope, s.header)
	return s, p, err
}

// asIs is the change of a message that is sent as it is.
func asIs(*sample) {}

// stamps wants a message, changed before, to leave with one right hash field and
// one right permalink, and everything else as it was.
func (f *filter) stamps(change func(*sample)) func(context.Context) error {
	return func(ctx context.Context) error {
		s, p, err := f.send(ctx, change)
		if err != nil {
			return err
		}
		return s.check(p, f.target.Template)
	}
}

// check compares the fields of a message that passed with what is right.
func (s *sample) check(p passage, template hashheader.Template) error {
	got, want := values(p.after, s.hash.Name), []string{s.hash.Value}
	if !slices.Equal(got, want) {
		return differs(s.hash.Name, fmt.Sprint(got), fmt.Sprint(want))
	}
	want = []string{s.archivedAt.Value}
	for _, value := range values(p.before, "Archived-At") {
		if !template.Covers(value) {
			want = append(want, value)
		}
	}
	if got = values(p.after, "Archived-At"); !slices.Equal(got, want) {
		return differs("Archived-At", fmt.Sprint(got), fmt.Sprint(want))
	}
	for _, field := range p.before {
		if !field.Is(s.hash.Name) && !field.Is("Archived-At") && !slices.Contains(p.after, field) {
			return fmt.Errorf("the field %q is lost", field.Name)
		}
	}
	return nil
}

// values returns the values of a name's fields, without folds and outer spaces.
func values(h hashheader.Header, name string) (out []string) {
	for _, f := range h {
		if f.Is(name) {
			out = append(out, strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(f.Value)))
		}
	}
	return out
}

// keeps wants a message that is right already to be passed on unchanged.
func (f *filter) keeps(change func(*sample)) func(context.Context) error {
	return func(ctx context.Context) error {
		_, p, err := f.send(ctx, change)
		if err == nil && p.edits > 0 {
			err = fmt.Errorf("the message is changed to %q", p.after)
		}
		return err
	}
}

// spelled returns a change that makes the message right, but for the value of
// the hash field.
func (f *filter) spelled(spell func(string) string) func(*sample) {
	return func(s *sample) {
		s.header = append(append(hashheader.Header{s.archivedAt}, s.header...), hashheader.Field{Name: s.hash.Name, Value: spell(s.hash.Value)})
	}
}

func (f *filter) addsNoX(ctx context.Context) error {
	_, p, err := f.send(ctx, asIs)
	for _, field := range p.added {
		if strings.HasPrefix(strings.ToUpper(field.Name), "X-") {
			return fmt.Errorf("the filter adds %s", field.Name)
		}
	}
	return err
}

// otherSite is the permalink of another archive.
var otherSite = hashheader.Field{Name: "Archived-At", Value: "<https://other.conform.invalid/x>"}

func (f *filter) insertsAbove(ctx context.Context) error {
	s, p, err := f.send(ctx, func(s *sample) { s.header = append(s.header, otherSite) })
	if got := values(p.after, "Archived-At"); err == nil && (len(got) != 2 || got[0] != s.archivedAt.Value) {
		return differs("the first Archived-At", fmt.Sprint(got), s.archivedAt.Value)
	}
	return err
}

// namesNoBlind sends a message to a bystander and, blind, to the list.
func (f *filter) namesNoBlind(ctx context.Context) error {
	_, p, err := f.send(ctx, func(s *sample) {
		s.header[1].Value, s.to = "b@conform.invalid", []string{"b@conform.invalid", f.target.List}
	})
	if err != nil {
		return err
	}
	return f.noPermalink(p)
}

func (f *filter) noArchive(ctx context.Context) error {
	s, p, err := f.send(ctx, func(s *sample) {
		s.header = append(s.header, hashheader.Field{Name: "X-No-Archive", Value: "yes"})
	})
	if err != nil {
		return err
	}
	if got := values(p.after, s.hash.Name); !slices.Equal(got, []string{s.hash.Value}) {
		return differs(s.hash.Name, fmt.Sprint(got), s.hash.Value)
	}
	return f.noPermalink(p)
}

// noPermalink wants no added field to name the list or an archive.
func (f *filter) noPermalink(p passage) error {
	for _, field := range p.added {
		if field.Is("Archived-At") || strings.Contains(field.Value, f.target.List) {
			return fmt.Errorf("the filter adds %s: %.300q", field.Name, field.Value)
		}
	}
	return nil
}

func (f *filter) addsDate(ctx context.Context) error {
	_, p, err := f.send(ctx, func(s *sample) { s.header = slices.Delete(s.header, 2, 3) })
	if got := values(p.after, "Date"); err == nil && (len(got) != 1 || !strings.HasSuffix(got[0], "(added in transit)")) {
		return differs("Date", fmt.Sprint(got), "one that ends in (added in transit)")
	}
	return err
}

// withoutID sends a message that change takes the Message-ID from, and returns
// the one that it leaves with.
func (f *filter) withoutID(ctx context.Context, change func(*sample)) (*sample, string, error) {
	s, p, err := f.send(ctx, change)
	if err != nil {
		return nil, "", err
	}
	id, err := p.after.MessageID()
	return s, string(id), err
}

func (f *filter) derives(ctx context.Context) error {
	s, got, err := f.withoutID(ctx, func(s *sample) {
		s.header[4].Value = s.id // a Subject that no other message has
		s.header = slices.Delete(s.header, 3, 4)
	})
	if err != nil {
		return err
	}
	want, _ := hashheader.DeriveID(s.header)
	switch {
	case !strings.Contains(got, ".derived@"):
		return skipError("the filter derives no ids")
	case got != string(want):
		return differs("the derived id", got, string(want))
	}
	return nil
}

func (f *filter) derivesNone(ctx context.Context) error {
	_, got, err := f.withoutID(ctx, func(s *sample) { s.header = hashheader.Header{s.header[1], s.header[4]} })
	if err == nil && strings.Contains(got, ".derived@") {
		return fmt.Errorf("the filter derives the id %q", got)
	}
	return err
}

func (f *filter) oneLine(ctx context.Context) error {
	_, p, err := f.send(ctx, asIs)
	for _, field := range p.added {
		if field.Is("Archived-At") && len(field.Value) < 900 && strings.ContainsAny(field.Value, "\r\n") {
			return fmt.Errorf("Archived-At is folded: %q", field.Value)
		}
	}
	return err
}

// passesOn wants a message with any Message-ID to be passed on.
func (f *filter) passesOn(value string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, _, err := f.send(ctx, func(s *sample) { s.header[3].Value = value })
		return err
	}
}

func (f *filter) forged(value string) func(context.Context) error {
	return func(ctx context.Context) error {
		if !strings.HasPrefix(f.target.Template.Prefix(), forgedHost) {
			return skipError("the filter's archive is not at " + forgedHost)
		}
		return f.stamps(func(s *sample) {
			value := strings.ReplaceAll(value, "\r\n", "\n") // as an MTA hands it over
			s.header = append(s.header, hashheader.Field{Name: "Archived-At", Value: value})
		})(ctx)
	}
}
