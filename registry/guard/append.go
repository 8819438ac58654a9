package guard

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// maxBatch bounds the records that share an fsync.
const maxBatch = 1024

// append writes a record and returns when it is on disk. Records that arrive
// while others are being synced share the next fsync.
func (j *journal) append(ctx context.Context, r record) error {
	return j.appends.Do(ctx, appendRecord(nil, r))
}

// write commits the records that there is room for.
func (j *journal) write(records [][]byte) []error {
	j.mu.Lock()
	defer j.mu.Unlock()
	room := j.max - j.bytes
	if j.active == nil {
		room -= int64(len(segmentHeader))
	}
	var data []byte
	fits := 0
	for _, r := range records {
		if int64(len(data)+len(r)) > room {
			break
		}
		data = append(data, r...)
		fits++
	}
	var err error
	if fits > 0 {
		err = j.writeSynced(data, fits)
		j.changed(j.records, j.bytes)
	}
	full := fmt.Errorf("%w (%d bytes)", ErrJournalFull, j.max)
	return append(slices.Repeat([]error{err}, fits), slices.Repeat([]error{full}, len(records)-fits)...)
}

// writeSynced appends to the active segment. After an error nobody can tell
// what of the data is on disk, so the segment is no longer written to, and
// what stands in it behind current.bytes is not read.
func (j *journal) writeSynced(data []byte, records int) error {
	if j.active == nil {
		if err := j.begin(); err != nil {
			return fmt.Errorf("begin journal segment: %w", err)
		}
		data = append([]byte(segmentHeader), data...)
	}
	_, err := j.active.Write(data)
	if err == nil {
		err = j.active.Sync()
	}
	if err == nil && j.current.records == 0 {
		err = syncDir(j.dir)
	}
	if err != nil {
		j.seal()
		return fmt.Errorf("write journal: %w", err)
	}
	j.current.records += records
	j.current.bytes += int64(len(data))
	j.records += records
	j.bytes += int64(len(data))
	if j.current.bytes >= segmentBytes {
		j.seal()
	}
	return nil
}

// begin opens a new active segment.
func (j *journal) begin() error {
	name := filepath.Join(j.dir, fmt.Sprintf("%012d%s", j.next, segmentExt))
	f, err := j.create(name)
	if err != nil {
		return err
	}
	j.next++
	j.active, j.current = f, segment{name: name}
	return nil
}

// seal ends the active segment, if any; one without records is removed.
func (j *journal) seal() {
	if j.active == nil {
		return
	}
	j.active.Close() // synced before; an error of closing loses nothing
	j.active = nil
	if j.current.records == 0 {
		os.Remove(j.current.name)
		return
	}
	j.sealed = append(j.sealed, j.current)
}

// syncDir makes a new file's name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
