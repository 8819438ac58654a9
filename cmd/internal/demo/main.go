// Command demo shows the main job: a private Postfix, or with -mta sendmail a private Sendmail, and the daemon on the
// embedded registry, real mail through both, the stamped header fields, and a
// check of each. With -redis it shows two mail hosts that share a Redis, and
// what they do while that is stopped. It cleans up after itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest"
)

const daemonConfig = `
state_dir = %q
[milter]
listen = [%q]
[header]
emit = ["Message-ID-MD5"]
[[archive]]
name = "hyperkitty"
lists = ["*@lists.example.org"]
url = "https://lists.example.org/archives/list/{list}/{token}/"
`

// A demoMail is one message to a list, or with blind a personal message whose
// envelope has a list that its header does not name.
type demoMail struct {
	why, header string
	blind       bool
}

// mails are the messages of the demo. The fourth and the fifth have ids that
// differ in one letter and have one MD5.
var mails = []demoMail{
	{why: "a list message with a forged hash",
		header: "Message-ID: <87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>\r\nMessage-ID-MD5: AAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"},
	{why: "a Message-ID that a relay folded", header: "Message-ID:\r\n <CAFbr3GDZfdfXbSgGq4oDrMwbZWjXwGqGyRSbZQ=hQwFw@mail.example.com>\r\n"},
	{why: "no Message-ID at all"},
	{why: "the first of two ids with one MD5", header: "Message-ID: <TEXTCOLLBYfGiJUETHQ4hAcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak>\r\n"},
	{why: "the second of them", header: "Message-ID: <TEXTCOLLBYfGiJUETHQ4hEcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak>\r\n"},
	{why: "to Bob, and to a list as a blind copy: no field may name that list", header: "Message-ID: <blind@example.org>\r\n", blind: true},
}

// mail returns the message as it is sent. N is its number.
func (m demoMail) mail(n int) mtatest.Mail {
	const lines = "From: Alice <alice@example.org>\r\nTo: %s\r\nSubject: Demo %d\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\n%s\r\nHello.\r\n"
	if m.blind {
		return mtatest.Mail{From: "alice@example.org", To: []string{"bob@example.net", "layoffs@lists.example.org"},
			Data: fmt.Appendf(nil, lines, "bob@example.net", n, m.header)}
	}
	return mtatest.Mail{From: "devel-bounces@lists.example.org", To: []string{"bob@example.net"},
		Data: fmt.Appendf(nil, lines, "devel@lists.example.org", n, "List-Id: Developers <devel.lists.example.org>\r\n"+m.header)}
}

func main() {
	name := flag.String("mta", "postfix", "send through this `MTA`: postfix or sendmail")
	redis := flag.Bool("redis", false, "show two hosts on one Redis instead")
	flag.Parse()
	show := func(ctx context.Context) error { return run(ctx, *name) }
	if *redis {
		show = runRedis
	}
	if err := show(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name string) (err error) {
	dir, err := os.MkdirTemp("", "permalink-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	bin, err := mtatest.BuildDaemon(ctx, dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	port, err := mtatest.FreePort()
	if err != nil {
		return err
	}
	addr := fmt.Sprintf("inet:127.0.0.1:%d", port)
	daemon, err := mtatest.StartDaemon(ctx, bin, dir, fmt.Sprintf(daemonConfig, filepath.Join(dir, "state"), addr), addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.Stop()) }()
	fmt.Println("permalink-milter listens on", addr)
	sink, err := mtatest.StartSink(ctx)
	if err != nil {
		return err
	}
	defer sink.Stop()
	server, err := start(ctx, name, mtatest.Options{Dir: filepath.Join(dir, "mta"), Milters: []string{addr}, Sink: sink.Addr()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	fmt.Printf("a private %s listens on %s\n", name, server.Remote())
	return send(ctx, server.Remote(), sink)
}

func start(ctx context.Context, name string, o mtatest.Options) (mtatest.MTA, error) {
	switch name {
	case "postfix":
		return mtatest.StartPostfix(ctx, o)
	case "sendmail":
		return mtatest.StartSendmail(ctx, o)
	}
	return nil, fmt.Errorf("-mta %s: write postfix or sendmail", name)
}

// send sends the mails one by one and shows what came out.
func send(ctx context.Context, addr string, sink *mtatest.Sink) error {
	for i, m := range mails {
		sink.Reset()
		if err := mtatest.Send(ctx, addr, m.mail(i+1)); err != nil {
			return err
		}
		got, err := sink.Wait(ctx, 1)
		if err != nil {
			return err
		}
		fmt.Printf("\n%d. %s\n", i+1, m.why)
		if err := show(got[0], m.blind); err != nil {
			return err
		}
	}
	fmt.Println("\nevery message was stamped, delivered and verified")
	return nil
}

// show prints our fields of a delivered message and verifies them.
func show(m mtatest.Message, blind bool) error {
	for _, field := range m.Fields() {
		name, _, _ := strings.Cut(field, ":")
		if strings.Contains(strings.ToLower(name), "message-id") || name == hashheader.ArchivedAtField {
			fmt.Println("   " + strings.ReplaceAll(strings.TrimRight(field, "\r\n"), "\r\n", "\n   "))
		}
	}
	ids, hashes, links := m.Raw(hashheader.MessageIDField), m.Raw("Message-ID-MD5"), m.Raw(hashheader.ArchivedAtField)
	want := 1
	if blind {
		want = 0
	}
	if len(ids) != 1 || len(hashes) != 1 || len(links) != want {
		return fmt.Errorf("want one Message-ID, one Message-ID-MD5 and %d Archived-At, got %q %q %q", want, ids, hashes, links)
	}
	if err := hashheader.Verify(hashheader.MD5, hashes[0], hashheader.Canonical(nil, ids[0])); err != nil {
		return err
	}
	if blind {
		fmt.Println("   verified: the hash is the Message-ID's, and nothing names the list")
		return nil
	}
	url, err := hashheader.ParseArchivedAt(links[0])
	if err != nil {
		return err
	}
	if !strings.Contains(url, strings.TrimSpace(hashes[0])) {
		return fmt.Errorf("the permalink %s is not the hash's", url)
	}
	fmt.Println("   verified: the hash is the Message-ID's, and the permalink is the hash's")
	return nil
}
