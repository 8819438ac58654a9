package mailmantest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"permalink-milter/milter/mtatest"
)

// The lists of the situations, and who has to do with them.
const (
	openList     = "open@" + Domain     // everybody may post and join
	heldList     = "held@" + Domain     // holds the posts of strangers
	rejectList   = "reject@" + Domain   // rejects them
	privateList  = "private@" + Domain  // private archive
	announceList = "announce@" + Domain // List-Post: NO
	neverList    = "never@" + Domain    // archive_policy never
	offList      = "off@" + Domain      // its archivers are switched off
	bareList     = "bare@" + Domain     // no List fields at all
	digestList   = "digest@" + Domain
	bounceList   = "bounce@" + Domain
	answerList   = "answer@" + Domain // answers and acknowledges each post
	askList      = "ask@" + Domain    // asks its owner about those who join

	owner    = "owner@example.net"
	stranger = "stranger@example.com"
)

// settings are what distinguishes the lists, in the words of Mailman's REST API.
var settings = map[string]map[string]any{
	openList:     {"default_nonmember_action": "accept", "autorespond_requests": "respond_and_continue", "autoresponse_request_text": "auto request"},
	heldList:     {"default_nonmember_action": "hold"},
	rejectList:   {"default_nonmember_action": "reject"},
	privateList:  {"archive_policy": "private"},
	announceList: {"allow_list_posts": false},
	neverList:    {"archive_policy": "never"},
	offList:      {},
	bareList:     {"include_rfc2369_headers": false},
	digestList:   {},
	bounceList:   {"bounce_score_threshold": 1, "bounce_notify_owner_on_bounce_increment": true, "bounce_you_are_disabled_warnings": 2},
	answerList: {"autorespond_postings": "respond_and_continue", "autoresponse_postings_text": "auto post",
		"autorespond_owner": "respond_and_continue", "autoresponse_owner_text": "auto owner"},
	askList: {"subscription_policy": "moderate"},
}

// A correspondence is all that others write to the lists.
type correspondence struct {
	site *Site
	t    *testing.T
}

func makeLists(t *testing.T, s *Site) {
	t.Helper()
	for list, config := range settings {
		err := errors.Join(s.Mailman.CreateList(limit(t), list), s.Mailman.Configure(limit(t), list, config), s.Mailman.Subscribe(limit(t), list, Author),
			s.Mailman.AddMember(limit(t), list, owner, map[string]any{"role": "owner"}))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Mailman.SwitchOff(limit(t), offList, "hyperkitty", "permalink"); err != nil {
		t.Fatal(err)
	}
}

// sentID is the Message-ID of what send sends.
func sentID(subject string) string { return fmt.Sprintf("%x@example.org", subject) }

// send sends a message as another host does.
func (w *correspondence) send(from, to, subject string, header ...string) {
	w.t.Helper()
	fields := strings.Join(append(header, ""), "\r\n")
	data := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\nMessage-ID: <%s>\r\n%s\r\nhello\r\n",
		from, to, subject, sentID(subject), fields)
	w.sendData(from, to, data)
}

func (w *correspondence) sendData(from, to, data string) {
	w.t.Helper()
	mail := mtatest.Mail{From: from, To: []string{to}, Data: []byte(data)}
	if err := mtatest.Send(limit(w.t), w.site.Postfix.Remote(), mail); err != nil {
		w.t.Fatalf("mail to %s: %v", to, err)
	}
}

