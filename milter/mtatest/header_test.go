package mtatest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/headertest"
)

// TestPostfixReadsHeaderSectionsByTheRule sends odd messages through Postfix.
// What the milter stamped, of the fields that Postfix had read, has to be what
// hashheader finds in the message as it was delivered. And Postfix has to find
// the Message-ID that the rule finds in the message as it was sent, but for the
// differences in postfixDiffers.
func TestPostfixReadsHeaderSectionsByTheRule(t *testing.T) {
	s := startSite(t, postfixKind, Options{})
	messages, err := headertest.Testdata("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	messages = slices.Concat(messages, headertest.Bounds(), headertest.Generate(5, 400))
	var mails []Mail
	for i, m := range messages {
		mails = append(mails, Mail{From: fmt.Sprintf("%d@example.org", i), To: []string{"devel@lists.example.org"}, Data: m.Data})
	}
	if err := SendUntilAccepted(limit(t), s.mta.Remote(), 8, mails...); err != nil {
		t.Fatal(err)
	}
	differ := make(map[string]int)
	for _, got := range wait(t, s.sink, len(mails)) {
		var i int
		if _, err := fmt.Sscanf(got.From, "%d@", &i); err != nil {
			t.Fatalf("%q: %v", got.From, err)
		}
		if err := stampedAsRead(got.Data); err != nil {
			t.Errorf("%s: %v\nsent %.1500q\ngot  %.1500q", messages[i].Name, err, messages[i].Data, got.Data)
		}
		if !sameID(messages[i].Data, got.Data) {
			why := postfixDiffers(messages[i].Data)
			if differ[why]++; why == "" {
				t.Errorf("%s: Postfix reads another Message-ID\nsent %.1500q\ngot  %.1500q", messages[i].Name, messages[i].Data, got.Data)
			}
		}
	}
	t.Logf("%d messages, of which Postfix reads otherwise: %v", len(mails), differ)
}

// stampedAsRead returns how the hash field of a delivered message differs from
// the one that hashheader computes.
func stampedAsRead(data []byte) error {
	h, err := hashheader.ReadHeader(bytes.NewReader(data))
	if err != nil {
		// Postfix adds fields of its own behind the milter's bounds.
		return nil
	}
	id, err := h.MessageID()
	count := h.Count("Message-ID-MD5")
	switch {
	case errors.Is(err, hashheader.ErrLongID) && count == 0:
		return nil
	case err != nil || len(id) == 0 || count != 1:
		return fmt.Errorf("Message-ID %.99q, %v, with %d hash fields", id, err, count)
	}
	value, _ := h.First("Message-ID-MD5")
	return hashheader.Verify(hashheader.MD5, value, id)
}

// sameID reports whether a message has the same Message-ID as it was sent and
// as it was delivered. One that has none gets one.
func sameID(sent, delivered []byte) bool {
	want, err := hashheader.ReadHeader(bytes.NewReader(sent))
	if err != nil {
		return true
	}
	id, long := want.MessageID()
	got, err := hashheader.ReadHeader(bytes.NewReader(delivered))
	if err != nil {
		return true
	}
	arrived, _ := got.MessageID()
	return long != nil || len(id) == 0 || bytes.Equal(id, arrived)
}

// postfixDiffers returns why Postfix reads a message otherwise than the rule
// says, "" where it should not. What the rule skips before a section comes from
// files, not by SMTP; Postfix skips From_ lines alone.
func postfixDiffers(data []byte) string {
	var s hashheader.Section
	s.Scan(data, true)
	end, _, _ := bytes.Cut(data[s.End:], []byte("\n"))
	switch {
	case bytes.IndexByte(data[s.Start:s.End], 0) >= 0:
		return "a line is cut at its NUL"
	case bytes.IndexByte(bytes.TrimRight(end, "\r"), '\r') >= 0:
		return "a CR within a line becomes a space (cleanup_replace_stray_cr_lf), and makes a field or a fold of the line"
	case s.Start == 0 && bytes.HasPrefix(data, []byte("From ")):
		return "the field 'From :' on the first line is taken for a From_ line"
	}
	for line := range bytes.Lines(data[:s.Start]) {
		if !hashheader.IsFromLine(line) {
			return "a blank line or a byte order mark ends the section"
		}
	}
	return ""
}
