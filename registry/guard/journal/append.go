package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"permalink-milter/registry/statefile"
)

// maxBatch bounds the records that share an fsync.
const maxBatch = 1024

// Append writes a record and returns when it is on disk. Records that arrive
// while others are being synced share the next fsync. It returns ErrFull if
// there is no room.
func (j *Journal) Append(ctx context.Context, record []byte) error {
	if len(record) == 0 || len(record) > MaxRecord {
		return fmt.Errorf("a record of %d bytes cannot be journalled: want 1 to %d", len(record), MaxRecord)
	}
	return j.appends.Do(ctx, appendFrame(nil, record))
}

// write commits the records that there is room for.
func (j *Journal) write(frames [][]byte) []error {
	j.mu.Lock()
	defer j.mu.Unlock()
	room := j.o.MaxBytes - j.bytes
	if j.active == nil {
		room -= int64(len(segmentHeader))
	}
	var data []byte
	fits := 0
	for _, frame := range frames {
		if int64(len(data)+len(frame)) > room {
			break
		}
		data = append(data, frame...)
		fits++
	}
	var err error
	if fits > 0 {
		err = j.writeSynced(data, fits)
		j.changed()
	}
	full := fmt.Errorf("%w (%d bytes)", ErrFull, j.o.MaxBytes)
	return append(slices.Repeat([]error{err}, fits), slices.Repeat([]error{full}, len(frames)-fits)...)
}

// writeSynced appends to the active segment. After an error it is unknown how
// much of the data is on disk, so the segment is sealed, and what stands in it
// behind current.bytes is not read.
func (j *Journal) writeSynced(data []byte, records int) error {
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
		err = statefile.SyncFolder(j.dir)
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
func (j *Journal) begin() error {
	name := filepath.Join(j.dir, fmt.Sprintf("%012d%s", j.next, segmentExt))
	f, err := j.Create(name)
	if err != nil {
		return err
	}
	j.next++
	j.active, j.current = f, segment{name: name}
	return nil
}

// seal ends the active segment, if any. It removes one without records.
func (j *Journal) seal() {
	if j.active == nil {
		return
	}
	j.active.Close() // after a sync, an error of Close loses nothing
	j.active = nil
	if j.current.records == 0 {
		os.Remove(j.current.name)
		return
	}
	j.sealed = append(j.sealed, j.current)
}
