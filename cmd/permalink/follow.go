package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/follow"
	"permalink-milter/hashheader"
)

// followFlags say whether and how Archived-At is followed.
type followFlags struct {
	follow, allowPrivate bool
	timeout              time.Duration
}

func (f *followFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.follow, "follow", false, "ask the URL in Archived-At if it is there and is the message")
	cmd.Flags().BoolVar(&f.allowPrivate, "allow-private", false, "follow to loopback, private and link-local addresses, too")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 15*time.Second, "how long one permalink may take to follow")
}

// client returns nil where nothing is to be followed.
func (f followFlags) client() *follow.Client {
	if !f.follow {
		return nil
	}
	return follow.New(follow.Options{Timeout: f.timeout, AllowPrivate: f.allowPrivate, UserAgent: "permalink-milter verify"})
}

// followAll checks the target of each Archived-At field that is well-formed.
func followAll(ctx context.Context, c *follow.Client, h hashheader.Header) (checks []hashheader.Check) {
	id, _ := h.MessageID()
	for _, f := range h {
		if !f.Is(hashheader.ArchivedAtField) || len(id) == 0 {
			continue
		}
		if url, err := hashheader.ParseArchivedAt(f.Value); err == nil {
			checks = append(checks, c.Check(ctx, url, id))
		}
	}
	if checks == nil {
		return []hashheader.Check{{Method: follow.Method, Result: hashheader.None, Reason: "nothing to follow"}}
	}
	return checks
}
