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

// mails are what the demo sends. The last two differ in one letter of their
// ids and have one MD5.
var mails = []struct{ why, header string }{
	{"a list message with a forged hash",
		"Message-ID: <87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>\r\nMessage-ID-MD5: AAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"},
	{"a Message-ID that a relay folded", "Message-ID:\r\n <CAFbr3GDZfdfXbSgGq4oDrMwbZWjXwGqGyRSbZQ=hQwFw@mail.example.com>\r\n"},
	{"no Message-ID at all", ""},
	{"the first of two ids with one MD5", "Message-ID: <TEXTCOLLBYfGiJUETHQ4hAcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak>\r\n"},
	{"the second of them", "Message-ID: <TEXTCOLLBYfGiJUETHQ4hEcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak>\r\n"},
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
		data := fmt.Sprintf("From: Alice <alice@example.org>\r\nTo: devel@lists.example.org\r\nSubject: Demo %d\r\n"+
			"Date: Tue, 24 Nov 2026 11:00:00 +0000\r\nList-Id: Developers <devel.lists.example.org>\r\n%s\r\nHello, list.\r\n", i+1, m.header)
		mail := mtatest.Mail{From: "devel-bounces@lists.example.org", To: []string{"bob@example.net"}, Data: []byte(data)}
		if err := mtatest.Send(ctx, addr, mail); err != nil {
			return err
		}
		got, err := sink.Wait(ctx, 1)
		if err != nil {
			return err
		}
		fmt.Printf("\n%d. %s\n", i+1, m.why)
		if err := show(got[0]); err != nil {
			return err
		}
	}
	fmt.Println("\nevery message was stamped, delivered and verified")
	return nil
}

// show prints the fields of a delivered message that matter, and verifies
// them.
func show(m mtatest.Message) error {
	for _, field := range m.Fields() {
		name, _, _ := strings.Cut(field, ":")
		if strings.Contains(strings.ToLower(name), "message-id") || name == hashheader.ArchivedAtField {
			fmt.Println("   " + strings.ReplaceAll(strings.TrimRight(field, "\r\n"), "\r\n", "\n   "))
		}
	}
	ids, hashes, links := m.Raw(hashheader.MessageIDField), m.Raw("Message-ID-MD5"), m.Raw(hashheader.ArchivedAtField)
	if len(ids) != 1 || len(hashes) != 1 || len(links) != 1 {
		return fmt.Errorf("want one Message-ID, one Message-ID-MD5 and one Archived-At, got %q %q %q", ids, hashes, links)
	}
	if err := hashheader.Verify(hashheader.MD5, hashes[0], hashheader.Canonical(nil, ids[0])); err != nil {
		return err
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
