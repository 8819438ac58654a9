// Command demo follows posts through a list manager: from the author to a
// private Postfix with the milter, to Mailman 3 and back, to a subscriber and
// into HyperKitty. It shows what each of them made of the header, opens the
// permalink, and cleans up after itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest"
	"permalink-milter/registry/mailman/mailmantest"
)

// posts are what the demo sends.
var posts = []struct{ why, header string }{
	{"a plain post", "Message-ID: <87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>\r\n"},
	{"a Message-ID folded as Exchange Online folds it: Mailman hashes the brackets",
		"Message-ID:\r\n <AM0PR04MB5489C1B2D3E4F5A6B7C8D9E0F1A2@AM0PR04MB5489.eurprd04.prod.outlook.example>\r\n"},
	{"no Message-ID: the milter derives one before Mailman would make its own", ""},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "permalink-demo-mailman-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	// The first build on a machine takes as long as it takes.
	if _, err := mtatest.BuildDaemon(ctx, dir); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	fmt.Println("starting the milter, a private Postfix, Mailman 3 and HyperKitty")
	// The prototype archiver keeps Mailman's copy as the milter has not seen it.
	s, err := mailmantest.StartSite(ctx, dir, mailmantest.SiteOptions{Mailman: "[archiver.prototype]\nenable: yes\n"})
	if err != nil {
		return err
	}
	defer func() {
		fmt.Println("stopping")
		err = errors.Join(err, s.Stop())
	}()
	fmt.Printf("the list %s has the members %s and %s; its archive is %slist/%s/\n",
		mailmantest.List, mailmantest.Author, mailmantest.Reader, s.Mailman.HyperKitty(), mailmantest.List)
	for i, p := range posts {
		fmt.Printf("\n%d. %s\n", i+1, p.why)
		if err := follow(ctx, s, fmt.Sprintf("Demo %d", i+1), p.header); err != nil {
			return fmt.Errorf("%s: %w", p.why, err)
		}
	}
	fmt.Println("\nall checks passed")
	return nil
}

// follow posts one message and shows its stages.
func follow(ctx context.Context, s *mailmantest.Site, subject, header string) error {
	s.Sink.Reset()
	data := "From: Alice <" + mailmantest.Author + ">\r\nTo: " + mailmantest.List + "\r\nSubject: " + subject +
		"\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\n" + header + "\r\nHello, list.\r\n"
	if err := s.Post(ctx, data); err != nil {
		return err
	}
	show("posted", mtatest.Message{Data: []byte(data)})
	got, err := s.Sink.Wait(ctx, 1)
	if err != nil {
		return err
	}
	copied, err := mailmansCopy(ctx, s.Dir, subject)
	if err != nil {
		return err
	}
	show("Mailman's copy, before the milter sees it again", copied)
	show(mailmantest.Reader+" got", got[0])
	return check(ctx, s, got[0], subject)
}

// mailmansCopy waits for a message in the Maildir of the prototype archiver.
func mailmansCopy(ctx context.Context, dir, subject string) (m mtatest.Message, err error) {
	for ctx.Err() == nil {
		names, err := filepath.Glob(filepath.Join(dir, "mailman/var/archives/prototype/*/new/*"))
		if err != nil {
			return m, err
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			m.Data = []byte(strings.ReplaceAll(string(data), "\n", "\r\n"))
			if err == nil && strings.HasSuffix(strings.Join(m.Header("Subject"), ""), subject) {
				return m, nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return m, fmt.Errorf("find Mailman's copy: %w", ctx.Err())
}

// show prints the fields that matter.
func show(stage string, m mtatest.Message) {
	fmt.Printf("   %s:\n", stage)
	shown := false
	for _, field := range m.Fields() {
		name, _, _ := strings.Cut(field, ":")
		if strings.Contains(strings.ToLower(name), "message-id") || name == hashheader.ArchivedAtField {
			fmt.Println("      " + strings.ReplaceAll(strings.TrimRight(field, "\r\n"), "\r\n", "\n      "))
			shown = true
		}
	}
	if !shown {
		fmt.Println("      (no such field)")
	}
}

// check verifies what the subscriber got.
func check(ctx context.Context, s *mailmantest.Site, m mtatest.Message, subject string) error {
	ids, links := m.Raw(hashheader.MessageIDField), m.Raw(hashheader.ArchivedAtField)
	if len(ids) != 1 || len(links) != 1 {
		return fmt.Errorf("want one Message-ID and one Archived-At, got %q %q", ids, links)
	}
	id := hashheader.Canonical(nil, ids[0])
	for _, name := range []string{"Message-ID-MD5", "Message-ID-Hash"} {
		algorithm, _ := hashheader.FieldAlgorithm(name)
		value := strings.Join(m.Raw(name), " and ")
		if err := hashheader.Verify(algorithm, value, id); err != nil {
			return err
		}
		ok("%s is the Message-ID's %s", name, algorithm)
	}
	url, err := hashheader.ParseArchivedAt(links[0])
	if err != nil {
		return err
	}
	sum, err := s.Mailman.Run(ctx, string(m.Data), "-m", "permalink_milter_archiver", "--algorithm", "sha1")
	if err != nil {
		return err
	}
	hash := strings.TrimSpace(string(sum))
	if !strings.HasSuffix(url, "/message/"+hash+"/") {
		return fmt.Errorf("the plugin computes %s, not %s", hash, url)
	}
	ok("the plugin computes the same permalink from this copy alone")
	return open(ctx, s, url, hash, string(id), subject)
}

// open looks at the permalink in HyperKitty.
func open(ctx context.Context, s *mailmantest.Site, url, hash, id, subject string) error {
	found, err := s.Mailman.WaitArchived(ctx, mailmantest.List, hash)
	if err != nil {
		return err
	}
	page, err := s.Mailman.Page(ctx, url)
	if err != nil {
		return err
	}
	if found.MessageID != id || !strings.Contains(page, subject) {
		return fmt.Errorf("%s shows another message: %+v", url, found)
	}
	ok("%s opens and shows the post; HyperKitty says it is %s", url, found.MessageID)
	return nil
}

func ok(format string, args ...any) { fmt.Printf("   ok: "+format+"\n", args...) }
