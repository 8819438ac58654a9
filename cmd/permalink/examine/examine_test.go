package examine

import (
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
)

// found is a message with these results of its hash.
func found(results ...hashheader.Result) Finding {
	f := Finding{Message: mailbox.Message{Index: 1}, Checks: []hashheader.Check{{Method: hashheader.MethodMessageID, Result: hashheader.Pass}}}
	for _, r := range results {
		f.Checks = append(f.Checks, hashheader.Check{Method: hashheader.MethodHash, Result: r})
	}
	return f
}

func TestTheWorstResultCounts(t *testing.T) {
	for _, c := range []struct {
		results []hashheader.Result
		want    hashheader.Result
	}{
		{nil, hashheader.None},
		{[]hashheader.Result{hashheader.None}, hashheader.None},
		{[]hashheader.Result{hashheader.None, hashheader.Pass}, hashheader.Pass},
		{[]hashheader.Result{hashheader.Pass, hashheader.TempError}, hashheader.TempError},
		{[]hashheader.Result{hashheader.Policy, hashheader.TempError}, hashheader.Policy},
		{[]hashheader.Result{hashheader.PermError, hashheader.Policy}, hashheader.PermError},
		{[]hashheader.Result{hashheader.Fail, hashheader.PermError, hashheader.Pass}, hashheader.Fail},
	} {
		if got := found(c.results...).Result(); got != c.want {
			t.Errorf("%v: %s, want %s", c.results, got, c.want)
		}
	}
	cut := found(hashheader.Pass)
	cut.Err = mailbox.ErrCut
	if got := cut.Result(); got != hashheader.PermError {
		t.Errorf("cut off: %s", got)
	}
	if cut.Err = mailbox.ErrUnended; cut.Result() != hashheader.Pass {
		t.Errorf("no line end: %s", cut.Result())
	}
}

// BenchmarkVerify reads an mbox in memory and examines each message, as
// permalink verify does.
func BenchmarkVerify(b *testing.B) {
	template, err := hashheader.ParseTemplate("https://lists.example.org/{list}/{token}")
	if err != nil {
		b.Fatal(err)
	}
	x := &Examiner{Site: hashheader.Site{Templates: []hashheader.Template{template}}}
	message := "From sender0@example.org Tue Nov 24 11:51:54 2026\n" +
		strings.Repeat("Received: from relay0.example.org (relay0.example.org [192.0.2.238])\n"+
			"\tby mx1.example.org (Postfix) with ESMTPS id 46A1ACA982E2\n"+
			"\tfor <devel@lists.example.org>; Tue, 24 Nov 2026 11:00:06 +0000 (UTC)\n", 4) +
		"From: Sender 0 <sender0@example.org>\nTo: devel@lists.example.org\nSubject: [devel] Re: subject 0\n" +
		"Date: Tue, 24 Nov 2026 11:09:00 +0000\nMessage-ID: <ff4ae39f6bb44fb8.0@host102.example.org>\n" +
		"Message-ID-MD5: GS2IGW5ZZ2R3KXG74NPOQ52DG4\n" +
		"Archived-At: <https://lists.example.org/devel@lists.example.org/GS2IGW5ZZ2R3KXG74NPOQ52DG4>\n" +
		"List-Id: Developers <devel.lists.example.org>\nList-Post: <mailto:devel@lists.example.org>\n\n" +
		strings.Repeat("the list archive keeps every message under a name\n", 80) + "\n"
	mbox := strings.Repeat(message, 1000)
	b.SetBytes(int64(len(mbox)))
	b.ReportAllocs()
	for b.Loop() {
		o := mailbox.Options{Stdin: strings.NewReader(mbox), Wants: x.Wants}
		for f := range mailbox.Map(b.Context(), []string{"-"}, o, x.Local) {
			if f.Result() != hashheader.Pass {
				b.Fatal(f)
			}
		}
	}
}
