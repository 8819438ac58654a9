package redisreg

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"permalink-milter/registry/batch"
)

// Up to maxPipelines are on their way at once, each of up to maxSwaps swaps.
const maxPipelines, maxSwaps = 8, 64

// A queuedSwap has its answer once it was processed.
type queuedSwap struct {
	at         place
	old, value string
	answer     *redis.Cmd
}

// newPipelines returns a queue that sends swaps to one server. A swap goes at
// once while fewer than maxPipelines are on their way; those that come
// meanwhile share the next round trip.
func newPipelines(client redis.UniversalClient, timeout time.Duration) *batch.Queue[*queuedSwap] {
	return batch.New(maxPipelines, maxSwaps, func(queued []*queuedSwap) []error {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		pipe := client.Pipeline()
		for _, q := range queued {
			q.answer = pipe.EvalSha(ctx, swap.Hash(), []string{q.at.key}, q.at.field, q.old, q.value)
		}
		exec(ctx, pipe)
		return make([]error, len(queued))
	})
}

// pipelined runs a swap in a shared pipeline.
func (s *Store) pipelined(ctx context.Context, at place, old, value string) (any, error) {
	q := &queuedSwap{at: at, old: old, value: value}
	if err := s.pipelines.Do(ctx, q); err != nil {
		return nil, err
	}
	return q.answer.Result()
}
