package lmtp_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/lmtp"
	"permalink-milter/registry/memreg"
)

// startArchive serves devel@lists.example.org with a Maildir in dir.
func startArchive(dir string) (addr string, stop func()) {
	url, err := hashheader.ParseTemplate("https://lists.example.org/{token}")
	if err != nil {
		log.Fatal(err)
	}
	maildir, err := lmtp.ParseDelivery("maildir:" + dir)
	if err != nil {
		log.Fatal(err)
	}
	server, err := lmtp.NewServer(lmtp.Options{
		Domains:  []lmtp.Domain{{Name: "archive.example.org", List: "devel@lists.example.org", URL: url, Delivery: maildir}},
		Registry: registry.New(memreg.New(), registry.Options{}), Identity: []string{"message-id", "date"},
		Hostname: "archive.example.org", Log: slog.New(slog.DiscardHandler),
		MaxMessage: 64 << 20, MaxRecipients: 100, Timeout: time.Minute, RegistryTimeout: time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(ln)
	}()
	return ln.Addr().String(), func() {
		server.Shutdown(context.Background())
		<-ended
	}
}

func ExampleDeliver() {
	dir, err := os.MkdirTemp("", "archive")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	addr, stop := startArchive(dir)
	defer stop()
	request := lmtp.Request{Server: addr, Domain: "archive.example.org", Algorithm: hashheader.MD5, Hostname: "lists.example.org"}
	for _, date := range []string{"Mon, 23 Nov 2026 11:00:00 +0000", "Tue, 24 Nov 2026 11:00:00 +0000"} {
		receipt, err := lmtp.Deliver(context.Background(), request, strings.NewReader("Message-ID: <abc@example.org>\nDate: "+date+"\n\nhello\n"))
		fmt.Println(receipt.Token, receipt.Tries, err)
	}
	// Output:
	// VP3JZR3MSKY5TQSMS5FHURHQXI 1 <nil>
	// VP3JZR3MSKY5TQSMS5FHURHQXI-2 2 <nil>
}
