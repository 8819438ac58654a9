package redisreg

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"permalink-milter/registry"
)

// acks says how many replicas must have a change, and then how many had it.
// It is handed to the client's connection in the context: WAIT counts for
// the connection that wrote, and only the client knows which one that is,
// after it has followed a cluster's redirections.
type acks struct{ want, got int64 }

type acksKey struct{}

// awaitReplicas makes the swap that runs in the returned context wait. Its
// acks are nil where no replica need have anything.
func (s *Store) awaitReplicas(ctx context.Context) (context.Context, *acks) {
	if s.minReplicas == 0 {
		return ctx, nil
	}
	a := &acks{want: int64(s.minReplicas)}
	return context.WithValue(ctx, acksKey{}, a), a
}

func (a *acks) enough() error {
	if a == nil || a.got >= a.want {
		return nil
	}
	return fmt.Errorf("%d of min_replicas = %d acknowledged the change in time", a.got, a.want)
}

// waitHook sends WAIT behind a command, on the same connection and in the
// same round trip, where the context asks for it.
type waitHook struct{ node *redis.Client }

func (h waitHook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook makes the command a pipeline, to which the hook below applies.
func (h waitHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if acksFor(ctx, cmd) == nil {
			return next(ctx, cmd)
		}
		pipe := h.node.Pipeline()
		if err := pipe.Process(ctx, cmd); err != nil {
			return err
		}
		exec(ctx, pipe)
		return cmd.Err()
	}
}

func (h waitHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		a := acksFor(ctx, cmds[len(cmds)-1])
		if a == nil {
			return next(ctx, cmds)
		}
		wait := redis.NewIntCmd(ctx, "wait", a.want, waitTime(ctx).Milliseconds())
		err := next(ctx, append(cmds[:len(cmds):len(cmds)], wait))
		a.got = wait.Val()
		return err
	}
}

// acksFor returns the acks that a command is to get, nil where it is none of
// the script's: a client that opens a connection greets with the same context.
func acksFor(ctx context.Context, cmd redis.Cmder) *acks {
	if name := cmd.Name(); name != "evalsha" && name != "eval" {
		return nil
	}
	a, _ := ctx.Value(acksKey{}).(*acks)
	return a
}

// waitTime leaves a part of the time for the answer. WAIT takes 0 for ever.
func waitTime(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return max(time.Until(deadline)*3/4, time.Millisecond)
}

var _ registry.Store = (*Store)(nil)
