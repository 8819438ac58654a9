package mailmantest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest"
)

// post sends a message with these further header fields to the list, and returns what the subscribers got and the
// message's subject.
func post(t *testing.T, s *Site, header string) (m mtatest.Message, subject string) {
	t.Helper()
	subject = rand.Text()
	s.Sink.Reset()
	data := "From: Alice <" + Author + ">\r\nTo: " + List + "\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\nSubject: " + subject + "\r\n" + header + "\r\nhello\r\n"
	if err := s.Post(limit(t), data); err != nil {
		t.Fatal(err)
	}
	got, err := s.Sink.Wait(limit(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	return got[0], subject
}

// checkFields verifies the subscriber's copy and returns its canonical Message-ID and the URL in Archived-At.
func checkFields(t *testing.T, m mtatest.Message) (id []byte, url string) {
	t.Helper()
	ids, hashes, links := m.Raw("Message-ID"), m.Raw("Message-ID-MD5"), m.Raw("Archived-At")
	if len(ids) == 0 || len(hashes) != 1 || len(links) != 1 {
		t.Fatalf("fields %q %q %q in:\n%s", ids, hashes, links, m.RawHeader())
	}
	id = hashheader.Canonical(nil, ids[0])
	if err := hashheader.Verify(hashheader.MD5, hashes[0], id); err != nil {
		t.Error(err)
	}
	// Mailman's own field is put right.
	if legacy := m.Raw("Message-ID-Hash"); len(legacy) != 1 {
		t.Errorf("Message-ID-Hash: %q", legacy)
	} else if err := hashheader.Verify(hashheader.SHA1, legacy[0], id); err != nil {
		t.Error(err)
	}
	url, err := hashheader.ParseArchivedAt(links[0])
	if err != nil {
		t.Fatal(err)
	}
	return id, url
}

func testPermalinksOpen(t *testing.T, s *Site, _ *archive) {
	copies := t.TempDir()
	for name, header := range map[string]string{
		"a plain id":                      "Message-ID: <1@example.org>\r\n",
		"an id that Exchange folds":       "Message-ID:\r\n <2@example.org>\r\n",
		"an id folded with a tab":         "Message-ID:\r\n\t<3@example.org>\r\n",
		"an id so long that Mailman does": "Message-ID: <" + strings.Repeat("4", 90) + "@example.org>\r\n",
		"one of 254 octets":               "Message-ID: <" + strings.Repeat("5", 242) + "@example.org>\r\n",
		"white space around the id":       "Message-ID:   <6@example.org> \t \r\n",
		"folds before and behind the id":  "Message-ID: \r\n \r\n <7@example.org>\r\n \r\n",
		"a name in capitals":              "MESSAGE-ID: <8@example.org>\r\n",
		"an id without brackets":          "Message-ID: 9@example.org\r\n",
		"an id with a comment":            "Message-ID: <10@example.org> (added by relay)\r\n",
		"a quoted local part":             "Message-ID: <\"1 1\"@example.org>\r\n",
		"percent and plus signs":          "Message-ID: <1%2f+2@example.org>\r\n",
		"two ids, of which the first one": "Message-ID: <13@example.org>\r\nMessage-ID: <14@example.org>\r\n",
		"no Message-ID":                   "",
		"an empty Message-ID":             "Message-ID:\r\n",
		"forged fields": "Message-ID: <15@example.org>\r\nMessage-ID-MD5: AAAAAAAAAAAAAAAAAAAAAAAAAA\r\n" +
			"Message-ID-Hash: AAAA\r\nX-Message-ID-Hash: AAAA\r\nArchived-At: <" + s.Mailman.HyperKitty() + "list/x/message/FORGED/>\r\n",
		"a space before the colon, which Postfix mends": "Message-ID : <16@example.org>\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			m, subject := post(t, s, header)
			id, url := checkFields(t, m)
			checkArchived(t, s, id, url, subject)
			if err := os.WriteFile(filepath.Join(copies, subject+".eml"), m.Data, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := m.Raw("X-Message-ID-Hash"); len(got) != 0 {
				t.Errorf("X-Message-ID-Hash: %q", got)
			}
		})
	}
	checkByTool(t, s, copies)
}

// checkByTool verifies the subscriber's copies as he would. The one with two
// ids is told of as such.
func checkByTool(t *testing.T, s *Site, copies string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "run", "permalink-milter/cmd/permalink", "verify", "--require", "hash,archived-at",
		"--archive", s.Mailman.HyperKitty()+"list/{list}/message/{sha1}/", copies).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strings.Count(string(out), ".eml:") != 1 || !strings.Contains(string(out), "2 Message-ID fields") {
		t.Errorf("%v: %s", err, out)
	}
}

