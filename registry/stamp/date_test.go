package stamp_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
	"permalink-milter/registry/stamp/stamptest"
)

func TestMessageWithoutADateGetsOne(t *testing.T) {
	received := time.Date(2026, 11, 24, 12, 0, 0, 0, time.FixedZone("", 3600))
	const added = "add Date 0 Tue, 24 Nov 2026 11:00:00 +0000 (added in transit)"
	for name, c := range map[string]struct {
		header   []string
		received time.Time
		policy   func(*stamp.Policy)
		want     bool
	}{
		"at the MTA":                      {[]string{abc, listID}, received, nil, true},
		"an id is derived, too":           {[]string{"From: a@example.org", listID}, received, nil, true},
		"it has a Date":                   {[]string{abc, listID, "Date: x"}, received, nil, false},
		"it has an empty Date":            {[]string{abc, listID, "Date:"}, received, nil, false},
		"it has one that a filter added":  {[]string{abc, listID, strings.Replace(added, "add Date 0", "Date:", 1)}, received, nil, false},
		"a file, which nobody sends on":   {[]string{abc, listID}, time.Time{}, nil, false},
		"it has no permalink":             {[]string{abc}, received, nil, false},
		"the identity takes it from none": {[]string{abc, listID}, received, func(p *stamp.Policy) { p.Identity = []string{"message-id"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			reg := registry.New(memreg.New(), registry.Options{})
			m := &stamp.Message{Header: stamptest.Header(c.header...), Received: c.received}
			d := stamp.Decide(m, stamptest.Policy(t, c.policy), func(r registry.Request) (registry.Result, error) { return reg.Reserve(t.Context(), r) })
			if got := edits(d); slices.Contains(got, added) != c.want || d.Err != nil {
				t.Errorf("%q, %v", got, d.Err)
			}
		})
	}
}

// Every copy of a message without a Date has one identity: without a Date, with
// one that a filter added at any time, refolded or not. Another Date makes
// another message.
func TestAddedDateIsNoneOfTheIdentity(t *testing.T) {
	identify := func(lines ...string) hashheader.Identity {
		h := stamptest.Header(append(lines, abc)...)
		return hashheader.Identify(h, []byte("abc@example.org"), []string{"message-id", "date"})
	}
	none := identify()
	for _, value := range []string{hashheader.AddedDate(time.Unix(0, 0)), hashheader.AddedDate(time.Unix(1, 0)), "x\r\n\t(added\r\n in  transit) "} {
		if identify("Date: "+value) != none {
			t.Errorf("Date %q is part of the identity", value)
		}
	}
	for _, value := range []string{"x", "(added in transit) x", "x (ADDED in transit)", "(added)"} {
		if identify("Date: "+value) == none {
			t.Errorf("Date %q is not part of the identity", value)
		}
	}
}
