package redisreg

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"permalink-milter/registry/batch"
)

// At most maxPipelines pipelines are under way at once, each of at most
// maxSwaps swaps. With more, each carries fewer, and 50 clients reserve less a
// second (BenchmarkReserve).
const maxPipelines, maxSwaps = 4, 64

// A queuedSwap is a swap; answer is set when it has been processed.
type queuedSwap struct {
	at         place
	old, value string
	answer     *redis.Cmd
}

// newPipelines returns a queue that sends swaps to one server. A swap is sent at
// once if fewer than maxPipelines pipelines are under way. Those that arrive
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

// pipelined runs a swap in a pipeline that it shares with others.
func (s *Store) pipelined(ctx context.Context, at place, old, value string) (any, error) {
	q := &queuedSwap{at: at, old: old, value: value}
	if err := s.pipelines.Do(ctx, q); err != nil {
		return nil, err
	}
	return q.answer.Result()
}
