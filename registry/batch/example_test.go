package batch_test

import (
	"context"
	"fmt"
	"sync"

	"permalink-milter/registry/batch"
)

// Many goroutines write lines that one fsync, for example, makes durable.
func Example() {
	var lines []string
	q := batch.New(1, 100, func(batch []string) []error {
		lines = append(lines, batch...)
		return make([]error, len(batch))
	})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := q.Do(context.Background(), "a line"); err != nil {
				fmt.Println(err)
			}
		})
	}
	all.Wait()
	q.Close()
	fmt.Println(len(lines), q.Do(context.Background(), "another"))
	// Output:
	// 50 closed
}
