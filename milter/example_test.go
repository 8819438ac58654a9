package milter_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	gomilter "github.com/emersion/go-milter"

	"permalink-milter/hashheader"
	"permalink-milter/milter"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
)

func ExampleServer() {
	url, err := hashheader.ParseTemplate("https://lists.example.org/{list}/{token}")
	if err != nil {
		fmt.Println(err)
		return
	}
	policy, err := stamp.NewPolicy(stamp.Policy{
		Emit:     []string{"Message-ID-MD5"},
		Identity: []string{"message-id", "date"},
		Archives: []stamp.Archive{{Name: "hyperkitty", Lists: []string{"*@lists.example.org"}, URL: url}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := milter.NewServer(milter.Options{
		Policy:        policy,
		Reserve:       registry.New(memreg.New(), registry.Options{}).Reserve,
		Log:           slog.New(slog.DiscardHandler),
		IdleTimeout:   2 * time.Hour,
		MessageBudget: 5 * time.Second,
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()

	// The MTA's part: one message to a list.
	edits, err := sendOne(listener.Addr().String())
	for _, edit := range edits {
		fmt.Printf("%s: %s\n", edit.HeaderName, edit.HeaderValue)
	}
	if err != nil {
		fmt.Println(err)
	}

	err = server.Shutdown(context.Background())
	fmt.Println(err, errors.Is(<-served, milter.ErrServerClosed))
	// Output:
	// Message-ID-MD5: VP3JZR3MSKY5TQSMS5FHURHQXI
	// Archived-At: <https://lists.example.org/devel@lists.example.org/VP3JZR3MSKY5TQSMS5FHURHQXI>
	// <nil> true
}

// sendOne does what an MTA does, and returns the header edits that it is asked
// for.
func sendOne(address string) ([]gomilter.ModifyAction, error) {
	session, err := gomilter.NewDefaultClient("tcp", address).Session()
	if err != nil {
		return nil, err
	}
	defer session.Close()
	_, from := session.Mail("a@example.org", nil)
	_, to := session.Rcpt("devel@lists.example.org", nil)
	_, id := session.HeaderField("Message-ID", "<abc@example.org>")
	_, date := session.HeaderField("Date", "Tue, 24 Nov 2026 11:00:00 +0000")
	edits, _, end := session.End()
	return edits, errors.Join(from, to, id, date, end)
}
