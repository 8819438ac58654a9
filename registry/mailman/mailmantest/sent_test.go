package mailmantest

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest"
)

// situations are the messages that Mailman sends, by their reader and subject. Every list manager's kind of mail is
// among them: posts, digests, notices, requests, and what it forwards.
var situations = []struct {
	to, subject string
	archived    bool
}{
	{Author, "post to " + openList, true},
	{Author, "by a stranger", true},
	{Author, "post to " + privateList, true},
	{Author, "post to " + announceList, true},
	{Author, "post to " + bareList, true},
	{Author, "post to " + digestList, true},
	{Author, "post to " + answerList, true},
	{Author, "to accept", true},        // it was held
	{Author, "Undelivered Mail", true}, // from the null sender, to the list itself
	{Author, "with X-Archive: yes", true},
	{Author, "with X-Archive:   no", true},
	{Author, "with Archive: no", true},
	{Author, "with X-No-Archive: yes", false},
	{Author, "with X-No-Archive: no", false},
	{Author, "with X-No-Archive:", false},
	{Author, "with X-Archive: no", false},
	{Author, "with X-Archive: NO", false},
	{Author, "post to " + neverList, false},
	{Author, "post to " + offList, false},
	{"mime@example.net", "Digest Digest", false},
	{"plain@example.net", "Digest Digest", false},
	{"welcome@example.net", "Welcome to the", false},
	{"invited@example.net", "You have been invited", false},
	{stranger, "awaits moderator approval", false},
	{owner, "requires approval", false},
	{stranger, "Request to mailing list", false}, // rejected by a moderator
	{stranger, "at once rejected", false},
	{Author, "Auto-response for your message to the \"Answer\"", false},
	{stranger, "Auto-response for your message to the \"Open\"", false},
	{stranger, "Auto-response for your message to the \"Answer\"", false}, // from -owner
	{Author, "Answer post acknowledgment", false},
	{stranger, "The results of your email commands", false},
	{stranger, "needed to join the open@", false},
	{stranger, "Welcome to the \"Open\"", false},
	{stranger, "needed to leave the open@", false},
	{stranger, "You have been unsubscribed", false},
	{owner, "New subscription request to Ask", false},
	{owner, "to the owner", false},
	{owner, "to the answering owner", false},
	{owner, "bounce score incremented", false},
	{owner, "subscription disabled", false},
	{Author, "Your subscription for Bounce mailing list has been disabled", false},
	{owner, "Uncaught bounce notification", false},
}

// unnamed is the one archived post that gets no link: its list is told to write no List fields, and the subscribers'
// copies go to them alone.
const unnamed = "post to " + bareList

// unforeseen are the posts that no archive keeps, which nobody can know when they come in: Mailman or a moderator
// decides later. The fields that they get then do not leave Mailman, but for copies in notices to moderators.
var unforeseen = []string{"to reject", "to discard", "to defer", "at once rejected", "post to " + neverList, "post to " + offList}

// testEveryLinkOpens sends mail of every kind through Mailman, and opens what the milter stamped.
func testEveryLinkOpens(t *testing.T, s *Site, _ *archive) {
	s.Sink.Reset()
	from := len(s.Daemon.Stderr())
	makeLists(t, s)
	w := &correspondence{s, t}
	w.posts()
	w.moderation()
	w.digests()
	w.notices()
	w.commands()
	w.bounces()
	for _, want := range situations {
		w.wait(want.to, want.subject)
	}
	w.settle()
	pages := archivedPages(t, s)
	log := s.Daemon.Stderr()[from:]
	for _, m := range s.Sink.Messages() {
		checkLinks(t, m, pages[messageID(m)], log)
	}
	for _, want := range situations {
		m := w.wait(want.to, want.subject)
		if archived := pages[messageID(m)] != ""; archived != want.archived {
			t.Errorf("%s, %q: archived %v", want.to, title(m), archived)
		}
	}
	checkOpen(t, s, pages, log)
	held := w.wait(owner, "requires approval")
	if _, link, ok := strings.Cut(string(held.Body()), "Archived-At:"); !ok || !strings.HasPrefix(strings.TrimSpace(link), "<"+s.Mailman.HyperKitty()) {
		t.Errorf("the moderator's copy of a held post has no link, as registry/mailman/README.md says:\n%s", held.Data)
	}
}

// archivedPages returns HyperKitty's pages by the messages' ids.
func archivedPages(t *testing.T, s *Site) map[string]string {
	t.Helper()
	all, err := s.Mailman.All(limit(t))
	if err != nil {
		t.Fatal(err)
	}
	pages := make(map[string]string)
	for _, a := range all {
		pages[a.MessageID] = s.Mailman.PageOf(a)
	}
	return pages
}

// checkLinks holds what a reader got to what is archived: the one link to its page, or none, and a reason in the log.
func checkLinks(t *testing.T, m mtatest.Message, page, log string) {
	t.Helper()
	var want []string
	if page != "" && !strings.Contains(title(m), unnamed) {
		want = []string{"<" + page + ">"}
	}
	if links := m.Header("Archived-At"); !slices.Equal(links, want) {
		t.Errorf("%s, %q: links %q, want %q, in:\n%s", m.To, title(m), links, want, m.RawHeader())
	}
	if len(want) == 0 && reason(log, messageID(m)) == "" {
		t.Errorf("%s, %q: the log does not say why it has no link", m.To, title(m))
	}
}

// reason returns the note of the last line about a message in the daemon's log.
func reason(log, id string) string {
	lines := regexp.MustCompile(`(?m)message_id="?`+regexp.QuoteMeta(id)+`"? .* note=(.*)$`).FindAllStringSubmatch(log, -1)
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1][1]
}

var permalink = regexp.MustCompile(`https://[^\s\]"]+/message/[^\s\]"]+`)

// checkOpen opens every link that the milter stamped, also into mail on its way to Mailman.
func checkOpen(t *testing.T, s *Site, pages map[string]string, log string) {
	t.Helper()
	closed := make(map[string]bool)
	for _, subject := range unforeseen {
		hash, err := hashheader.SHA1.Hash([]byte(sentID(subject)))
		if err != nil {
			t.Fatal(err)
		}
		closed[hash] = true
	}
	opened := make(map[string]bool)
	for _, url := range permalink.FindAllString(log, -1) {
		if hash := url[strings.LastIndex(strings.TrimSuffix(url, "/"), "/")+1 : len(url)-1]; opened[url] || closed[hash] {
			continue
		}
		opened[url] = true
		if _, err := s.Mailman.Page(limit(t), url); err != nil {
			t.Error(err)
		}
	}
	if len(opened) < 12 {
		t.Errorf("the log names %d links:\n%s", len(opened), log)
	}
}

func messageID(m mtatest.Message) string {
	return string(hashheader.Canonical(nil, strings.Join(m.Raw(hashheader.MessageIDField), "")))
}
