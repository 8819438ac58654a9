package milter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
	"permalink-milter/milter"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
)

const (
	abc      = "Message-ID: <abc@example.org>"
	abcHash  = "VP3JZR3MSKY5TQSMS5FHURHQXI"
	abcURL   = "https://lists.example.org/devel@lists.example.org/"
	listID   = "List-Id: Dev <devel.lists.example.org>"
	stamped  = "add Message-ID-MD5 0 " + abcHash
	archived = "add Archived-At 0 <" + abcURL + abcHash + ">"
)

// header makes a header of lines; a LF inside one is a fold.
func header(lines ...string) hashheader.Header {
	var h hashheader.Header
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h = append(h, hashheader.Field{Name: name, Value: strings.TrimPrefix(value, " ")})
	}
	return h
}

func edits(d milter.Decision) (out []string) {
	for _, e := range d.Edits {
		out = append(out, strings.TrimRight(fmt.Sprintf("%s %s %d %s", e.Op, e.Name, e.Index, e.Value), " "))
	}
	return out
}

func TestDecide(t *testing.T) {
	for name, c := range map[string]struct {
		header  []string
		rcpt    []string
		msgID   string
		policy  func(*milter.Policy)
		want    []string
		outcome string
	}{
		"a list message is stamped": {header: []string{abc, listID}, want: []string{stamped, archived}},
		"List-Post tells the list": {
			header: []string{abc, "List-Post: <mailto:Devel@lists.example.org?subject=x>"}, want: []string{stamped, archived}},
		"before the list manager the envelope tells": {
			header: []string{abc}, rcpt: []string{"x@example.net", "devel@LISTS.example.org"}, want: []string{stamped, archived}},
		"no archive: the hash alone":             {header: []string{abc}, want: []string{stamped}},
		"no archive and nothing wanted":          {header: []string{abc}, policy: func(p *milter.Policy) { p.HashUnmatched = false }},
		"what is right stays":                    {header: []string{abc, listID, "message-id-md5: " + abcHash, "Archived-At: <" + abcURL + abcHash + ">"}},
		"a folded permalink that is right stays": {header: []string{abc, listID, "Message-ID-MD5: " + abcHash, "Archived-At:\n <" + abcURL + "\n " + abcHash + ">"}},
		"forged and doubled fields go, from the last up": {
			header: []string{abc, "Message-ID-MD5: FORGED", "Message-ID-MD5: " + abcHash, "Message-ID-MD5: " + abcHash, "X-Message-ID-Hash: x", "X-Message-ID-Hash: y"},
			want:   []string{"delete Message-ID-MD5 3", "delete Message-ID-MD5 1", "delete X-Message-ID-Hash 2", "delete X-Message-ID-Hash 1"}},
		"other sites' Archived-At stays, a forged one under our prefix goes": {
			header: []string{abc, "Message-ID-MD5: " + abcHash, "Archived-At: <https://other.example/1>", "Archived-At: <" + abcURL + "FORGED>", "Archived-At: <>"},
			want:   []string{"delete Archived-At 2"}},
		"the first of two Message-IDs counts": {header: []string{abc, "Message-ID: <other@example.org>"}, want: []string{stamped}},
		"a folded Message-ID":                 {header: []string{"Message-ID:\n <abc@exam\n\tple.org>"}, want: []string{stamped}},
		"an 8-bit Message-ID":                 {header: []string{"Message-ID: <gr\xfc@example.org>"}, want: []string{"add Message-ID-MD5 0 " + md5("gr\xfc@example.org")}},
		"a giant Message-ID": {header: []string{"Message-ID: <" + strings.Repeat("x", 60000) + ">"},
			want: []string{"add Message-ID-MD5 0 " + md5(strings.Repeat("x", 60000))}},
		"a missing Message-ID is derived": {header: []string{"From: A <a@example.org>", "Date: today"},
			want: []string{"add Message-ID 0 <BMJZWSMWNO23XY6YFRDPXTPC4A.derived@example.org>", "add Message-ID-MD5 0 " + md5("BMJZWSMWNO23XY6YFRDPXTPC4A.derived@example.org")}},
		"an empty Message-ID is replaced": {header: []string{"Message-ID: <>", "From: A <a@example.org>", "Date: today"},
			want: []string{"replace Message-ID 1 <BMJZWSMWNO23XY6YFRDPXTPC4A.derived@example.org>", "add Message-ID-MD5 0 " + md5("BMJZWSMWNO23XY6YFRDPXTPC4A.derived@example.org")}},
		"the MTA's own Message-ID is used":              {header: []string{"From: a@example.org"}, msgID: "<abc@example.org>", want: []string{stamped}},
		"a message to be skipped loses our fields only": {header: []string{"Message-ID-MD5: " + abcHash}, policy: func(p *milter.Policy) { p.Missing = milter.MissingSkip }, want: []string{"delete Message-ID-MD5 1"}},
		"several hash fields": {header: []string{abc}, policy: func(p *milter.Policy) { p.Emit = []string{"List-Message-ID-MD5", "Message-ID-Hash"} },
			want: []string{"add List-Message-ID-MD5 0 " + abcHash, "add Message-ID-Hash 0 " + sha1("abc@example.org")}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &milter.Message{Header: header(c.header...), Recipients: c.rcpt, MTAMessageID: c.msgID}
			reg := registry.New(memreg.New(), registry.Options{})
			d := milter.Decide(m, policy(t, c.policy), func(r registry.Request) (registry.Result, error) { return reg.Reserve(t.Context(), r) })
			if diff := cmp.Diff(c.want, edits(d)); diff != "" || d.Err != nil {
				t.Errorf("%v\n%s", d.Err, diff)
			}
		})
	}
}

func md5(id string) string  { hash, _ := hashheader.MD5.Hash([]byte(id)); return hash }
func sha1(id string) string { hash, _ := hashheader.SHA1.Hash([]byte(id)); return hash }

func TestCollisionTakesTheNextTokenUnlessShared(t *testing.T) {
	reg := registry.New(memreg.New(), registry.Options{})
	reserve := func(r registry.Request) (registry.Result, error) { return reg.Reserve(t.Context(), r) }
	p := policy(t, func(p *milter.Policy) {
		shared := p.Archives[0]
		shared.Name, shared.Share = "shared", true
		p.Archives = append(p.Archives, shared)
	})
	for i, want := range []string{"", "-2", "-3"} {
		m := &milter.Message{Header: header(abc, listID, fmt.Sprintf("Date: %d", i))}
		d := milter.Decide(m, p, reserve)
		if len(d.Stamps) != 2 || d.Stamps[0].Token != abcHash+want || d.Stamps[1].Token != abcHash {
			t.Errorf("message %d: %+v", i, d.Stamps)
		}
	}
}

func TestRegistryFailure(t *testing.T) {
	down := func(registry.Request) (registry.Result, error) {
		return registry.Result{}, fmt.Errorf("dial: %w", registry.ErrUnavailable)
	}
	for mode, want := range map[milter.FailureMode][]string{
		milter.FailureStamp: {stamped, archived}, milter.FailureTempfail: nil, milter.FailureAccept: nil,
	} {
		d := milter.Decide(&milter.Message{Header: header(abc, listID)}, policy(t, func(p *milter.Policy) { p.OnFailure = mode }), down)
		if diff := cmp.Diff(want, edits(d)); diff != "" || d.TempFail != (mode == milter.FailureTempfail) || !errors.Is(d.Err, registry.ErrUnavailable) {
			t.Errorf("%s: %+v\n%s", mode, d, diff)
		}
	}
}
