package guard

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// damagedExt is added to the name under which a damaged segment is kept.
const damagedExt = ".damaged"

// recoverSegment counts a segment's records. What stands behind the last
// sound one was most likely never acknowledged, and is cut off; a segment
// without any is removed. A segment with something else before a sound record
// was damaged: it is kept under another name, and what is sound is replayed.
func recoverSegment(name string, log *slog.Logger) (segment, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return segment{}, err
	}
	version := len(segmentHeader) - 1
	if len(data) > version && string(data[:version]) == segmentHeader[:version] && data[version] > segmentHeader[version] {
		return segment{}, fmt.Errorf("%s is of version %d: a newer permalink-milter wrote it, let that one replay it", name, data[version])
	}
	body, _ := bytes.CutPrefix(data, []byte(segmentHeader))
	sound, records, damaged, torn := soundRecords(body)
	s := segment{name: name, records: records, bytes: int64(len(segmentHeader) + len(sound))}
	if torn > 0 {
		log.Warn("the journal's last write was torn, by a crash or a full disk, and is cut off; it was not acknowledged", "file", name, "bytes", torn, "records_kept", records)
	}
	switch {
	case records == 0:
		return s, os.Remove(name)
	case damaged > 0:
		log.Error("the journal is damaged; the reservations that can be read are replayed, others are lost",
			"file", name, "bytes", damaged, "records_kept", records, "damaged_file", name+damagedExt)
		return s, replaceSegment(name, sound)
	}
	return s, os.Truncate(name, s.bytes)
}

// replaceSegment writes a segment anew, at once, and keeps the old one.
func replaceSegment(name string, sound []byte) error {
	if err := os.Link(name, name+damagedExt); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	next := name + ".new"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
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
	return syncDir(filepath.Dir(name))
}