// wait waits for a message to an address with such a subject.
func (w *correspondence) wait(to, subject string) (m mtatest.Message) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	err := until(ctx, func() error {
		for _, m = range w.site.Sink.Messages() {
			if slices.Contains(m.To, to) && strings.Contains(title(m), subject) {
				return nil
			}
		}
		return fmt.Errorf("%s got no message %q", to, subject)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// title is a message's subject.
func title(m mtatest.Message) string { return strings.Join(m.Header("Subject"), "") }

// settle waits until Mailman has nothing left to do.
func (w *correspondence) settle() {
	w.t.Helper()
	quiet, shunted := 0, 0
	err := until(limit(w.t), func() error {
		waiting, err := filepath.Glob(w.site.Mailman.file("var/queue/*/*"))
		empty, queueErr := w.site.Postfix.QueueEmpty(limit(w.t))
		waiting = slices.DeleteFunc(waiting, func(name string) bool { return strings.Contains(name, "/bad/") })
		if slices.ContainsFunc(waiting, func(name string) bool { return strings.Contains(name, "/shunt/") }) && shunted < 3 {
			// Mailman puts a post aside where it stumbles over a membership that
			// changes at that moment. An operator gives it back, too.
			shunted++
			_, shuntErr := w.site.Mailman.Run(limit(w.t), "", "-c", "from mailman.bin.mailman import main; main()",
				"--run-as-root", "-C", w.site.Mailman.file("mailman.cfg"), "unshunt")
			queueErr = errors.Join(queueErr, shuntErr)
		}
		if quiet++; len(waiting) > 0 || !empty {
			quiet = 0
		}
		if quiet < 20 {
			err = errors.Join(err, queueErr, fmt.Errorf("in Mailman's queues: %q", waiting))
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// posts are what authors write to lists of every kind.
func (w *correspondence) posts() {
	w.t.Helper()
	for _, list := range []string{openList, privateList, announceList, neverList, offList, bareList, digestList, answerList} {
		w.send(Author, list, "post to "+list)
	}
	for _, field := range []string{"X-No-Archive: yes", "X-No-Archive: no", "X-No-Archive:", "X-Archive: no", "X-Archive: NO",
		"X-Archive: yes", "X-Archive:   no   ", "Archive: no"} {
		w.send(Author, openList, "with "+field, field)
	}
	w.send(stranger, openList, "by a stranger")
}

func (w *correspondence) moderation() {
	for _, action := range []string{"accept", "reject", "discard", "defer"} {
		w.send(stranger, heldList, "to "+action)
		if action == "defer" {
			continue
		}
		err := until(limit(w.t), func() error { return w.site.Mailman.Moderate(limit(w.t), heldList, "to "+action, action) })
		if err != nil {
			w.t.Fatal(err)
		}
	}
	w.send(stranger, rejectList, "at once rejected")
}

func (w *correspondence) digests() {
	for address, mode := range map[string]string{"mime@example.net": "mime_digests", "plain@example.net": "plaintext_digests"} {
		if err := w.site.Mailman.AddMember(limit(w.t), digestList, address, map[string]any{"delivery_mode": mode}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.wait(Author, "post to "+digestList)
	w.send(Author, digestList, "for the digest")
	w.wait(Author, "for the digest")
	if err := w.site.Mailman.SendDigest(limit(w.t), digestList); err != nil {
		w.t.Fatal(err)
	}
}

func (w *correspondence) notices() {
	m := w.site.Mailman
	err := errors.Join(m.AddMember(limit(w.t), openList, "welcome@example.net", map[string]any{"send_welcome_message": true}),
		m.AddMember(limit(w.t), openList, "invited@example.net", map[string]any{"invitation": true}),
		m.Acknowledge(limit(w.t), answerList, Author))
	if err != nil {
		w.t.Fatal(err)
	}
	w.send(Author, answerList, "acknowledged")
}

func (w *correspondence) commands() {
	w.send(stranger, "open-request@"+Domain, "help")
	w.send(stranger, "open-join@"+Domain, "join")
	w.send(stranger, "ask-join@"+Domain, "join too")
	w.send(stranger, "open-owner@"+Domain, "to the owner")
	w.send(stranger, "answer-owner@"+Domain, "to the answering owner")
	w.confirm(w.wait(stranger, "to join the ask@"))
	w.confirm(w.wait(stranger, "to join the open@"))
	w.wait(stranger, "Welcome to the")
	w.send(stranger, "open-leave@"+Domain, "leave")
	w.confirm(w.wait(stranger, "to leave the open@"))
}

// confirm answers a request for confirmation as its reader does.
func (w *correspondence) confirm(m mtatest.Message) {
	to := strings.Trim(strings.Join(m.Header("From"), ""), "<>")
	w.send(stranger, to, "Re: "+title(m))
}

// bounces are what other hosts report.
func (w *correspondence) bounces() {
	const dsn = "From: MAILER-DAEMON@example.org\r\nTo: %[1]s\r\nSubject: Undelivered Mail Returned to Sender\r\nMessage-ID: <%[2]x@example.org>\r\n" +
		"Date: Tue, 24 Nov 2026 11:00:00 +0000\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nIt failed.\r\n\r\n" +
		"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n" +
		"Final-Recipient: rfc822; %[2]s\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
	for _, to := range []string{"bounce-bounces@" + Domain, "bounce-bounces+alice=example.org@" + Domain} {
		w.sendData("", to, fmt.Sprintf(dsn, to, Author))
	}
	w.sendData("", "bounce-bounces@"+Domain, "From: x@example.org\r\nTo: bounce-bounces@"+Domain+
		"\r\nSubject: who knows\r\nMessage-ID: <unknown@example.org>\r\n\r\nAway.\r\n")
	w.sendData("", openList, fmt.Sprintf(dsn, openList, Author))
}
