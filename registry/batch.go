package registry

// Batch takes what waits in queue behind first, up to limit with it, and waits
// for nothing: so many callers share a commit or a write, and a single one
// never waits for company.
func Batch[T any](first T, queue <-chan T, limit int) []T {
	batch := []T{first}
	for len(batch) < limit {
		select {
		case next := <-queue:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}
