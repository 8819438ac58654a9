package journal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func open(t testing.TB, dir string, maxBytes int64) *Journal {
	t.Helper()
	j, err := Open(dir, Options{MaxBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// drain drops all records and returns them.
func drain(t *testing.T, j *Journal) (all []string) {
	t.Helper()
	for {
		record, ok, err := j.First()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, string(record))
		if err := j.Drop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordsComeBackInOrderFromTheNextProcess(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for range 3 {
		j := open(t, dir, 1<<20)
		for range 5 {
			want = append(want, fmt.Sprint(len(want)))
			if err := j.Append(t.Context(), []byte(want[len(want)-1])); err != nil {
				t.Fatal(err)
			}
		}
		if j.Empty() {
			t.Error("it holds records and is empty")
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	j := open(t, dir, 1<<20)
	defer j.Close()
	if got := drain(t, j); !slices.Equal(got, want) || !j.Empty() {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLimits(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, 100)
	defer j.Close()
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second process: %v", err)
	}
	for _, n := range []int{0, MaxRecord + 1} {
		if err := j.Append(t.Context(), make([]byte, n)); err == nil {
			t.Errorf("a record of %d bytes was taken", n)
		}
	}
	if err := j.Append(t.Context(), make([]byte, 84)); err != nil { // and 8 of header, and 8 of frame
		t.Error(err)
	}
	if err := j.Append(t.Context(), []byte("x")); !errors.Is(err, ErrFull) {
		t.Errorf("a full journal: %v", err)
	}
}

func TestDamageIsSeen(t *testing.T) {
	data := appendFrame(nil, []byte("one reservation"))
	for n := range data {
		if _, length := cutFrame(data[:n]); length != 0 {
			t.Errorf("cut to %d bytes, it is whole", n)
		}
		damaged := slices.Clone(data)
		damaged[n] ^= 0x10
		if _, length := cutFrame(damaged); length != 0 {
			t.Errorf("with byte %d changed, it is sound", n)
		}
	}
	if _, n := cutFrame(make([]byte, 100)); n != 0 {
		t.Error("zeros are a record")
	}
}

func TestCrashLeavesAndWhatBecomesOfThem(t *testing.T) {
	one := string(appendFrame(nil, []byte("one reservation")))
	flipped := one[:20] + string([]byte{one[20] ^ 4}) + one[21:]
	for name, tt := range map[string]struct {
		file    string
		records int
		log     string
		err     string
	}{
		"nothing at all":               {},
		"a header half written":        {file: segmentHeader[:5], log: "torn"},
		"zeros instead of a header":    {file: strings.Repeat("\x00", 100), log: "torn"},
		"a header alone":               {file: segmentHeader},
		"a record half written":        {file: segmentHeader + one + one[:20], records: 1, log: "bytes=20"},
		"zeros behind a record":        {file: segmentHeader + one + strings.Repeat("\x00", 30), records: 1, log: "bytes=30"},
		"two whole records":            {file: segmentHeader + one + one, records: 2},
		"a flipped bit in a record":    {file: segmentHeader + one + flipped + one, records: 2, log: "damaged_file"},
		"a flipped bit in a length":    {file: segmentHeader + "\x40" + one[1:] + one, records: 1, log: "damaged_file"},
		"a flipped bit in the header":  {file: "q" + segmentHeader[1:] + one, records: 1, log: "damaged_file"},
		"a flipped bit and a torn end": {file: segmentHeader + flipped + one + one[:20], records: 1, log: "damaged_file"},
		"a segment of a newer version": {file: segmentHeader[:7] + "\x02" + one, err: "version 2: a newer permalink-milter"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "[state*") // no pattern, for all that
			err := os.Mkdir(dir, 0o700)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "000000000007.journal"), []byte(tt.file), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			var records int
			j, err := Open(dir, Options{MaxBytes: 1 << 20, Log: slog.New(slog.NewTextHandler(&log, nil)), Changed: func(n int, _ int64) { records = n }})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			if records != tt.records || (log.Len() > 0) != (tt.log != "") || !strings.Contains(log.String(), tt.log) {
				t.Errorf("%d records, log %q", records, log.String())
			}
			kept, err := os.ReadFile(filepath.Join(dir, "000000000007.journal"+damagedExt))
			if damaged := strings.Contains(tt.log, "damaged"); damaged != (err == nil) || damaged && string(kept) != tt.file {
				t.Errorf("the damaged file is kept: %q, %v", kept, err)
			}
			sound := int64(len(segmentHeader) + tt.records*len(one))
			if info, err := os.Stat(filepath.Join(dir, "000000000007.journal")); tt.records > 0 && info.Size() != sound || tt.records == 0 && err == nil {
				t.Errorf("the file is not cut to what is sound: %v, %v", info, err)
			}
			if err := j.Append(t.Context(), []byte("another")); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "000000000008.journal")); err != nil {
				t.Error(err)
			}
		})
	}
}

// Whatever a crash leaves behind the sound records, these are recovered.
func FuzzSegment(f *testing.F) {
	f.Add(3, []byte{})
	f.Add(2, appendFrame(nil, []byte("one reservation"))[:20])
	f.Add(0, make([]byte, 4096))
	f.Fuzz(func(t *testing.T, sound int, tail []byte) {
		sound = max(0, min(sound, 20))
		var whole []byte
		for n := range sound {
			whole = appendFrame(whole, fmt.Append(nil, n))
		}
		name := filepath.Join(t.TempDir(), "1.journal")
		if err := os.WriteFile(name, slices.Concat([]byte(segmentHeader), whole, tail), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := recoverSegment(name, slog.New(slog.DiscardHandler))
		if err != nil || s.records < sound {
			t.Fatalf("%d of %d records, %v", s.records, sound, err)
		}
		if again, err := recoverSegment(name, slog.New(slog.DiscardHandler)); s.records > 0 && again != s {
			t.Errorf("recovered again: %+v, %v; was %+v", again, err, s)
		}
		for n := range sound {
			record, length := cutFrame(whole)
			if string(record) != fmt.Sprint(n) {
				t.Errorf("record %d is %q", n, record)
			}
			whole = whole[length:]
		}
	})
}

// Whatever is in a segment, the journal opens or says why not, and gives back
// each record that its checksum finds in it, then those of the next segment.
func FuzzJournal(f *testing.F) {
	one := appendFrame(nil, []byte("one reservation"))
	f.Add([]byte{})
	f.Add([]byte(segmentHeader))
	f.Add(slices.Concat([]byte(segmentHeader), one, one[:20]))
	f.Add(slices.Concat([]byte(segmentHeader), one[:20], one, make([]byte, 30)))
	f.Add(slices.Concat([]byte("q"+segmentHeader[1:]), one))
	f.Add(slices.Concat([]byte(segmentHeader[:7]+"\x02"), one))
	f.Add(appendFrame([]byte(segmentHeader), make([]byte, MaxRecord)))
	f.Fuzz(func(t *testing.T, segment []byte) {
		dir := t.TempDir()
		whole := appendFrame([]byte(segmentHeader), []byte("the next segment's"))
		for name, data := range map[string][]byte{"1": segment, "2": whole} {
			if err := os.WriteFile(filepath.Join(dir, name+segmentExt), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j, err := Open(dir, Options{MaxBytes: 1 << 20})
		if err != nil {
			if !strings.Contains(err.Error(), "newer permalink-milter") {
				t.Error(err)
			}
			return
		}
		var want []string
		body, _ := bytes.CutPrefix(segment, []byte(segmentHeader))
		for sound, _, _, _ := soundFrames(body); len(sound) > 0; {
			record, n := cutFrame(sound)
			want, sound = append(want, string(record)), sound[n:]
		}
		if got := drain(t, j); !slices.Equal(got, append(want, "the next segment's")) {
			t.Errorf("got %q, want %q and the next segment's", got, want)
		}
		if err := j.Append(t.Context(), []byte("x")); err != nil {
			t.Error(err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkAppend measures how many records a second are on disk.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			j := open(b, b.TempDir(), 1<<40)
			defer j.Close()
			record := make([]byte, 64)
			var all sync.WaitGroup
			for n := range writers {
				all.Go(func() {
					for i := n; i < b.N; i += writers {
						if err := j.Append(b.Context(), record); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