// checkArchived opens the permalink in HyperKitty.
func checkArchived(t *testing.T, s *Site, id []byte, url, subject string) {
	t.Helper()
	hash := strings.TrimSuffix(strings.TrimPrefix(url, s.Mailman.HyperKitty()+"list/"+List+"/message/"), "/")
	found, err := s.Mailman.WaitArchived(limit(t), List, hash)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	if found.MessageID != string(id) || !strings.HasSuffix(found.Subject, subject) {
		t.Errorf("%s is %+v, want the message %q, %s", url, found, id, subject)
	}
	page, err := s.Mailman.Page(limit(t), url)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page, subject) {
		t.Errorf("%s does not show %s:\n%s", url, subject, page)
	}
}

func testLimits(t *testing.T, s *Site, _ *archive) {
	t.Run("HyperKitty cuts ids of 255 octets and more", func(t *testing.T) {
		id := strings.Repeat("a", 288) + "@example.org"
		m, _ := post(t, s, "Message-ID: <"+id+">\r\n")
		_, url := checkFields(t, m)
		cut, err := hashheader.SHA1.Hash([]byte(id[:254]))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Mailman.WaitArchived(limit(t), List, cut); err != nil {
			t.Error(err)
		}
		if _, err := s.Mailman.Page(limit(t), url); err == nil {
			t.Errorf("%s opens", url)
		}
	})
	t.Run("HyperKitty cuts an id at a space, and keeps one message of those", func(t *testing.T) {
		_, _ = post(t, s, "Message-ID: <cut 1@example.org>\r\n")
		cut, err := hashheader.SHA1.Hash([]byte("<cut"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Mailman.WaitArchived(limit(t), List, cut); err != nil {
			t.Fatal(err)
		}
		_, subject := post(t, s, "Message-ID: <cut 2@example.org>\r\n")
		_, last := post(t, s, "Message-ID: <17@example.org>\r\n")
		checkList(t, s, last, subject)
	})
	t.Run("Mailman refuses ids that are not ASCII", func(t *testing.T) {
		for _, header := range []string{"Message-ID: <gr\xfcn@example.org>\r\n", "Message-ID: <gr\xc3\xbcn@example.org>\r\n"} {
			m, subject := post(t, s, header)
			if m.From != "" || !strings.Contains(string(m.Data), "said: 50") {
				t.Errorf("%q is not bounced (%s):\n%s", header, subject, m.Data)
			}
		}
	})
	t.Run("Mailman does not archive what its author does not want archived", func(t *testing.T) {
		m, subject := post(t, s, "Message-ID: <18@example.org>\r\nX-No-Archive: yes\r\n")
		if hashes, links := m.Raw("Message-ID-MD5"), m.Raw("Archived-At"); len(hashes) != 1 || len(links) != 0 {
			t.Errorf("hashes %q, links %q that nothing answers", hashes, links)
		}
		_, last := post(t, s, "Message-ID: <19@example.org>\r\n")
		checkList(t, s, last, subject)
	})
}

// checkList waits for one message, and reports another one that came before it and should not be there.
func checkList(t *testing.T, s *Site, there, absent string) {
	t.Helper()
	err := until(limit(t), func() error {
		all, err := s.Mailman.List(limit(t), List)
		if err != nil {
			return err
		}
		subjects := fmt.Sprint(all)
		if strings.Contains(subjects, absent) {
			t.Errorf("%s is archived: %s", absent, subjects)
		}
		if !strings.Contains(subjects, there) {
			return fmt.Errorf("%s is not archived: %s", there, subjects)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// checkHashes verifies the hash fields of a message as an archiver gets it.
func checkHashes(t *testing.T, data string, id []byte) {
	t.Helper()
	m := mtatest.Message{Data: []byte(data)}
	for name, a := range map[string]hashheader.Algorithm{"Message-ID-MD5": hashheader.MD5, "Message-ID-Hash": hashheader.SHA1} {
		values := m.Raw(name)
		if len(values) != 1 {
			t.Errorf("%s: %q in:\n%s", name, values, data)
			continue
		}
		if err := hashheader.Verify(a, values[0], id); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// identify returns the identity that the milter gives a message with these fields.
func identify(fields []string) string {
	var h hashheader.Header
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ":")
		h = append(h, hashheader.Field{Name: name, Value: value})
	}
	id, _ := h.MessageID()
	return hashheader.Identify(h, id, []string{"message-id", "date"}).String()
}
