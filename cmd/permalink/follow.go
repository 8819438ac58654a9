package main

import (
	"context"

	"github.com/spf13/cobra"

	"permalink-milter/hashheader"
)

// A followCheck asks the target of each Archived-At of a message.
type followCheck func(ctx context.Context, h hashheader.Header) []hashheader.Check

// followFlags say whether and how Archived-At is followed.
type followFlags struct{ follow, allowPrivate bool }

func (f *followFlags) add(cmd *cobra.Command) {}
func (f *followFlags) check() followCheck     { return nil }
