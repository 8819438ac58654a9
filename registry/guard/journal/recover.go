package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"permalink-milter/registry/statefile"
)

// recover reads the segments of a former process.
func (j *Journal) recover() error {
	files, err := os.ReadDir(j.dir)
	if err != nil {
		return err
	}
	for _, f := range files { // in lexical order, which is that of the numbers
		if filepath.Ext(f.Name()) != segmentExt {
			continue
		}
		if _, err := fmt.Sscanf(f.Name(), "%d"+segmentExt, &j.next); err != nil {
			return fmt.Errorf("%s is not the name of a segment: move the file away", f.Name())
		}
		j.next++
		s, err := recoverSegment(filepath.Join(j.dir, f.Name()), j.o.Log)
		if err != nil {
			return err
		}
		if s.records > 0 {
			j.sealed = append(j.sealed, s)
			j.records += s.records
			j.bytes += s.bytes
		}
	}
	return nil
}

// damagedExt is added to the name under which a damaged segment is kept.
const damagedExt = ".damaged"

// recoverSegment counts the records of a segment. It cuts off what stands
// behind the last sound one, which was most likely never acknowledged, and
// removes a segment without any. If something else stands before a sound
// record, the segment was damaged: recoverSegment keeps it under another name
// and leaves the sound records.
func recoverSegment(name string, log *slog.Logger) (segment, error) {
	f, err := statefile.Open(name, os.O_RDWR, 0)
	if err != nil {
		return segment{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return segment{}, err
	}
	version := len(segmentHeader) - 1
	if len(data) > version && string(data[:version]) == segmentHeader[:version] && data[version] > segmentHeader[version] {
		return segment{}, fmt.Errorf("%s is of version %d: a newer permalink-milter wrote it; have that one replay it", name, data[version])
	}
	body, _ := bytes.CutPrefix(data, []byte(segmentHeader))
	sound, records, damaged, torn := soundFrames(body)
	s := segment{name: name, records: records, bytes: int64(len(segmentHeader) + len(sound))}
	if torn > 0 {
		log.Warn("the journal's last write was torn, by a crash or a full disk, and is cut off; it was not acknowledged", "file", name, "bytes", torn, "records_kept", records)
	}
	switch {
	case records == 0:
		return s, os.Remove(name)
	case damaged > 0:
		log.Error("the journal is damaged; the records that can be read are kept, others are lost",
			"file", name, "bytes", damaged, "records_kept", records, "damaged_file", name+damagedExt)
		return s, replaceSegment(name, sound)
	}
	return s, f.Truncate(s.bytes)
}

// replaceSegment replaces a segment atomically and keeps the old one.
func replaceSegment(name string, sound []byte) error {
	if err := os.Link(name, name+damagedExt); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	next := name + ".new"
	f, err := statefile.Open(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(append([]byte(segmentHeader), sound...))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, name); err != nil {
		return err
	}
	return statefile.SyncFolder(filepath.Dir(name))
}
