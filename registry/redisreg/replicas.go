package redisreg

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// acks is how many replicas must have a change, and then how many have it. It
// reaches the connection in the context: WAIT counts for the connection that
// wrote, and only the client knows which one that is after it has followed the
// redirections of a Cluster.
type acks struct{ want, got int64 }

type acksKey struct{}

// awaitReplicas makes the swap that runs in the returned context wait for the
// replicas. Without MinReplicas, acks is nil.
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

// waitHook sends WAIT after a command, on the same connection and in the same
// round trip, if the context has acks.
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

// acksFor returns the acks of a command, nil unless it runs the script: the
// client greets a new connection with the same context.
func acksFor(ctx context.Context, cmd redis.Cmder) *acks {
	if name := cmd.Name(); name != "evalsha" && name != "eval" {
		return nil
	}
	a, _ := ctx.Value(acksKey{}).(*acks)
	return a
}

// waitTime returns how long to wait for the replicas, and leaves time for the
// answer. It is never 0, which WAIT takes for ever.
func waitTime(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return max(time.Until(deadline)*3/4, time.Millisecond)
}
